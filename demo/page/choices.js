// What one prompt can mean: the masks to choose among, each over its piece of the picture.

const CHOICE_SIDE = 84;

const choiceList = (view) => {
  const item = selectedObject();
  if (!item || item.choices.length < 2) { ui.choices.replaceChildren(); return; }
  const around = extentOf(item.choices.map(({ mask }) => mask), view.image);
  ui.choices.replaceChildren(h("span", { className: "lm-choicetitle" }, "The prompt can mean (C):"),
    ...item.choices.map((choice, i) => {
      const on = item.chosen === i;
      return h("button", { type: "button", className: on ? "lm-choice lm-on" : "lm-choice", "aria-pressed": String(on),
        title: `Mask ${i + 1}: ${choice.area.toLocaleString("en")} pixels`, onclick: () => act({ op: "choose", number: i }) },
      thumbnail(choice.mask, item.colour, around), h("span", {}, `Mask ${i + 1}`, h("b", {}, choice.score.toFixed(2))));
    }));
};

// the piece of the shown picture that all masks lie in, with some ground around them
const extentOf = (masks, image) => {
  const [w, rows] = [image.width, image.height].map((side) => Math.ceil(side / image.step));
  const [x0, y0] = ["x", "y"].map((side) => Math.min(...masks.map((mask) => mask[side])));
  const [x1, y1] = [["x", "w"], ["y", "h"]].map(([side, size]) => Math.max(...masks.map((mask) => mask[side] + mask[size])));
  const edge = Math.max(6, 0.2 * Math.max(x1 - x0, y1 - y0));
  const [left, top] = [Math.max(0, x0 - edge), Math.max(0, y0 - edge)];
  return { x: left, y: top, w: Math.min(w, x1 + edge) - left, h: Math.min(rows, y1 + edge) - top };
};

const thumbnail = (mask, colour, around) => {
  const ratio = window.devicePixelRatio || 1;
  const side = Math.round(CHOICE_SIDE * ratio);
  const node = h("canvas", { width: side, height: side, "aria-hidden": "true" });
  const context = node.getContext("2d");
  context.fillStyle = "#101214";
  context.fillRect(0, 0, side, side);
  const { ax, ay } = board.camera;
  const zoom = Math.min(side / (around.w * ax), side / (around.h * ay));
  context.translate((side - around.w * ax * zoom) / 2, (side - around.h * ay * zoom) / 2);
  context.scale(ax * zoom, ay * zoom);
  context.translate(-around.x, -around.y);
  if (state.bitmap) {
    context.drawImage(state.bitmap, around.x, around.y, around.w, around.h, around.x, around.y, around.w, around.h);
  }
  const shape = maskShape(mask, colour);
  if (!shape) return node;
  context.globalAlpha = 0.4;
  context.imageSmoothingEnabled = false;
  context.drawImage(shape.fill, shape.x, shape.y);
  context.globalAlpha = 1;
  context.strokeStyle = css(colour);
  context.lineWidth = (2 * ratio) / (Math.min(ax, ay) * zoom);
  context.stroke(shape.outline);
  return node;
};

const nextChoice = () => {
  const item = selectedObject();
  if (item?.choices.length > 1) act({ op: "choose", number: ((item.chosen ?? -1) + 1) % item.choices.length });
};
