// How the picture is seen, apart from what the model is given: a window of grey values, gamma, one channel, inverted. The
// pixels that the model sees are the ground; where their window cut something off, the values themselves are asked for.

const PLAIN = { window: null, gamma: 1, invert: false, channel: "all" };
const viewing = { ...PLAIN };

const pictures = {
  held: new Map(), // key -> bitmap of the pixels that the model sees, oldest first
  source: null, // what is seen: { key, width, height, rgba, codes, low, step, window }, made when it is needed
};

const isPlainView = () => viewing.window === null && viewing.gamma === 1 && !viewing.invert && viewing.channel === "all";

const hasDeepValues = (image) => image.grey && (image.deep || image.window !== null);

// the picture of a slice that is held already, so that the server need not send it
const heldKey = (slice) => {
  const key = `${String(state.key).split(".").slice(0, 2).join(".")}.${slice}`;
  return pictures.held.has(key) ? key : state.key;
};

const MAX_HELD_BYTES = 64e6;

const holdPicture = async (image) => {
  if (image.png) {
    const bitmap = await createImageBitmap(await fetchData(image.png), { colorSpaceConversion: "none" });
    if (![...pictures.held.keys()].some((key) => key.split(".")[0] === image.key.split(".")[0])) pictures.held.clear();
    pictures.held.set(image.key, bitmap);
    const most = Math.max(2, Math.floor(MAX_HELD_BYTES / (4 * bitmap.width * bitmap.height)));
    while (pictures.held.size > most) pictures.held.delete(pictures.held.keys().next().value);
  }
  return pictures.held.get(image.key) ?? null;
};

// the picture that is drawn: what the model sees, or what the view makes of it
const showPicture = async (image) => {
  const bitmap = await holdPicture(image);
  if (!bitmap) { // given up meanwhile
    act({ op: "look", have: "" });
    return;
  }
  if (state.key !== image.key) return;
  const isOther = Number(image.key.split(".")[0]) !== pictures.opened;
  if (isOther) Object.assign(viewing, PLAIN);
  pictures.opened = Number(image.key.split(".")[0]);
  if (isPlainView()) {
    pictures.source = null;
    state.bitmap = bitmap;
  } else await renderView(image, bitmap);
};

const pixelsOf = (bitmap) => {
  const canvas = h("canvas", { width: bitmap.width, height: bitmap.height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, bitmap.width, bitmap.height).data;
};

// what the view is made from; grey values of more than 8 bits come from the server, once for a slice
const viewSource = async (image, bitmap) => {
  if (pictures.source?.key === image.key) return pictures.source;
  const source = { key: image.key, width: bitmap.width, height: bitmap.height, low: 0, step: 1, window: [127.5, 255] };
  if (hasDeepValues(image)) {
    const answer = await wire.direct({ op: "values", slice: image.slice });
    if (!answer.ok) { say(answer.error, { error: true }); return null; }
    Object.assign(source, await unpacked(answer), { window: answer.window });
  } else source.rgba = pixelsOf(bitmap);
  return state.key === image.key ? (pictures.source = source) : null;
};

// grey values from a picture that holds their codes in two bytes
const unpacked = async ({ png, low, step }) => {
  const deep = await createImageBitmap(await fetchData(png), { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  const rgba = pixelsOf(deep);
  const codes = new Uint16Array(rgba.length / 4);
  for (let i = 0; i < codes.length; i++) codes[i] = (rgba[4 * i] << 8) | rgba[4 * i + 1];
  return { codes, low, step, width: deep.width, height: deep.height };
};

// 0..255 for each code
const viewTable = (source) => {
  const [centre, width] = viewing.window ?? source.window;
  const table = new Uint8ClampedArray(source.codes ? 65536 : 256); // rounds as numpy does
  const low = centre - width / 2;
  for (let code = 0; code < table.length; code++) {
    let seen = clamp((source.low + source.step * code - low) / width, 0, 1);
    if (viewing.gamma !== 1) seen = seen ** (1 / viewing.gamma);
    table[code] = 255 * (viewing.invert ? 1 - seen : seen);
  }
  return table;
};

const renderView = async (image, bitmap) => {
  const source = await viewSource(image, bitmap);
  if (!source) return;
  state.bitmap = seenThrough(source);
  board.redraw();
};

const seenThrough = (source) => {
  const table = viewTable(source);
  const { codes, rgba, width, height } = source;
  const pixels = new ImageData(width, height);
  const out = new Uint32Array(pixels.data.buffer);
  const channel = ["red", "green", "blue"].indexOf(viewing.channel);
  for (let i = 0, j = 0; i < out.length; i++, j += 4) {
    let [r, g, b] = [0, 0, 0];
    if (codes) r = g = b = table[codes[i]];
    else if (channel >= 0) r = g = b = table[rgba[j + channel]];
    else { r = table[rgba[j]]; g = table[rgba[j + 1]]; b = table[rgba[j + 2]]; }
    out[i] = 0xff000000 | (b << 16) | (g << 8) | r;
  }
  const canvas = h("canvas", { width, height });
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return canvas;
};

const viewFollowers = []; // what else is seen through the same view
// after a change of the view; while one is made, only the newest of those that come waits
let viewAgain = false;
let viewBusy = false;
const showView = async () => {
  showLooks();
  viewAgain = true;
  if (viewBusy) return;
  viewBusy = true;
  while (viewAgain) {
    viewAgain = false;
    const image = state.view?.image;
    if (image) await showPicture({ ...image, png: null });
    board.redraw();
    for (const follow of viewFollowers) follow();
  }
  viewBusy = false;
};
