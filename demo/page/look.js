// The popover "View"; and the grey values that the model is given.

const check = (id, label, name, then = () => board.redraw()) =>
  h("label", { className: "lm-check" }, h("input", { type: "checkbox", id, checked: state.look[name],
    onchange: (event) => { state.look[name] = event.target.checked; then(); } }), h("span", {}, label));

const toggle = (name) => {
  state.look[name] = !state.look[name];
  ui.checks[name].querySelector("input").checked = state.look[name];
  board.redraw();
};

ui.opacity = h("input", { type: "range", min: 0, max: 100, value: 45, id: "lm-opacity",
  oninput: () => { state.look.opacity = Number(ui.opacity.value) / 100; board.redraw(); } });
ui.checks = { show: check("lm-show", "Masks (V)", "show"), fill: check("lm-fill", "Fill (F)", "fill"),
  outline: check("lm-outline", "Contours", "outline"), prompts: check("lm-prompts", "Prompts (M)", "prompts"),
  sideBySide: check("lm-sidebyside", "Side by side (K)", "sideBySide"),
  trueAspect: check("lm-true-aspect", "True aspect", "trueAspect", () => switchAspect()) };

const viewPart = () => {
  const opener = h("button", { type: "button", className: "lm-button", id: "lm-view", title: "How the picture is shown" });
  opener.append(icon("view"), h("span", {}, "View"));
  const list = popOver(opener, [field("Opacity", ui.opacity), ...Object.values(ui.checks),
    ...registry.looks.map(({ node }) => node)], { id: "lm-look", label: "View", closes: false });
  return [opener, list];
};

// -- what the model is given

register.section({ id: "lm-windowpart", title: "What the model is given", place: "closed",
  build: () => {
    ui.centre = h("input", { type: "number", step: "any", id: "lm-centre", onchange: () => setWindow() });
    ui.width = h("input", { type: "number", step: "any", min: 0, id: "lm-width", onchange: () => setWindow() });
    ui.centreSlide = h("input", { type: "range", id: "lm-centre-slider", "aria-label": "Level, slider", step: "any",
      oninput: () => { ui.centre.value = Math.round(ui.centreSlide.value); setWindow(); } });
    ui.widthSlide = h("input", { type: "range", id: "lm-width-slider", "aria-label": "Window, slider", step: "any",
      oninput: () => { ui.width.value = Math.round(ui.widthSlide.value); setWindow(); } });
    ui.presets = h("div", { className: "lm-row" }, ...PRESETS.map(([name, centre, width]) =>
      button(name, `The model is given ${windowText([centre, width])}`, () => act({ op: "window", centre, width }))));
    return h("div", { className: "lm-body" },
      h("p", { className: "lm-scale" }, "The grey values that masks are made from. Masks that are there stay until they are asked for anew; undo takes a change "
        + "back. To see more or less of them, drag with the right button or use View."),
      field("Level", ui.centre, ui.centreSlide), field("Window", ui.width, ui.widthSlide), ui.presets,
      h("div", { className: "lm-row" },
        button("What I see", "Give the model the window that is seen", () => giveView(), { node: { id: "lm-window-seen" } }),
        button("Automatic", "The file's own window", () => act({ op: "window", centre: null }), { node: { id: "lm-window-auto" } })));
  },
  update: ({ image }) => {
    const part = ui.root.querySelector("#lm-windowpart");
    part.hidden = !image?.grey;
    if (!image) return;
    windowValues(image);
  } });

const setWindow = () => {
  const [centre, width] = [Number(ui.centre.value), Number(ui.width.value)];
  if (ui.centre.value === "" || ui.width.value === "" || !(width > 0)) return;
  act({ op: "window", centre, width }, "window");
};

const windowValues = (image) => {
  const [low, high] = image.range;
  const [centre, width] = image.window ?? [(low + high) / 2, high - low];
  for (const [node, slide, value, from, to] of [[ui.centre, ui.centreSlide, centre, low, high],
    [ui.width, ui.widthSlide, width, Math.max(1, (high - low) / 200), Math.max(1, high - low)]]) {
    [slide.min, slide.max] = [from, to];
    if (document.activeElement !== node) node.value = Number(value.toPrecision(6));
    if (document.activeElement !== slide) slide.value = value;
  }
  ui.presets.hidden = !image.hounsfield;
};

