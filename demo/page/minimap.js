// A small map in the corner while a part of the picture is seen: where that part lies. A click or a drag on it leads there.

const MAP_SIDE = 120; // screen pixels of the longer side
const ABOVE = 36; // the lower edge: where the pointer is stands below

// where the map lies in a pane; null while the whole picture is seen
const mapOf = (pane, camera) => {
  const { width, height } = camera;
  const [left, top] = camera.toPicture(pane, pane.x, pane.y);
  const [right, bottom] = camera.toPicture(pane, pane.x + pane.w, pane.y + pane.h);
  if (camera.fitted || (left <= 0 && top <= 0 && right >= width && bottom >= height) || pane.w < 3 * MAP_SIDE) return null;
  const scale = MAP_SIDE / Math.max(width * camera.ax, height * camera.ay);
  const [w, tall] = [width * camera.ax * scale, height * camera.ay * scale];
  return { x: pane.x + 8, y: pane.y + pane.h - tall - ABOVE, sx: scale * camera.ax, sy: scale * camera.ay, w, h: tall,
    seen: [left, top, right, bottom] };
};

overlays.push((context, pane, camera) => {
  const map = mapOf(pane, camera);
  if (!map) return;
  const { x, y, w, h: height, sx, sy, seen: [left, top, right, bottom] } = map;
  context.save();
  context.imageSmoothingEnabled = true;
  context.drawImage(state.bitmap, x, y, w, height);
  context.lineWidth = 1;
  context.strokeStyle = "#fff";
  context.strokeRect(x, y, w, height);
  context.beginPath();
  context.rect(x, y, w, height);
  context.clip();
  context.lineWidth = 2;
  context.strokeStyle = "#ffe14d";
  context.strokeRect(x + left * sx, y + top * sy, (right - left) * sx, (bottom - top) * sy);
  context.restore();
});

const leadTo = (map, place) => {
  const { camera } = board;
  camera.cx = (place.sx - map.x) / map.sx;
  camera.cy = (place.sy - map.y) / map.sy;
  camera.keepInside(place.pane);
  board.redraw();
};

catchers.push((place, event) => {
  const map = event.button === 0 ? mapOf(place.pane, board.camera) : null;
  if (!map || place.sx < map.x || place.sy < map.y || place.sx > map.x + map.w || place.sy > map.y + map.h) return null;
  leadTo(map, place);
  return { move: (now) => leadTo(map, now), end() {} };
});
