// The page is put together, and starts.

const build = () => {
  ui.root = element.querySelector(".lm-root");
  ui.canvas = h("canvas", { id: "lm-canvas", tabIndex: 0, className: "lm-canvas", role: "application",
    "aria-label": "Picture with prompts and masks. Draw with the tools; coordinates can also be typed in under Exact prompt." });
  ui.position = h("span", { className: "lm-position", "aria-hidden": "true" });
  ui.message = h("div", { className: "lm-message", id: "lm-message", "aria-live": "polite" });
  const rail = railPart();
  ui.zoom = h("div", { className: "lm-zoom", role: "group", "aria-label": "View" }, ...viewPart(),
    button("+", "Zoom in (+)", () => board.zoomBy(1.5), { aria: "Zoom in" }),
    button("−", "Zoom out (−)", () => board.zoomBy(1 / 1.5), { aria: "Zoom out" }),
    button("Fit", "Whole picture (0)", () => board.fit()));
  ui.stage = h("div", { className: "lm-stage" }, ui.canvas, welcomePart(), ui.zoom, ui.position, hintPart(), ui.message);
  ui.panel = h("aside", { id: "lm-panel", "aria-label": "Objects and settings" }, objectsPart(),
    ...["panel", "closed"].flatMap((where) => registry.sections.filter((one) => one.place === where).map(sectionOf)));
  ui.root.append(topbarPart(), h("main", { className: "lm-main" }, rail, h("div", { className: "lm-centre" }, ui.stage, slicesPart()), ui.panel));
};

const enface = makeEnface((index) => goTo(index));
register.section({ id: "lm-enfacepart", title: "En face", place: "panel", build: () => enface.node,
  update: ({ image }) => { ui.root.querySelector("#lm-enfacepart").hidden = !image?.top_view; } });

build();
const board = makeCanvas(ui.canvas);
watchSpace(ui.canvas);
// for tests and scripts that drive the page: toClient(x, y) says where an image pixel is, state what is shown
ui.canvas.liteMedsam = Object.assign(board, { state, act, preview, planes, keyList });
hovers.push((place, event) => {
  if (event.type === "pointerdown") return;
  const { width, height } = board.camera;
  const seen = place && state.bitmap && board.isInside(place);
  ui.position.textContent = seen ? positionText(state.view?.image, pixelOf(place.x, place.y, width, height)) : "";
});
state.onSlice = (step) => goTo(state.slice + step);
setTool("box");
showControls({ objects: [], image: null, undo: false, redo: false });
// Gradio decides on dark by the system's setting; a choice of the user's goes before it
const followTheme = () => ui.root.classList.toggle("lm-dark", document.body.classList.contains("dark"));
new MutationObserver(followTheme).observe(document.body, { attributes: true, attributeFilter: ["class"] });
followTheme();
if (localStorage.getItem("lm-theme")) switchTheme(localStorage.getItem("lm-theme") === "dark", false);

document.addEventListener("keydown", onKey);
watchDrops(ui.root);
const start = () => {
  if (!props.value || state.token === props.value) return;
  if (props.value.startsWith(REFUSED)) { showFull(props.value.slice(REFUSED.length)); return; }
  state.token = props.value;
  act({ op: "hello" }).then(startKeeping);
};
watch("value", start);
start();
