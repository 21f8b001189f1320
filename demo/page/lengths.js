// Lengths: how large a pixel is, lengths in words, the scale bar. In um or mm where the file or the user says it, else in px.

// micrometres across and down a pixel of the slice; null where unknown
const pixelUmOf = (image) => (image?.spacing_mm ? { x: 1000 * image.spacing_mm.at(-1), y: 1000 * image.spacing_mm.at(-2) } : null);

const lengthText = (um, digits = 4) => {
  const rounded = Number(um.toPrecision(digits));
  return rounded < 1000 ? `${rounded} µm` : `${Number((um / 1000).toPrecision(digits))} mm`;
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
