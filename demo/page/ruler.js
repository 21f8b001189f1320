// Lengths: the ruler, the scale bar, and how large a pixel is. In um or mm where the file or the user says it, else in px.

// micrometres across and down a pixel of the slice; null where unknown
const pixelUmOf = (image) => (image?.spacing_mm ? { x: 1000 * image.spacing_mm.at(-1), y: 1000 * image.spacing_mm.at(-2) } : null);

const lengthText = (um, digits = 4) => {
  const rounded = Number(um.toPrecision(digits));
  return rounded < 1000 ? `${rounded} µm` : `${Number((um / 1000).toPrecision(digits))} mm`;
};

const rulerText = ({ from, to }, um) => {
  const [dx, dy] = [Math.abs(to[0] - from[0]), Math.abs(to[1] - from[1])];
  const pixels = `${Math.hypot(dx, dy).toFixed(1)} px`;
  if (!um) return `Ruler: ${pixels}; how large a pixel is is not known (${dx.toFixed(1)} across, ${dy.toFixed(1)} down)`;
  return `Ruler: ${lengthText(Math.hypot(dx * um.x, dy * um.y))}, ${pixels} `
    + `(${lengthText(dx * um.x)} across, ${lengthText(dy * um.y)} down)`;
};

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

const drawRuler = (context, ruler, pane, camera, um) => {
  const [x0, y0] = camera.toScreen(pane, ...ruler.from);
  const [x1, y1] = camera.toScreen(pane, ...ruler.to);
  const length = Math.hypot(x1 - x0, y1 - y0) || 1;
  const [tx, ty] = [(-6 * (y1 - y0)) / length, (6 * (x1 - x0)) / length];
  for (const [x, y] of [[x0, y0], [x1, y1]]) drawLine(context, x - tx, y - ty, x + tx, y + ty);
  drawLine(context, x0, y0, x1, y1);
  const [dx, dy] = [ruler.to[0] - ruler.from[0], ruler.to[1] - ruler.from[1]];
  const pixels = `${Math.hypot(dx, dy).toFixed(1)} px`;
  const text = um ? `${lengthText(Math.hypot(dx * um.x, dy * um.y))} · ${pixels}` : pixels;
  context.font = "bold 13px system-ui, sans-serif";
  const width = context.measureText(text).width + 12;
  // beside the end that was dragged last, inside the pane
  const left = clamp(x1 + 10, pane.x + 2, pane.x + pane.w - width - 2);
  const top = clamp(y1 + 10, pane.y + 2, pane.y + pane.h - 24);
  context.fillStyle = "rgb(0 0 0 / 0.75)";
  context.fillRect(left, top, width, 22);
  context.fillStyle = "#fff";
  context.fillText(text, left + 6, top + 16);
};

// the longest of 1, 2, 5, 10, 20, ... that is not longer than the limit
const roundLength = (limit) => {
  const power = 10 ** Math.floor(Math.log10(limit));
  return power * [5, 2, 1].find((step) => step * power <= limit * (1 + 1e-9));
};

// one bar where a length looks the same both ways, else one across and one down
const drawScaleBar = (context, pane, camera, um, origin) => {
  const perUnit = um ? { x: camera.sx() / um.x, y: camera.sy() / um.y } : { x: camera.sx(), y: camera.sy() }; // screen pixels
  const text = (length) => (um ? lengthText(length) : `${length} px`);
  const wanted = roundLength(clamp(pane.w / 5, 50, 140) / perUnit.x);
  const across = um ? wanted : Math.max(1, wanted);
  const downLimit = clamp(pane.h / 5, 30, 100) / perUnit.y;
  const down = Math.abs(perUnit.x / perUnit.y - 1) > 0.01 ? (um ? roundLength(downLimit) : Math.max(1, roundLength(downLimit))) : null;
  const lines = [text(across) + (down === null ? "" : ` across, ${text(down)} down`),
    um ? `scale: ${origin ?? "unknown"}` : "scale unknown"];
  context.font = "12px system-ui, sans-serif";
  const [barW, barH] = [across * perUnit.x, down === null ? 0 : down * perUnit.y];
  const width = Math.max(barW, ...lines.map((line) => context.measureText(line).width)) + 16;
  const height = 46 + barH;
  const [right, bottom] = [pane.x + pane.w - 8, pane.y + pane.h - 8];
  context.fillStyle = "rgb(0 0 0 / 0.65)";
  context.fillRect(right - width, bottom - height, width, height);
  context.fillStyle = "#fff";
  context.textAlign = "end";
  context.fillText(lines[0], right - 8, bottom - 22);
  context.fillText(lines[1], right - 8, bottom - 7);
  context.textAlign = "start";
  context.fillRect(right - 8 - barW, bottom - 40, barW, 3);
  if (barH) context.fillRect(right - 11, bottom - 40 - barH + 3, 3, barH);
};
