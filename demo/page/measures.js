// How large things are: pixel size, its unit, and where it comes from.

register.section({ id: "lm-fluid", title: "All that is named as fluid", place: "panel",
  build: () => { ui.summary = h("table", { className: "lm-table", id: "lm-summary" }); return ui.summary; },
  update: (view) => {
    ui.summary.replaceChildren(figures(view.summary ?? []));
    ui.root.querySelector("#lm-fluid").hidden = !view.summary?.length;
  } });

register.section({ id: "lm-pixelsize", title: "Pixel size", place: "closed",
  build: () => {
    ui.scale = h("p", { className: "lm-scale", id: "lm-scale" });
    return h("div", { className: "lm-body" },
      h("div", { className: "lm-row lm-spacing" }, ui.spacingZ, ...ui.spacingFields.slice(1), ui.unit), ui.scale);
  },
  update: ({ image }) => {
    ui.root.querySelector("#lm-pixelsize").hidden = !image;
    showSpacing();
    ui.scale.textContent = scaleText(image);
  } });

ui.spacing = ["z", "y", "x"].map((axis) => h("input", { type: "number", step: "any", id: `lm-spacing-${axis}`,
  "aria-label": `Pixel size along ${axis}`, onchange: () => setSpacing() }));
ui.spacingFields = ui.spacing.map((node, i) => h("label", { className: "lm-axis" }, `${"zyx"[i]} `, node));
ui.spacingZ = ui.spacingFields[0];
ui.unit = h("select", { "aria-label": "Unit of the pixel size", id: "lm-unit", onchange: () => { showSpacing(); act({ op: "look" }); } },
  h("option", { value: "mm" }, "mm"), h("option", { value: "um" }, "µm"));

const unitFactor = () => (ui.unit.value === "um" ? 1000 : 1);

const showSpacing = () => {
  const image = state.view?.image;
  if (!image) return;
  ui.spacingZ.hidden = !image.volume;
  const known = image.spacing_mm ?? [];
  const values = image.volume && known.length === 2 ? [undefined, ...known] : known; // no slice distance
  const axes = image.volume ? [0, 1, 2] : [1, 2];
  axes.forEach((axis, i) => {
    const value = values[i];
    if (document.activeElement !== ui.spacing[axis])
      ui.spacing[axis].value = value === undefined ? "" : Number((value * unitFactor()).toPrecision(6));
  });
};

const setSpacing = () => {
  const axes = state.view?.image?.volume ? [0, 1, 2] : [1, 2];
  const values = axes.map((axis) => Number(ui.spacing[axis].value) / unitFactor());
  if (values.every((value) => value > 0)) act({ op: "spacing", mm: values });
  else if (axes.length === 3 && ui.spacing[0].value === "" && values[1] > 0 && values[2] > 0) act({ op: "spacing", mm: values.slice(1) });
  else if (axes.every((axis) => ui.spacing[axis].value === "")) act({ op: "spacing", mm: null });
  else if (axes.some((axis) => ui.spacing[axis].value !== "" && !(Number(ui.spacing[axis].value) > 0))) {
    say("A pixel size must be a number above 0; the one before stands.", { error: true, id: "spacing" });
    document.activeElement?.blur();
    showSpacing();
  }
};

// a micrometre as long both ways, or square pixels; where the size of a pixel is not known they are square
const showAspect = (image) => {
  if (!image) return;
  const um = state.pixelUm = pixelUmOf(image);
  if (!state.aspectByHand) state.look.trueAspect = um !== null && Math.abs(Math.log(um.x / um.y)) > Math.log(1.05);
  const box = ui.checks.trueAspect.querySelector("input");
  box.checked = state.look.trueAspect;
  box.disabled = um === null;
  const [across, down] = um && state.look.trueAspect ? [um.x, um.y] : [1, 1];
  ui.stage.style.setProperty("--aspect", String(clamp((image.width * across) / (image.height * down), 0.7, 2.2)));
  board.aspect(across, down);
};

const switchAspect = () => {
  state.aspectByHand = true;
  showAspect(state.view?.image);
  if (state.view) choiceList(state.view);
};

// the size along each axis and where it comes from
const scaleText = (image) => (image ? `Scale: ${image.scale.steps.map(({ along, um, origin, basis }) =>
  `${along} ${um === null ? "unknown (px)" : `${Number(um.toPrecision(5))} µm (${origin})`}${basis ? `, ${basis}` : ""}`).join("; ")}` : "");

