// The mask under the pointer before a click: while the pointer of a mouse or pen moves with a click tool, the server is asked
// what a click there would give, in one look; once it rests, exactly. One question at a time, the newest place next; what comes
// late is dropped.

const HOVER_PAUSE_MS = 60;
const REST_MS = 120;
const preview = { shape: null, exact: false, colour: null, wanted: null, asking: false, turn: 0 };
state.look.hover = !window.matchMedia("(pointer: coarse)").matches;

const endPreview = () => {
  preview.turn += 1; // answers on their way are of an earlier turn
  preview.wanted = null;
  if (preview.shape) { preview.shape = null; board.redraw(); }
};

// where a click would be asked for; null where none is
const previewPlace = (place, event) => {
  const clicks = state.tool === "click" || state.tool === "unclick";
  const item = selectedObject();
  if (!place || !clicks || !state.look.hover || event.pointerType === "touch" || state.spaceHeld || !state.bitmap) return null;
  if (!board.isInside(place) || item?.locked || clickNumberAt(place) >= 0) return null;
  if (state.tool === "unclick" && !item?.box && !item?.points.length) return null; // nothing to take away from
  const [x, y] = pixelOf(place.x, place.y, board.camera.width, board.camera.height);
  return { x, y, positive: state.tool === "click", slice: state.slice, object: state.selected, key: state.key };
};

const showPreview = async ({ key, ...place }, exact) => {
  const { turn } = preview;
  const answer = await wire.direct({ op: "preview", ...place, exact });
  if (turn !== preview.turn || key !== state.key || !answer.ok) return;
  preview.colour = selectedObject()?.colour ?? state.nextColour;
  preview.shape = answer.mask && maskShape(answer.mask, preview.colour);
  preview.exact = exact;
  board.redraw();
};

const askPreview = async () => {
  if (preview.asking) return;
  preview.asking = true;
  while (preview.wanted) {
    const { wanted, turn } = preview;
    preview.wanted = null;
    await showPreview(wanted, false);
    await pause(HOVER_PAUSE_MS);
    if (!preview.wanted) await pause(REST_MS);
    if (!preview.wanted && turn === preview.turn) await showPreview(wanted, true);
  }
  preview.asking = false;
};

hovers.push((place, event) => {
  const wanted = previewPlace(place, event);
  if (!wanted) { endPreview(); return; }
  preview.wanted = wanted;
  askPreview();
});

overlays.push((context, pane, camera) => {
  if (!preview.shape || !pane.masks) return;
  const item = { shape: preview.shape, colour: preview.colour, dashed: true };
  drawMask(context, item, pane, camera, state.step, { fill: true, outline: true, opacity: 0.25 }, false);
});

onView(() => endPreview()); // an answer has changed what a click would add to

const hoverSwitch = h("label", { className: "lm-check" }, h("input", { type: "checkbox", id: "lm-hover", checked: state.look.hover,
  onchange: (event) => { state.look.hover = event.target.checked; endPreview(); } }), h("span", {}, "Mask under the pointer before a click"));
register.look({ id: "hover", node: hoverSwitch });
