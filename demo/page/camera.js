// Which part of the picture is seen. Picture coordinates are continuous: pixel i covers i to i + 1. Prompts leave here
// as pixel indices, so they depend on neither zoom, nor the shape of the canvas, nor the screen's pixel ratio, nor on how
// long the sides of a pixel are shown: `scale` is screen pixels for the shorter side, `ax` and `ay` how much longer each is.

const MARGIN = 4; // screen pixels

const makeCamera = () => {
  const camera = { scale: 1, ax: 1, ay: 1, cx: 0.5, cy: 0.5, width: 1, height: 1, fitted: true };

  camera.sx = () => camera.scale * camera.ax;
  camera.sy = () => camera.scale * camera.ay;
  // a little ground stays around a whole picture, so that a drag can begin beyond its edge
  camera.fitScale = (pane) => Math.max(1e-6, Math.min(
    (pane.w - 2 * MARGIN) / (camera.width * camera.ax), (pane.h - 2 * MARGIN) / (camera.height * camera.ay)));
  camera.fit = (pane) => {
    camera.scale = camera.fitScale(pane);
    camera.cx = camera.width / 2;
    camera.cy = camera.height / 2;
    camera.fitted = true;
  };
  camera.toScreen = (pane, x, y) => [
    pane.x + pane.w / 2 + (x - camera.cx) * camera.sx(),
    pane.y + pane.h / 2 + (y - camera.cy) * camera.sy(),
  ];
  camera.toPicture = (pane, sx, sy) => [
    (sx - pane.x - pane.w / 2) / camera.sx() + camera.cx,
    (sy - pane.y - pane.h / 2) / camera.sy() + camera.cy,
  ];
  camera.keepInside = (pane) => {
    const fit = camera.fitScale(pane);
    camera.scale = Math.min(Math.max(camera.scale, fit * 0.5), Math.max(64, fit));
    camera.cx = Math.min(Math.max(camera.cx, 0), camera.width);
    camera.cy = Math.min(Math.max(camera.cy, 0), camera.height);
  };
  camera.zoom = (pane, factor, sx, sy) => {
    const [x, y] = camera.toPicture(pane, sx, sy);
    camera.scale *= factor;
    camera.keepInside(pane);
    // the picture point under the pointer stays there
    camera.cx = x - (sx - pane.x - pane.w / 2) / camera.sx();
    camera.cy = y - (sy - pane.y - pane.h / 2) / camera.sy();
    camera.fitted = false;
    camera.keepInside(pane);
  };
  camera.pan = (pane, dx, dy) => {
    camera.cx -= dx / camera.sx();
    camera.cy -= dy / camera.sy();
    camera.fitted = false;
    camera.keepInside(pane);
  };
  return camera;
};

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

// the pixel that a picture point lies in
const pixelOf = (x, y, width, height) => [clamp(Math.floor(x), 0, width - 1), clamp(Math.floor(y), 0, height - 1)];

// the pixels that a drawn rectangle touches, as x0 y0 x1 y1 with the last pixel inside
const boxOf = (ax, ay, bx, by, width, height) => {
  const [x0, x1] = ax < bx ? [ax, bx] : [bx, ax];
  const [y0, y1] = ay < by ? [ay, by] : [by, ay];
  const left = clamp(Math.floor(x0), 0, width - 1);
  const top = clamp(Math.floor(y0), 0, height - 1);
  return [left, top, clamp(Math.ceil(x1) - 1, left, width - 1), clamp(Math.ceil(y1) - 1, top, height - 1)];
};
