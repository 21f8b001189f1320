// What is there before anything is open: where to drop a file, and samples by specialty.

const samplesMenu = () => {
  const opener = ui.sample = iconButton("samples", "Samples", "Computed pictures to try", null, { id: "lm-sample" });
  ui.samples = h("div", { className: "lm-samplelist" });
  return [opener, popOver(opener, [ui.samples, ...menuEntries("samples")], { id: "lm-samples", label: "Samples" })];
};

const welcomePart = () => {
  ui.cards = h("div", { className: "lm-cards" }, ...Array.from({ length: 8 }, () => h("div", { className: "lm-card lm-coming" })));
  ui.welcome = h("div", { id: "lm-welcome" },
    h("div", { className: "lm-dropzone" },
      h("p", { className: "lm-big" }, window.matchMedia("(pointer: coarse)").matches ? "A picture or a volume of yours" : "Drop a picture or a volume here"),
      h("p", {}, "PNG, JPEG, TIFF, DICOM, NIfTI, OCT exports … It stays on the machine that runs this page."),
      button("Open …", "Open a picture or a volume", () => ui.file.click(), { node: { className: "lm-button lm-primary", id: "lm-welcome-open" } })),
    h("p", { className: "lm-cardstitle" }, "Or try a computed picture:"), ui.cards);
  return ui.welcome;
};

// a picture for each specialty, computed by the server; the first has the box dotted in that is worth a try
const fillCards = async () => {
  const answer = await wire.direct({ op: "cards" });
  if (!answer.ok) return;
  ui.cards.replaceChildren(...answer.cards.map((card) => h("button", { type: "button", className: "lm-card", onclick: () => openCard(card) },
    h("img", { src: card.picture, alt: "" }), h("b", {}, card.specialty), h("span", {}, card.title))));
};

const openCard = async (card) => {
  const answer = await openSample(card.name);
  if (!answer?.ok || !card.box) return;
  state.suggested = { opened: state.opened, slice: card.slice, box: card.box };
  say("Draw along the dotted box: drag from one corner to the other.");
  board.redraw();
};

overlays.push((context, pane, camera) => {
  const { suggested } = state;
  if (suggested?.opened !== state.opened || suggested.slice !== state.slice || state.objects.length) return;
  const [x0, y0, x1, y1] = suggested.box;
  const [left, top] = camera.toScreen(pane, x0, y0);
  const [right, bottom] = camera.toScreen(pane, x1 + 1, y1 + 1);
  for (const [width, colour] of [[4, "rgb(0 0 0 / 0.6)"], [2.5, "#ffe14d"]]) {
    context.lineWidth = width;
    context.strokeStyle = colour;
    context.setLineDash([2, 7]);
    context.lineCap = "round";
    context.strokeRect(left, top, right - left, bottom - top);
  }
  context.setLineDash([]);
});

const fillSamples = (samples) => {
  fillCards();
  ui.samples.replaceChildren(...samples.map(({ name, title }) =>
    h("button", { type: "button", className: "lm-entry", onclick: () => openSample(name) }, title)));
};

onView(({ image }) => { ui.welcome.hidden = Boolean(image); });
