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
    for (const item of objects) {
      if (item.hidden) continue;
      const selected = item.id === scene.selected;
      drawPrompts(context, item, pane, camera, step, selected, selected && scene.tool === "box" && !item.locked, boxOfSelected);
    }
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
    const [x, y] = camera.toScreen(pane, 0, 0);
    const outline = new Path2D(); // on the screen, so that lines are as thick both ways
    outline.addPath(shape.outline, new DOMMatrix([sx, 0, 0, sy, x, y]));
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

const drawBox = (context, box, colour, pane, camera, selected, number) => {
  const [x0, y0] = camera.toScreen(pane, box[0], box[1]);
  const [x1, y1] = camera.toScreen(pane, box[2] + 1, box[3] + 1);
  context.lineWidth = selected ? 4 : 3;
  context.strokeStyle = "rgb(0 0 0 / 0.6)";
  context.strokeRect(x0, y0, x1 - x0, y1 - y0);
  context.lineWidth = selected ? 2 : 1.25;
  context.strokeStyle = css(colour);
  context.strokeRect(x0, y0, x1 - x0, y1 - y0);
  if (number !== null) drawNumber(context, number, colour, x0, y0);
};

// the number tells objects apart where colours do not
const drawNumber = (context, number, colour, x, y) => {
  context.font = "bold 12px system-ui, sans-serif";
  const width = context.measureText(number).width + 8;
  context.fillStyle = css(colour);
  context.fillRect(x, y - 16, width, 16);
  context.strokeStyle = "rgb(0 0 0 / 0.7)";
  context.lineWidth = 1;
  context.strokeRect(x, y - 16, width, 16);
  context.fillStyle = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] > 120 ? "#000" : "#fff";
  context.fillText(number, x + 4, y - 4);
};

const drawPrompts = (context, item, pane, camera, step, selected, handles, boxOfSelected) => {
  const box = selected && boxOfSelected ? boxOfSelected : item.box;
  if (box) {
    drawBox(context, box, item.colour, pane, camera, selected, String(item.number));
    if (handles) {
      for (const [, x, y] of handlesOf(box)) {
        const [sx, sy] = camera.toScreen(pane, x, y);
        context.fillStyle = "#fff";
        context.strokeStyle = "#000";
        context.lineWidth = 1.5;
        context.fillRect(sx - 4.5, sy - 4.5, 9, 9);
        context.strokeRect(sx - 4.5, sy - 4.5, 9, 9);
      }
    }
  } else if (item.shape && !item.points.length) {
    const [x, y] = camera.toScreen(pane, item.shape.x * step, item.shape.y * step);
    drawNumber(context, String(item.number), item.colour, x, y);
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

const drawWelcome = (context, width, height) => {
  context.fillStyle = "#d8dde2";
  context.textAlign = "center";
  context.font = `600 ${width < 420 ? 15 : 17}px system-ui, sans-serif`;
  context.fillText("Choose a sample, or open a file", width / 2, height / 2 - 14);
  context.font = "14px system-ui, sans-serif";
  context.fillText("or drop one here", width / 2, height / 2 + 14);
  context.textAlign = "start";
};
