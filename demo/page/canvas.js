// The canvas: pointers become gestures. One finger or the left button is the tool; two fingers or the wheel zoom; the
// middle button, the space bar or the hand tool move the picture; the right button drags the window of grey values, and
// clicks "not on the object". What a tool does lies in a file of its own, which puts it into `gestures`.

// tool -> { start(place, event) -> gesture or null }, and what it may have: cursor(place), cancel() by Esc, key(event) -> whether
// the key was meant for it. A gesture has move(place) and end(place), and may have draw(context, pane, camera), cancel(),
// boxOfSelected (drawn in place of the selected object's box)
const gestures = new Map();
// (context, pane, camera) => what is drawn over picture, masks and prompts
const overlays = [];
// (place, event) => gesture or null: what lies over the picture gets a pointer before the tool does
const catchers = [];
// (place or null, event) => where the pointer is without a button; null: it has left, or began a gesture
const hovers = [];

const CLICK_REACH = 4; // a pointer that moves less than this many screen pixels has clicked

const isFar = (a, b) => Math.hypot(a.sx - b.sx, a.sy - b.sy) >= CLICK_REACH;

// side by side, two models, or one picture
const panesOf = (w, height) => {
  if (!state.look.sideBySide && !state.other) return [{ x: 0, y: 0, w, h: height, masks: true, prompts: true }];
  const first = { masks: Boolean(state.other), prompts: true, title: state.other ? state.model : "picture" };
  const second = state.other
    ? { masks: false, prompts: true, other: state.other, title: state.otherName }
    : { masks: true, prompts: true, title: "masks" };
  if (w >= height) {
    const half = Math.floor(w / 2) - 1;
    return [{ x: 0, y: 0, w: half, h: height, ...first }, { x: half + 2, y: 0, w: w - half - 2, h: height, ...second }];
  }
  const half = Math.floor(height / 2) - 1;
  return [{ x: 0, y: 0, w, h: half, ...first }, { x: 0, y: half + 2, w, h: height - half - 2, ...second }];
};

const makeCanvas = (canvas) => {
  const camera = makeCamera();
  const pointers = new Map();
  const context = canvas.getContext("2d");
  let gesture = null;
  let frame = 0;
  let wheeled = 0; // of a touchpad, until it is a slice

  const panes = () => panesOf(canvas.clientWidth, canvas.clientHeight);

  const draw = () => {
    frame = 0;
    const ratio = window.devicePixelRatio || 1;
    const [w, height] = [canvas.clientWidth, canvas.clientHeight];
    if (!w || !height) return;
    const [dw, dh] = [Math.round(w * ratio), Math.round(height * ratio)];
    if (canvas.width !== dw || canvas.height !== dh) [canvas.width, canvas.height] = [dw, dh];
    context.setTransform(dw / w, 0, 0, dh / height, 0, 0);
    context.clearRect(0, 0, w, height);
    const list = panes();
    if (camera.fitted) camera.fit(list[0]);
    for (const pane of list) {
      drawPane(context, pane, camera, state, gesture?.boxOfSelected ?? null);
      if (!state.bitmap || !pane.prompts) continue;
      inPane(context, pane, () => {
        for (const overlay of overlays) overlay(context, pane, camera);
        gesture?.draw?.(context, pane, camera);
      });
    }
    if (state.bitmap) drawScaleBar(context, list.at(-1), camera, state.pixelUm, state.view.image.scale.origin);
    canvas.dataset.scale = camera.scale.toFixed(6);
  };
  const redraw = () => { if (!frame) frame = requestAnimationFrame(draw); };

  const at = (event) => {
    const rect = canvas.getBoundingClientRect();
    const sx = ((event.clientX - rect.left) * canvas.clientWidth) / rect.width;
    const sy = ((event.clientY - rect.top) * canvas.clientHeight) / rect.height;
    const list = panes();
    const pane = list.find((p) => sx >= p.x && sx < p.x + p.w && sy >= p.y && sy < p.y + p.h) ?? list[0];
    const [x, y] = camera.toPicture(pane, sx, sy);
    return { sx, sy, x, y, pane, touch: event.pointerType === "touch" };
  };

  const panning = (place) => {
    let last = place;
    return {
      pans: true,
      move(now) {
        camera.pan(now.pane, now.sx - last.sx, now.sy - last.sy);
        last = now;
      },
      end() {},
    };
  };

  const pinching = () => {
    const pinch = () => {
      const [a, b] = [...pointers.values()];
      return { x: (a.sx + b.sx) / 2, y: (a.sy + b.sy) / 2, gap: Math.max(10, Math.hypot(a.sx - b.sx, a.sy - b.sy)) };
    };
    let last = pinch();
    return {
      pans: true,
      move(place) {
        if (pointers.size < 2) return;
        const now = pinch();
        camera.zoom(place.pane, now.gap / last.gap, now.x, now.y);
        camera.pan(place.pane, now.x - last.x, now.y - last.y);
        last = now;
      },
      end() {},
    };
  };

  // the right button: a drag is the window, a click is the tool's click with the other sign
  const rightButton = (place, event) => {
    let drag = null;
    return {
      move(now) {
        if (!drag && isFar(place, now)) drag = gestures.get("window").start(place, event);
        drag?.move(now);
      },
      end(now) {
        if (drag) drag.end(now);
        else gestures.get(state.tool)?.start(place, event)?.end(place);
      },
    };
  };

  const begin = (place, event) => {
    if (event.button === 1 || state.tool === "hand" || state.spaceHeld) return panning(place);
    for (const caught of catchers) {
      const found = caught(place, event);
      if (found) return found;
    }
    if (event.button === 2) return rightButton(place, event);
    return gestures.get(state.tool)?.start(place, event) ?? null;
  };

  const giveUp = () => {
    gesture?.cancel?.();
    gesture = null;
  };

  canvas.addEventListener("pointerdown", (event) => {
    if (!state.bitmap) return;
    canvas.focus({ preventScroll: true });
    const place = at(event);
    pointers.set(event.pointerId, place);
    try { canvas.setPointerCapture(event.pointerId); } catch { /* a pointer that is gone already */ }
    event.preventDefault();
    for (const hover of hovers) hover(null, event);
    if (pointers.size === 2) {
      giveUp(); // whatever the first finger began
      gesture = pinching();
    } else if (pointers.size === 1) {
      gesture = begin(place, event);
      if (gesture) gesture.from = place;
    }
    redraw();
  });

  canvas.addEventListener("pointermove", (event) => {
    const place = at(event);
    if (!pointers.has(event.pointerId)) {
      for (const hover of hovers) hover(place, event);
      showCursor(place);
      return;
    }
    pointers.set(event.pointerId, place);
    if (!gesture) return;
    stayInPane(place);
    gesture.move(place);
    redraw();
  });

  // a drag that leaves its pane goes on in it
  const stayInPane = (place) => {
    if (gesture.pans || !gesture.from) return;
    place.pane = gesture.from.pane;
    [place.x, place.y] = camera.toPicture(place.pane, place.sx, place.sy);
  };

  const release = (event, cancelled) => {
    if (!pointers.delete(event.pointerId) || !gesture) return;
    if (gesture.pans && pointers.size) return;
    const place = at(event);
    stayInPane(place);
    const done = gesture;
    gesture = null;
    if (cancelled) done.cancel?.();
    else done.end(place);
    redraw();
  };
  canvas.addEventListener("pointerup", (event) => release(event, false));
  canvas.addEventListener("pointercancel", (event) => release(event, true));
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("pointerleave", (event) => { for (const hover of hovers) hover(null, event); });

  const showCursor = (place) => {
    const pans = state.tool === "hand" || state.spaceHeld;
    canvas.style.cursor = pans ? "grab" : (state.bitmap && gestures.get(state.tool)?.cursor?.(place)) || "crosshair";
  };

  // what a tool has begun goes before the keys of the page
  canvas.addEventListener("keydown", (event) => {
    if (!gestures.get(state.tool)?.key?.(event)) return;
    event.preventDefault();
    event.stopPropagation();
  });

  canvas.addEventListener("wheel", (event) => {
    if (!state.bitmap) return;
    event.preventDefault();
    const pixels = (event.deltaY || event.deltaX) * (event.deltaMode === 1 ? 33 : 1);
    if (state.slices > 1 && !event.ctrlKey && !event.metaKey) {
      wheeled = Math.sign(wheeled) === Math.sign(pixels) ? wheeled + pixels : pixels;
      if (Math.abs(wheeled) < 40) return; // a mouse wheel turns by more than this, a touchpad by less
      state.onSlice?.(Math.sign(wheeled));
      wheeled = 0;
      return;
    }
    const place = at(event);
    // a pinch on a touchpad comes as small turns with Ctrl
    const rate = event.ctrlKey && Math.abs(pixels) < 40 ? 0.01 : 0.0015;
    camera.zoom(place.pane, Math.exp(clamp(-pixels, -300, 300) * rate), place.sx, place.sy);
    redraw();
  }, { passive: false });

  new ResizeObserver(redraw).observe(canvas);

  return {
    camera,
    redraw,
    at,
    panes,
    // half a screen pixel beyond the edge still means the pixel at the edge: browsers round where a pointer is
    isInside({ x, y }) {
      const [rx, ry] = [1 / camera.sx(), 1 / camera.sy()];
      return x >= -rx && y >= -ry && x < camera.width + rx && y < camera.height + ry;
    },
    picture(width, height) { // another picture: seen whole
      camera.width = width;
      camera.height = height;
      camera.fitted = true;
      giveUp();
      redraw();
    },
    fit() { camera.fitted = true; redraw(); },
    zoomBy(factor) {
      const pane = panes()[0];
      camera.zoom(pane, factor, pane.x + pane.w / 2, pane.y + pane.h / 2);
      redraw();
    },
    panBy(dx, dy) { camera.pan(panes()[0], dx, dy); redraw(); },
    // gives up what is being drawn; the tool's `cancel` may have more to take away
    giveUp() {
      if (gesture) giveUp();
      else gestures.get(state.tool)?.cancel?.();
      redraw();
    },
    // how many times longer than the other a pixel is shown across and down; a whole picture stays whole
    aspect(across, down) {
      [camera.ax, camera.ay] = [across / Math.min(across, down), down / Math.min(across, down)];
      redraw();
    },
    // where the middle of an image pixel is on the page; for tests and for scripts that drive the page
    toClient(x, y) {
      const list = panes();
      if (camera.fitted) camera.fit(list[0]);
      const rect = canvas.getBoundingClientRect();
      const [sx, sy] = camera.toScreen(list[0], x + 0.5, y + 0.5);
      return [rect.left + (sx * rect.width) / canvas.clientWidth, rect.top + (sy * rect.height) / canvas.clientHeight];
    },
  };
};

// the space bar moves the picture from the first moment on, wherever the focus is, and scrolls no page; in a field it
// types, on a control that the pointer is away from it presses it
const watchSpace = (canvas) => {
  let over = false;
  canvas.addEventListener("pointerenter", () => { over = true; });
  canvas.addEventListener("pointerleave", () => { over = false; });
  const types = (node) => node.matches?.("input:not([type=range]):not([type=checkbox]):not([type=file]), textarea, [contenteditable]");
  const presses = (node) => node.matches?.("button, a, summary, select, input, [role=button], [role=tab]");
  const pans = (event) => event.key === " " && canvas.offsetParent && state.bitmap && !types(event.target)
    && (over || !presses(event.target));
  document.addEventListener("keydown", (event) => {
    if (!pans(event)) return;
    event.preventDefault();
    event.stopPropagation();
    state.spaceHeld = true;
    if (over) canvas.style.cursor = "grab";
  }, true);
  document.addEventListener("keyup", (event) => {
    if (event.key !== " " || !state.spaceHeld) return;
    event.preventDefault(); // else a button that has the focus would be pressed
    state.spaceHeld = false;
  }, true);
  window.addEventListener("blur", () => { state.spaceHeld = false; });
};
