// Ruler and caliper. A ruler is dragged from end to end; a caliper along one edge, then put on the other one: it is the
// distance of the two parallel lines. They stay on their slice, several of them, until they are taken away; ends can be
// dragged. No prompts; the server keeps them with the session, so undo and session files have them.

const END_REACH = 9; // screen pixels
// state.rulers: { kind: "ruler" | "caliper", slice, from, to, across }: places of the picture; across: on the other edge
let openCaliper = null; // its first edge is drawn
const rulerWork = { held: false, sent: 0 }; // while an end is dragged or a change is on its way, the page knows better than an answer

const rulersHere = () => state.rulers.filter((ruler) => ruler.slice === state.slice);

// along the line in um, or in pixels where no size is known; both numbers in pixels beside it
const measured = ({ kind, from, to, across }, um) => {
  const [ux, uy] = um ? [um.x, um.y] : [1, 1];
  let [dx, dy] = [to[0] - from[0], to[1] - from[1]];
  if (kind === "caliper") [dx, dy] = offsetOf({ from, to, across }, um);
  return { length: Math.hypot(dx * ux, dy * uy), px: Math.hypot(dx, dy), dx: Math.abs(dx), dy: Math.abs(dy) };
};

// from the first line of a caliper straight to the second, in pixels; straight as a micrometre is, not as a pixel
const offsetOf = ({ from, to, across }, um) => {
  const [ux, uy] = um ? [um.x, um.y] : [1, 1];
  const along = [(to[0] - from[0]) * ux, (to[1] - from[1]) * uy];
  const away = [(across[0] - from[0]) * ux, (across[1] - from[1]) * uy];
  const share = (along[0] * away[0] + along[1] * away[1]) / Math.max(1e-12, along[0] ** 2 + along[1] ** 2);
  return [(away[0] - share * along[0]) / ux, (away[1] - share * along[1]) / uy];
};

const rulerShort = (ruler, um) => {
  const { length, px } = measured(ruler, um);
  return um ? `${lengthText(length)} · ${px.toFixed(1)} px` : `${px.toFixed(1)} px`;
};

const rulerText = (ruler, um) => {
  const { length, px, dx, dy } = measured(ruler, um);
  const name = ruler.kind === "caliper" ? "Caliper" : "Ruler";
  const pixels = `${px.toFixed(1)} px`;
  if (!um) return `${name}: ${pixels}; how large a pixel is is not known (${dx.toFixed(1)} across, ${dy.toFixed(1)} down)`;
  return `${name}: ${lengthText(length)}, ${pixels} (${lengthText(dx * um.x)} across, ${lengthText(dy * um.y)} down)`;
};

const inPicture = ({ x, y }) => [clamp(x, 0, board.camera.width), clamp(y, 0, board.camera.height)];

const sendRulers = async () => {
  showRulers();
  rulerWork.sent += 1;
  await act({ op: "lengths", lengths: state.rulers }, "lengths");
  rulerWork.sent -= 1;
  takeRulers(state.view);
};

const takeRulers = (view) => {
  if (rulerWork.held || rulerWork.sent || !view?.lengths) return;
  if (JSON.stringify(view.lengths) !== JSON.stringify(state.rulers)) {
    state.rulers = structuredClone(view.lengths); // an end that is dragged is no change of the answer
    board.redraw();
  }
  showRulers();
};

const removeRuler = (ruler) => {
  state.rulers = state.rulers.filter((other) => other !== ruler);
  board.redraw();
  sendRulers();
};

// the end of a ruler under a place: { ruler, end }
const rulerEndAt = (place) => {
  for (const ruler of [...rulersHere()].reverse()) {
    for (const end of ["from", "to", "across"]) {
      if (!ruler[end]) continue;
      const [sx, sy] = board.camera.toScreen(place.pane, ...ruler[end]);
      if (Math.hypot(sx - place.sx, sy - place.sy) <= END_REACH + (place.touch ? 8 : 0)) return { ruler, end };
    }
  }
  return null;
};

const draggingEnd = ({ ruler, end }) => {
  const before = ruler[end];
  rulerWork.held = true;
  return {
    move(place) { ruler[end] = inPicture(place); },
    end() {
      rulerWork.held = false;
      say(rulerText(ruler, state.pixelUm));
      if (ruler[end] !== before) sendRulers();
    },
    cancel() {
      rulerWork.held = false;
      ruler[end] = before;
    },
  };
};

const measuring = (start, kind) => {
  let ruler = null;
  return {
    move(place) {
      if (ruler || isFar(start, place)) ruler = { kind, slice: state.slice, from: inPicture(start), to: inPicture(place) };
    },
    end() {
      if (!ruler) {
        say(kind === "caliper" ? "Drag along one edge first." : "Drag from one end of what is to be measured to the other.");
      } else if (kind === "caliper") {
        openCaliper = { ...ruler, across: ruler.from };
        say("Now click on the other edge.");
      } else keepRuler(ruler);
    },
    draw(context, pane, camera) { if (ruler) drawRuler(context, ruler, pane, camera); },
  };
};

const keepRuler = (ruler) => {
  state.rulers.push(ruler);
  say(rulerText(ruler, state.pixelUm));
  sendRulers();
};

const closingCaliper = () => ({
  move(place) { openCaliper.across = inPicture(place); },
  end(place) {
    openCaliper.across = inPicture(place);
    keepRuler(openCaliper);
    openCaliper = null;
  },
  cancel() { openCaliper = null; },
});

const takeAway = () => {
  if (openCaliper) openCaliper = null;
  else if (rulersHere().length) removeRuler(rulersHere().at(-1));
};

const rulerStart = (kind) => (place) => {
  if (openCaliper?.slice === state.slice) return closingCaliper();
  openCaliper = null;
  const caught = rulerEndAt(place);
  return caught ? draggingEnd(caught) : measuring(place, kind);
};

for (const kind of ["ruler", "caliper"]) {
  gestures.set(kind, { start: rulerStart(kind), cancel: takeAway, cursor: (place) => (rulerEndAt(place) ? "move" : null) });
}

hovers.push((place) => {
  if (!openCaliper || !place) return;
  openCaliper.across = inPicture(place);
  board.redraw();
});

// -- drawing

const drawLine = (context, x0, y0, x1, y1) => {
  for (const [width, colour] of [[5, "rgb(0 0 0 / 0.7)"], [2, "#ffe14d"]]) {
    context.lineWidth = width;
    context.strokeStyle = colour;
    context.beginPath();
    context.moveTo(x0, y0);
    context.lineTo(x1, y1);
    context.stroke();
  }
};

const drawRuler = (context, ruler, pane, camera) => {
  const screen = (x, y) => camera.toScreen(pane, x, y);
  let [[x0, y0], [x1, y1]] = [screen(...ruler.from), screen(...ruler.to)];
  drawLine(context, x0, y0, x1, y1);
  if (ruler.kind === "caliper") {
    if (!ruler.across) return;
    const [ox, oy] = offsetOf(ruler, state.pixelUm);
    const middle = [(ruler.from[0] + ruler.to[0]) / 2, (ruler.from[1] + ruler.to[1]) / 2];
    drawLine(context, ...screen(ruler.from[0] + ox, ruler.from[1] + oy), ...screen(ruler.to[0] + ox, ruler.to[1] + oy));
    [[x0, y0], [x1, y1]] = [screen(...middle), screen(middle[0] + ox, middle[1] + oy)];
    context.setLineDash([4, 4]);
    drawLine(context, x0, y0, x1, y1);
    context.setLineDash([]);
  } else {
    const length = Math.hypot(x1 - x0, y1 - y0) || 1;
    const [tx, ty] = [(-6 * (y1 - y0)) / length, (6 * (x1 - x0)) / length];
    for (const [x, y] of [[x0, y0], [x1, y1]]) drawLine(context, x - tx, y - ty, x + tx, y + ty);
  }
  drawTag(context, rulerShort(ruler, state.pixelUm), pane, x1 + 10, y1 + 10);
};

// a text beside a place, inside the pane
const drawTag = (context, text, pane, x, y) => {
  context.font = "bold 13px system-ui, sans-serif";
  const width = context.measureText(text).width + 12;
  const left = clamp(x, pane.x + 2, pane.x + pane.w - width - 2);
  const top = clamp(y, pane.y + 2, pane.y + pane.h - 24);
  context.fillStyle = "rgb(0 0 0 / 0.75)";
  context.fillRect(left, top, width, 22);
  context.fillStyle = "#fff";
  context.fillText(text, left + 6, top + 16);
};

overlays.push((context, pane, camera) => {
  for (const ruler of rulersHere()) drawRuler(context, ruler, pane, camera);
  if (openCaliper?.slice === state.slice) drawRuler(context, openCaliper, pane, camera);
});

// -- the list

const rulerList = h("ul", { className: "lm-rulers", id: "lm-rulers", "aria-label": "Lengths that were measured" });

const showRulers = () => {
  rulerList.replaceChildren(...state.rulers.map((ruler, i) => {
    const where = state.slices > 1 ? `slice ${ruler.slice + 1}: ` : "";
    const text = `${where}${rulerShort(ruler, state.pixelUm)}`;
    return h("li", {}, state.slices > 1
      ? h("button", { type: "button", className: "lm-button lm-small", title: "Go to its slice", onclick: () => goTo(ruler.slice) }, text)
      : h("span", {}, text),
    h("button", { type: "button", className: "lm-button lm-small", title: "Remove", "aria-label": `Remove length ${i + 1}, ${text}`,
      onclick: () => removeRuler(ruler) }, "✕"));
  }));
  if (!state.rulers.length) rulerList.append(h("li", { className: "lm-empty" }, "Nothing measured yet: ruler (R) or caliper."));
};

register.tool({ id: "ruler", group: "view", label: "Ruler", key: "r",
  hint: "Ruler: drag to measure a length. It stays on its slice and is no prompt; drag its ends, Esc takes the last one away." });
register.tool({ id: "caliper", group: "view", label: "Caliper", key: "t", icon: "M5 4v16 M19 4v16 M5 12h14 M8 9.5L5 12l3 2.5 M16 9.5l3 2.5l-3 2.5",
  hint: "Caliper: drag along one edge, then click on the other: the distance of the two, straight across." });

let measuredOn = null; // what was open
register.section({
  id: "rulers", title: "Lengths", place: "closed", build: () => { showRulers(); return rulerList; },
  update(view) {
    if (view.image && view.image.opened !== measuredOn) {
      openCaliper = null;
      rulerWork.held = false;
    }
    measuredOn = view.image?.opened ?? null;
    takeRulers(view); // (shown anew even where they are the same: the size of a pixel may be another)
  },
});
