// Drawing: the picture, masks as fill and outline, boxes with handles, clicks, what is being drawn.

// a mask from its runs: a small canvas to fill with, and its outline along pixel edges
const maskShape = (mask, colour) => {
  const { x, y, w, h: rows, runs } = mask;
  if (!w || !rows) return null;
  const inside = new Uint8Array(w * rows);
  let at = 0;
  runs.forEach((length, i) => {
    if (i % 2) inside.fill(1, at, at + length);
    at += length;
  });
  const fill = document.createElement("canvas");
  fill.width = w;
  fill.height = rows;
  const context = fill.getContext("2d");
  const pixels = context.createImageData(w, rows);
  const packed = new Uint32Array(pixels.data.buffer);
  const value = (255 << 24) | (colour[2] << 16) | (colour[1] << 8) | colour[0];
  for (let i = 0; i < inside.length; i++) if (inside[i]) packed[i] = value;
  context.putImageData(pixels, 0, 0);
  return { x, y, w, h: rows, inside, fill, outline: outlineOf(inside, x, y, w, rows) };
};

const outlineOf = (inside, x, y, w, rows) => {
  const path = new Path2D();
  const at = (i, j) => (i < 0 || j < 0 || i >= w || j >= rows ? 0 : inside[j * w + i]);
  for (let j = 0; j <= rows; j++) {
    for (let i = 0; i < w; ) {
      if (at(i, j - 1) === at(i, j)) { i++; continue; }
      const start = i;
      while (i < w && at(i, j - 1) !== at(i, j)) i++;
      path.moveTo(x + start, y + j);
      path.lineTo(x + i, y + j);
    }
  }
  for (let i = 0; i <= w; i++) {
    for (let j = 0; j < rows; ) {
      if (at(i - 1, j) === at(i, j)) { j++; continue; }
      const start = j;
      while (j < rows && at(i - 1, j) !== at(i, j)) j++;
      path.moveTo(x + i, y + start);
      path.lineTo(x + i, y + j);
    }
  }
  return path;
};

const css = (colour, alpha = 1) => `rgb(${colour[0]} ${colour[1]} ${colour[2]} / ${alpha})`;

// what is drawn in a pane stays in it
const inPane = (context, pane, paint) => {
  context.save();
  context.beginPath();
  context.rect(pane.x, pane.y, pane.w, pane.h);
  context.clip();
  paint();
  context.restore();
};

// boxOfSelected: where the selected box is being dragged to, null while it is not
const drawPane = (context, pane, camera, scene, boxOfSelected) => inPane(context, pane, () => {
  const { bitmap, step, objects, look } = scene; // step: image pixels per shown pixel
  context.fillStyle = "#101214";
  context.fillRect(pane.x, pane.y, pane.w, pane.h);
  const [left, top] = camera.toScreen(pane, 0, 0);
  if (bitmap) {
    context.imageSmoothingEnabled = camera.scale < 4;
    context.drawImage(bitmap, left, top, camera.width * camera.sx(), camera.height * camera.sy());
  }
  if (pane.masks && look.show) {
    for (const item of objects) {
      if (item.shape && !item.hidden) drawMask(context, item, pane, camera, step, look, item.id === scene.selected);
    }
  }
  if (pane.other) for (const item of pane.other) if (item.shape) drawMask(context, item, pane, camera, step, look, false);
  if (pane.prompts && look.prompts) {
    const shown = objects.filter(({ hidden }) => !hidden)
      .map((item) => (boxOfSelected && item.id === scene.selected ? { ...item, box: boxOfSelected } : item));
    for (const item of shown) {
      const selected = item.id === scene.selected;
      drawPrompts(context, item, pane, camera, selected, selected && scene.tool === "box" && !item.locked);
    }
    drawNumbers(context, shown, pane, camera, step, scene.selected);
  }
  if (pane.title) drawTitle(context, pane);
});

const drawTitle = (context, pane) => {
  context.font = "13px system-ui, sans-serif";
  const width = context.measureText(pane.title).width;
  context.fillStyle = "rgb(0 0 0 / 0.65)";
  context.fillRect(pane.x + 6, pane.y + 6, width + 12, 22);
  context.fillStyle = "#fff";
  context.fillText(pane.title, pane.x + 12, pane.y + 21);
};

// the outline of a mask in screen pixels, so that lines are as thick both ways
const outlineOnScreen = (shape, pane, camera, step) => {
  const [x, y] = camera.toScreen(pane, 0, 0);
  const outline = new Path2D();
  outline.addPath(shape.outline, new DOMMatrix([camera.sx() * step, 0, 0, camera.sy() * step, x, y]));
  return outline;
};

const drawMask = (context, item, pane, camera, step, look, selected) => {
  const { shape, colour } = item;
  const [left, top] = camera.toScreen(pane, shape.x * step, shape.y * step);
  const [sx, sy] = [camera.sx() * step, camera.sy() * step];
  if (look.fill && look.opacity > 0) {
    context.globalAlpha = look.opacity;
    context.imageSmoothingEnabled = false;
    context.drawImage(shape.fill, left, top, shape.w * sx, shape.h * sy);
    context.globalAlpha = 1;
  }
  if (look.outline) {
    const outline = outlineOnScreen(shape, pane, camera, step);
    context.save();
    context.lineCap = "square";
    context.setLineDash(item.dashed ? [6, 4] : []);
    // a dark line under the coloured one shows on bright pictures
    context.lineWidth = selected ? 4.5 : 3.5;
    context.strokeStyle = "rgb(0 0 0 / 0.55)";
    context.stroke(outline);
    context.lineWidth = selected ? 2.5 : 1.5;
    context.strokeStyle = css(colour);
    context.stroke(outline);
    context.restore();
  }
};

const handlesOf = (box) => {
  const [x0, y0, x1, y1] = [box[0], box[1], box[2] + 1, box[3] + 1];
  const [mx, my] = [(x0 + x1) / 2, (y0 + y1) / 2];
  return [
    ["nw", x0, y0], ["n", mx, y0], ["ne", x1, y0], ["e", x1, my],
    ["se", x1, y1], ["s", mx, y1], ["sw", x0, y1], ["w", x0, my],
  ];
};

// thin unless it is the selected one: many frames must not hide the picture
const drawBox = (context, box, colour, pane, camera, selected) => {
  const [x0, y0] = camera.toScreen(pane, box[0], box[1]);
  const [x1, y1] = camera.toScreen(pane, box[2] + 1, box[3] + 1);
  context.lineWidth = selected ? 4 : 2;
  context.strokeStyle = selected ? "rgb(0 0 0 / 0.6)" : "rgb(0 0 0 / 0.3)";
  context.strokeRect(x0, y0, x1 - x0, y1 - y0);
  context.lineWidth = selected ? 2 : 1;
  context.strokeStyle = css(colour, selected ? 1 : 0.65);
  context.strokeRect(x0, y0, x1 - x0, y1 - y0);
};

// the number tells objects apart where colours do not: at a corner of the box or the mask, the selected one's first; one that
// would cover another finds no place
const drawNumbers = (context, objects, pane, camera, step, selected) => {
  const taken = [];
  const isFree = ([x, y], w, tall) => x >= pane.x && y >= pane.y && x + w <= pane.x + pane.w && y + tall <= pane.y + pane.h
    && !taken.some((other) => x < other.x + other.w && other.x < x + w && y < other.y + other.tall && other.y < y + tall);
  for (const item of objects.toSorted((a, b) => Number(b.id === selected) - Number(a.id === selected))) {
    const bounds = boundsOf(item, step);
    if (!bounds) continue;
    const [x0, y0] = camera.toScreen(pane, bounds[0], bounds[1]);
    const [x1, y1] = camera.toScreen(pane, bounds[2], bounds[3]);
    const [size, tall] = item.id === selected ? [12, 16] : [10, 13];
    context.font = `bold ${size}px system-ui, sans-serif`;
    const w = context.measureText(item.number).width + 6;
    const corner = [[x0, y0 - tall], [x1 - w, y0 - tall], [x0, y1], [x1 - w, y1]].find((at) => isFree(at, w, tall));
    if (!corner) continue;
    taken.push({ x: corner[0], y: corner[1], w, tall });
    drawNumber(context, item, corner, w, tall);
  }
};

// what is tagged of an object, x0 y0 x1 y1 in pixels; nothing where clicks mark it
const boundsOf = ({ box, shape, points }, step) => {
  if (box) return [box[0], box[1], box[2] + 1, box[3] + 1];
  return shape && !points.length ? [shape.x, shape.y, shape.x + shape.w, shape.y + shape.h].map((value) => value * step) : null;
};

const drawNumber = (context, { number, colour }, [x, y], w, tall) => {
  context.fillStyle = css(colour);
  context.fillRect(x, y, w, tall);
  context.strokeStyle = "rgb(0 0 0 / 0.7)";
  context.lineWidth = 1;
  context.strokeRect(x, y, w, tall);
  context.fillStyle = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] > 120 ? "#000" : "#fff";
  context.fillText(number, x + 3, y + tall - 3.5);
};

const drawPrompts = (context, item, pane, camera, selected, handles) => {
  if (item.box) drawBox(context, item.box, item.colour, pane, camera, selected);
  if (item.box && handles) {
    const side = Math.min((item.box[2] + 1 - item.box[0]) * camera.sx(), (item.box[3] + 1 - item.box[1]) * camera.sy());
    for (const [name, x, y] of handlesOf(item.box)) {
      if (side < 36 && name.length === 1) continue; // they would cover a small object
      const [sx, sy] = camera.toScreen(pane, x, y);
      context.fillStyle = "#fff";
      context.strokeStyle = "#000";
      context.lineWidth = 1.5;
      context.fillRect(sx - 4.5, sy - 4.5, 9, 9);
      context.strokeRect(sx - 4.5, sy - 4.5, 9, 9);
    }
  }
  for (const [x, y, label] of item.points) {
    const [sx, sy] = camera.toScreen(pane, x + 0.5, y + 0.5);
    drawClick(context, sx, sy, label, item.colour, selected ? 7 : 5);
  }
};

// a plus on the object, a cross off it: told apart by shape, not by colour
const drawClick = (context, x, y, label, colour, radius) => {
  context.beginPath();
  context.arc(x, y, radius + 1.5, 0, 2 * Math.PI);
  context.fillStyle = "#fff";
  context.fill();
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fillStyle = label ? css(colour) : "#000";
  context.fill();
  context.strokeStyle = label ? "#000" : "#fff";
  context.lineWidth = 2;
  const arm = (radius - 2) * (label ? 1 : 0.7);
  context.beginPath();
  if (label) {
    context.moveTo(x - arm, y); context.lineTo(x + arm, y);
    context.moveTo(x, y - arm); context.lineTo(x, y + arm);
  } else {
    context.moveTo(x - arm, y - arm); context.lineTo(x + arm, y + arm);
    context.moveTo(x - arm, y + arm); context.lineTo(x + arm, y - arm);
  }
  context.stroke();
};
