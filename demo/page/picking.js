// What lies under a place on the picture: a handle or the border of the selected box, a click, an object.

const HANDLE_REACH = 8; // screen pixels
const BORDER_REACH = 6;
const MARK_REACH = 8;

const selectedObject = () => state.objects.find((item) => item.id === state.selected) ?? null;

// the name of a handle, "move" on the border, null elsewhere: the inside belongs to what lies there
const gripAt = (place) => {
  const item = selectedObject();
  if (!item?.box || item.hidden || item.locked) return null;
  const { camera } = board;
  const more = place.touch ? 8 : 0;
  for (const [name, x, y] of handlesOf(item.box)) {
    const [sx, sy] = camera.toScreen(place.pane, x, y);
    if (Math.hypot(sx - place.sx, sy - place.sy) <= HANDLE_REACH + more) return name;
  }
  const [left, top] = camera.toScreen(place.pane, item.box[0], item.box[1]);
  const [right, bottom] = camera.toScreen(place.pane, item.box[2] + 1, item.box[3] + 1);
  const reach = BORDER_REACH + more / 2;
  const { sx, sy } = place;
  const near = sx >= left - reach && sx <= right + reach && sy >= top - reach && sy <= bottom + reach;
  const within = sx > left + reach && sx < right - reach && sy > top + reach && sy < bottom - reach;
  return near && !within ? "move" : null;
};

const clickNumberAt = (place) => {
  const item = selectedObject();
  return item ? markAt(item.points, place, board.camera, place.pane) : -1;
};

// which of the clicks has its mark under a place; -1: none
const markAt = (points, place, camera, pane) => points.findIndex(([x, y]) => {
  const [sx, sy] = camera.toScreen(pane, x + 0.5, y + 0.5);
  return Math.hypot(sx - place.sx, sy - place.sy) <= MARK_REACH;
});

// whether a place lies on a mask
const lies = (place, shape) => {
  if (!shape) return false;
  const [i, j] = [Math.floor(place.x / state.step) - shape.x, Math.floor(place.y / state.step) - shape.y];
  return i >= 0 && j >= 0 && i < shape.w && j < shape.h && Boolean(shape.inside[j * shape.w + i]);
};

// the one on top of those that are shown
const objectAt = (place) => state.objects.findLast(({ shape, hidden }) => !hidden && lies(place, shape)) ?? null;

// whether a change of the selected object is refused, with a word
const isLocked = () => {
  const item = selectedObject();
  if (!item?.locked) return false;
  say(`${item.name} is locked: unlock it, or select another object.`, { error: true, id: "locked" });
  return true;
};

// pixel indices, fractions kept, of a place
const indexPoint = ({ x, y }) => [Math.round((x - 0.5) * 100) / 100, Math.round((y - 0.5) * 100) / 100];
