// The box tool: a drag is the box of a new object, or of the selected one while nothing is said of it on this slice. The
// selected box moves by its border and changes by its handles; what lies inside it is left to other objects.

const BOX_CURSORS = { nw: "nwse-resize", se: "nwse-resize", ne: "nesw-resize", sw: "nesw-resize",
  n: "ns-resize", s: "ns-resize", e: "ew-resize", w: "ew-resize", move: "move" };

let pendingBox = null; // drawn, and not answered yet

// whether a drag belongs to a new object
const drawsNew = (event) => {
  const item = selectedObject();
  const isSaid = item && (item.box || item.points.length || (item.mask && !item.followed));
  return event.shiftKey || !item || Boolean(isSaid) || Boolean(item.locked);
};

const movedBox = (box, grip, dx, dy) => {
  const { width, height } = board.camera;
  let [x0, y0, x1, y1] = [box[0], box[1], box[2] + 1, box[3] + 1];
  if (grip === "move") {
    const mx = clamp(Math.round(dx), -x0, width - x1);
    const my = clamp(Math.round(dy), -y0, height - y1);
    return [x0 + mx, y0 + my, x1 + mx - 1, y1 + my - 1];
  }
  if (grip.includes("w")) x0 += dx;
  if (grip.includes("e")) x1 += dx;
  if (grip.includes("n")) y0 += dy;
  if (grip.includes("s")) y1 += dy;
  const snap = (value, limit) => clamp(Math.round(value), 0, limit);
  return boxOf(snap(x0, width), snap(y0, height), snap(x1, width), snap(y1, height), width, height);
};

const isOutside = (a, b) => {
  const { width, height } = board.camera;
  return Math.max(a.x, b.x) <= 0 || Math.max(a.y, b.y) <= 0 || Math.min(a.x, b.x) >= width || Math.min(a.y, b.y) >= height;
};

// the drawn box stays to be seen until its mask is there
const sendBox = (box, fresh, colour) => {
  const shown = pendingBox = { box, colour, slice: state.slice };
  const gone = () => { if (pendingBox === shown) { pendingBox = null; board.redraw(); } };
  return act(fresh ? { op: "box", box, new: true } : { op: "box", box }).then(gone, gone);
};

// said where a drag adds to an object that is known from other slices or planes
const sayWhose = (item) => {
  if (item.slices.length) say(`One more box of ${item.name}; with Shift it is a new object.`, { id: "whose" });
};

// two objects may touch: what was meant for a new one must not change the other in silence
const sayChanged = (name) => say(`The box of ${name} was changed. From its border a drag with Shift makes a new object.`,
  { id: "whose", action: ["Undo", () => act({ op: "undo" })] });

const resizing = (grip, start) => {
  const { box, colour, name } = selectedObject();
  return {
    boxOfSelected: null,
    move(place) { this.boxOfSelected = movedBox(box, grip, place.x - start.x, place.y - start.y); },
    end() {
      if (!this.boxOfSelected?.some((value, i) => value !== box[i])) return;
      sendBox(this.boxOfSelected, false, colour).then(() => sayChanged(name));
    },
  };
};

const drawing = (start, fresh) => {
  const { width, height } = board.camera;
  const colour = fresh ? state.nextColour : selectedObject().colour;
  let box = null;
  let outside = false;
  return {
    move(place) {
      if (!box && !outside && !isFar(start, place)) return;
      outside = isOutside(start, place);
      box = outside ? null : boxOf(start.x, start.y, place.x, place.y, width, height);
    },
    end(place) {
      if (outside) say("That box lies outside the picture: drag over the object.", { error: true, id: "outside" });
      else if (box) {
        if (!fresh) sayWhose(selectedObject());
        sendBox(box, fresh, colour);
      } else {
        const hit = objectAt(place);
        if (hit && hit.id !== state.selected) act({ op: "select", object: hit.id });
        else say("Drag from one corner of the object to the other.");
      }
    },
    draw(context, pane, camera) { if (box) drawBox(context, box, colour, pane, camera, true); },
  };
};

gestures.set("box", {
  start(place, event) {
    if (event.button === 2 || event.altKey) return gestures.get("click").start(place, event);
    const grip = event.shiftKey ? null : gripAt(place);
    return grip ? resizing(grip, place) : drawing(place, drawsNew(event));
  },
  cursor: (place) => BOX_CURSORS[gripAt(place)] ?? null,
});

overlays.push((context, pane, camera) => {
  if (!pendingBox || pendingBox.slice !== state.slice) return;
  context.setLineDash([6, 5]);
  drawBox(context, pendingBox.box, pendingBox.colour, pane, camera, true);
  context.setLineDash([]);
});
