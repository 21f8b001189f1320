// The controls of the view: window, brightness, contrast, gamma, channel, inverted. They change the screen only; what the
// model is given has a section of its own, below.

const PRESETS = [
  ["soft tissue", 40, 400], ["lung", -600, 1500], ["bone", 400, 1800], ["brain", 40, 80], ["liver", 60, 160],
];

// the window that is seen: the user's, else that of the model
const seenWindow = () => viewing.window ?? pictures.source?.window ?? state.view?.image?.window ?? rangeWindow();

const rangeWindow = () => {
  const image = state.view?.image;
  if (!image?.grey || !hasDeepValues(image)) return [127.5, 255];
  const [low, high] = image.range;
  return [(low + high) / 2, Math.max(high - low, 1)];
};

const setViewWindow = (centre, width) => {
  const [low, high] = rangeLimits();
  const span = high - low;
  viewing.window = [clamp(centre, low - span, high + span), clamp(width, span / 1000, 4 * span)];
  return showView();
};

const rangeLimits = () => (state.view?.image && hasDeepValues(state.view.image) ? state.view.image.range : [0, 255]);

const resetView = () => {
  Object.assign(viewing, PLAIN);
  return showView();
};

// across for the width, 150 screen pixels double it; down for the level
const windowing = (start) => {
  let from = null;
  const begin = async () => {
    const image = state.view.image;
    // where the model's own mapping is not known as a window, it is asked for once
    if (!viewing.window && hasDeepValues(image) && !image.window) await viewSource(image, state.bitmap);
    from = seenWindow();
  };
  const ready = begin();
  return {
    async move(place) {
      await ready;
      const width = from[1] * 2 ** ((place.sx - start.sx) / 150);
      const centre = from[0] + ((place.sy - start.sy) / 400) * Math.max(from[1], 1e-9);
      setViewWindow(centre, width);
    },
    async end() {
      await ready;
      if (viewing.window) say(`Seen through ${windowText(viewing.window)}; the model is given what it was.`);
    },
  };
};

const windowText = ([centre, width]) => `level ${Number(centre.toPrecision(4))}, window ${Number(width.toPrecision(4))}`;

gestures.set("window", { start: (place) => windowing(place), cursor: () => "ns-resize" });

register.tool({ id: "window", group: "view", label: "Window", key: "w",
  hint: "Window: drag across for the width, down for the level of what you see; also the right button. The model's input stays." });

// -- controls of the popover "View"

const looks = {
  centre: h("input", { type: "number", step: "any", id: "lm-view-centre", "aria-label": "Level of the view" }),
  width: h("input", { type: "number", step: "any", id: "lm-view-width", "aria-label": "Window of the view" }),
  brightness: h("input", { type: "range", min: -100, max: 100, value: 0, id: "lm-brightness", "aria-label": "Brightness" }),
  contrast: h("input", { type: "range", min: -100, max: 100, value: 0, id: "lm-contrast", "aria-label": "Contrast" }),
  gamma: h("input", { type: "range", min: -100, max: 100, value: 0, id: "lm-gamma", "aria-label": "Gamma" }),
  gammaOut: h("output", {}, "1.00"),
  invert: h("input", { type: "checkbox", id: "lm-invert" }),
  channel: h("select", { id: "lm-channel", "aria-label": "Channel" }, ...[["all", "all colours"], ["red", "red"],
    ["green", "green (red-free)"], ["blue", "blue"]].map(([value, text]) => h("option", { value }, text))),
  presets: h("div", { className: "lm-row", role: "group", "aria-label": "Windows" }),
};

// brightness and contrast are another way to say the window of an 8-bit picture
const fromSliders = () => setViewWindow(127.5 - 1.275 * Number(looks.brightness.value), 255 * 2 ** (-Number(looks.contrast.value) / 40));

const typedWindow = () => {
  const [centre, width] = [Number(looks.centre.value), Number(looks.width.value)];
  if (looks.centre.value !== "" && width > 0) setViewWindow(centre, width);
};

looks.centre.addEventListener("change", typedWindow);
looks.width.addEventListener("change", typedWindow);
looks.brightness.addEventListener("input", fromSliders);
looks.contrast.addEventListener("input", fromSliders);
looks.gamma.addEventListener("input", () => { viewing.gamma = 2 ** (Number(looks.gamma.value) / 50); showView(); });
looks.invert.addEventListener("change", () => { viewing.invert = looks.invert.checked; showView(); });
looks.channel.addEventListener("change", () => { viewing.channel = looks.channel.value; showView(); });

const looksNode = h("div", { className: "lm-looks", role: "group", "aria-label": "How the picture is seen" },
  h("div", { className: "lm-row", id: "lm-looks-window" }, field("Level", looks.centre), field("Window", looks.width)),
  looks.presets,
  h("div", { id: "lm-looks-sliders" }, field("Brightness", looks.brightness), field("Contrast", looks.contrast)),
  field("Gamma", looks.gamma, looks.gammaOut),
  h("div", { className: "lm-row" },
    h("label", { className: "lm-check" }, looks.invert, h("span", {}, "Inverted")), looks.channel,
    h("button", { type: "button", className: "lm-button lm-small", id: "lm-looks-reset", title: "Seen as the model is given it",
      onclick: () => resetView() }, "As the model sees it")));

const showLooks = () => {
  const image = state.view?.image;
  if (!image) return;
  const deep = hasDeepValues(image);
  looksNode.querySelector("#lm-looks-window").hidden = !deep;
  looksNode.querySelector("#lm-looks-sliders").hidden = deep;
  looks.channel.hidden = image.grey;
  looks.presets.hidden = !image.hounsfield;
  const [centre, width] = seenWindow();
  for (const [node, value] of [[looks.centre, centre], [looks.width, width]]) {
    if (document.activeElement !== node) node.value = Number(value.toPrecision(5));
  }
  if (document.activeElement !== looks.brightness) looks.brightness.value = (127.5 - centre) / 1.275;
  if (document.activeElement !== looks.contrast) looks.contrast.value = -40 * Math.log2(width / 255);
  looks.gamma.value = 50 * Math.log2(viewing.gamma);
  looks.gammaOut.textContent = viewing.gamma.toFixed(2);
  looks.invert.checked = viewing.invert;
  looks.channel.value = viewing.channel;
};

looks.presets.append(...PRESETS.map(([name, centre, width]) => h("button", { type: "button", className: "lm-button lm-small",
  title: `See it through ${windowText([centre, width])}`, onclick: () => setViewWindow(centre, width) }, name)));

register.look({ id: "looks", node: looksNode, update: () => showLooks() });

const nudgeWindow = (centre, width) => {
  const [c, w] = seenWindow();
  setViewWindow(c + centre * w * 0.1, w * 1.2 ** width);
};
register.key("[", "darker or brighter: the level of the view", () => nudgeWindow(1, 0), { shown: "[  ]" });
register.key("]", "brighter", () => nudgeWindow(-1, 0), { shown: "]" });
register.key("{", "less or more contrast of the view", () => nudgeWindow(0, 1), { shown: "{  }" });
register.key("}", "more contrast", () => nudgeWindow(0, -1), { shown: "}" });
register.key("i", "inverted or not", () => { viewing.invert = !viewing.invert; showView(); });
register.key("\\", "seen as the model is given it", () => resetView());

// the window that is seen becomes the model's
const giveView = () => {
  const [centre, width] = seenWindow();
  return act({ op: "window", centre, width }).then((answer) => {
    if (!answer.ok) return;
    viewing.window = null;
    return showView();
  });
};
