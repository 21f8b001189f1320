// The canvas: pointers become prompts. One finger or the left button is the tool; two fingers or the wheel zoom; the
// middle button, the space bar or the hand tool move the picture; the right button is "not on the object".

const HANDLE_REACH = 10;
const CLICK_REACH = 4; // a pointer that moves less than this many screen pixels has clicked
const CURSORS = { nw: "nwse-resize", se: "nwse-resize", ne: "nesw-resize", sw: "nesw-resize",
  n: "ns-resize", s: "ns-resize", e: "ew-resize", w: "ew-resize", move: "move" };

const makeCanvas = (canvas, state, act) => {
  const camera = makeCamera();
  const pointers = new Map();
  let gesture = null;
  let frame = 0;
  const context = canvas.getContext("2d");

  const size = () => ({ w: canvas.clientWidth, h: canvas.clientHeight });

  const panes = () => {
    const { w, h: height } = size();
    if (!state.look.sideBySide && !state.other) return [{ x: 0, y: 0, w, h: height, masks: true, prompts: true }];
    const first = { masks: state.other ? true : false, prompts: true, title: state.other ? state.model : "picture" };
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

  const draw = () => {
    frame = 0;
    const ratio = window.devicePixelRatio || 1;
    const { w, h: height } = size();
    if (!w || !height) return;
    const [dw, dh] = [Math.round(w * ratio), Math.round(height * ratio)];
    if (canvas.width !== dw || canvas.height !== dh) [canvas.width, canvas.height] = [dw, dh];
    context.setTransform(dw / w, 0, 0, dh / height, 0, 0);
    context.clearRect(0, 0, w, height);
    const list = panes();
    if (camera.fitted) camera.fit(list[0]);
    const scene = {
      bitmap: state.bitmap, step: state.step, objects: state.objects, look: state.look, selected: state.selected,
      draft: gesture?.draft ?? null, draftBox: gesture?.draftBox ?? null, handles: state.tool === "box",
      ruler: gesture?.ruler ?? (state.ruler?.slice === state.slice ? state.ruler : null), pixelUm: state.pixelUm,
    };
    for (const pane of list) drawPane(context, pane, camera, scene);
    if (state.bitmap) drawScaleBar(context, list.at(-1), camera, state.pixelUm, state.view.image.scale.origin);
    else drawWelcome(context, w, height);
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
    return { sx, sy, x, y, pane };
  };

  const selected = () => state.objects.find((item) => item.id === state.selected) ?? null;

  const gripAt = (place) => {
    const item = selected();
    if (!item?.box || state.tool !== "box") return null;
    for (const [name, x, y] of handlesOf(item.box)) {
      const [sx, sy] = camera.toScreen(place.pane, x, y);
      if (Math.hypot(sx - place.sx, sy - place.sy) <= HANDLE_REACH + (place.touch ? 8 : 0)) return name;
    }
    const [x0, y0, x1, y1] = item.box;
    if (place.x >= x0 && place.x <= x1 + 1 && place.y >= y0 && place.y <= y1 + 1) return "move";
    return null;
  };

  // half a screen pixel beyond the edge still means the pixel at the edge: browsers round where a pointer is
  const inPicture = ({ x, y }) => {
    const [rx, ry] = [1 / camera.sx(), 1 / camera.sy()];
    return x >= -rx && y >= -ry && x < camera.width + rx && y < camera.height + ry;
  };

  const resized = (box, grip, dx, dy) => {
    let [x0, y0, x1, y1] = [box[0], box[1], box[2] + 1, box[3] + 1];
    if (grip === "move") {
      const mx = clamp(Math.round(dx), -x0, camera.width - x1);
      const my = clamp(Math.round(dy), -y0, camera.height - y1);
      return [x0 + mx, y0 + my, x1 + mx - 1, y1 + my - 1];
    }
    if (grip.includes("w")) x0 += dx;
    if (grip.includes("e")) x1 += dx;
    if (grip.includes("n")) y0 += dy;
    if (grip.includes("s")) y1 += dy;
    const snap = (value, limit) => clamp(Math.round(value), 0, limit);
    return boxOf(snap(x0, camera.width), snap(y0, camera.height), snap(x1, camera.width), snap(y1, camera.height),
      camera.width, camera.height);
  };

  const indexPoint = ({ x, y }) => [Math.round((x - 0.5) * 100) / 100, Math.round((y - 0.5) * 100) / 100];

  const startTool = (place, event) => {
    const tool = state.tool;
    if (tool === "ruler") return { kind: "ruler", start: place, ruler: null };
    const negative = event.button === 2 || event.altKey;
    const colour = selected()?.colour ?? state.nextColour;
    if (tool === "box" && !negative) {
      const grip = event.shiftKey ? null : gripAt(place);
      if (grip) return { kind: "grip", grip, box: selected().box, start: place, draftBox: null };
      return { kind: "box", start: place, fresh: event.shiftKey, draft: null,
        colour: event.shiftKey || !selected() ? state.nextColour : colour };
    }
    if (tool === "scribble" || tool === "unscribble" || tool === "brush" || tool === "eraser") {
      const add = (tool === "scribble" || tool === "brush") !== negative;
      const radius = tool === "brush" || tool === "eraser" ? state.look.brush / 2 : null;
      return { kind: "stroke", start: place, tool, draft: { kind: "stroke", stroke: [indexPoint(place)], add, radius, colour } };
    }
    return { kind: "click", start: place, positive: tool === "unclick" ? false : !negative };
  };

  const moveTool = (place) => {
    const { start } = gesture;
    if (gesture.kind === "box") {
      if (Math.hypot(place.sx - start.sx, place.sy - start.sy) < CLICK_REACH) return;
      const box = boxOf(start.x, start.y, place.x, place.y, camera.width, camera.height);
      gesture.draft = { kind: "box", box, colour: gesture.colour };
    } else if (gesture.kind === "ruler") {
      const inside = ({ x, y }) => [clamp(x, 0, camera.width), clamp(y, 0, camera.height)];
      gesture.ruler = { slice: state.slice, from: inside(start), to: inside(place) };
    } else if (gesture.kind === "grip") {
      gesture.draftBox = resized(gesture.box, gesture.grip, place.x - start.x, place.y - start.y);
    } else if (gesture.kind === "stroke") {
      gesture.draft.stroke.push(indexPoint(place));
    }
    redraw();
  };

  const clickNumberAt = (place) => {
    const item = selected();
    if (!item) return -1;
    return item.points.findIndex(([x, y]) => {
      const [sx, sy] = camera.toScreen(place.pane, x + 0.5, y + 0.5);
      return Math.hypot(sx - place.sx, sy - place.sy) <= 8;
    });
  };

  const objectAt = (place) => {
    const found = state.objects.filter(({ shape }) => {
      if (!shape) return false;
      const [i, j] = [Math.floor(place.x / state.step) - shape.x, Math.floor(place.y / state.step) - shape.y];
      return i >= 0 && j >= 0 && i < shape.w && j < shape.h && shape.inside[j * shape.w + i];
    });
    return found.at(-1) ?? null;
  };

  const endTool = (place) => {
    const done = gesture;
    gesture = null;
    redraw();
    if (done.kind === "box") {
      if (done.draft) act({ op: "box", box: done.draft.box, new: done.fresh });
      else {
        const hit = objectAt(place);
        if (hit && hit.id !== state.selected) act({ op: "select", object: hit.id });
        else act(null, "Drag from one corner of the object to the other.");
      }
    } else if (done.kind === "ruler") {
      state.ruler = done.ruler;
      act(null, done.ruler ? rulerText(done.ruler, state.pixelUm) : "Drag from one end of what is to be measured to the other.");
    } else if (done.kind === "grip") {
      if (done.draftBox && done.draftBox.some((v, i) => v !== done.box[i])) act({ op: "box", box: done.draftBox });
    } else if (done.kind === "stroke") {
      const { stroke, add, radius } = done.draft;
      if (radius === null) act({ op: "scribble", stroke, positive: add });
      else act({ op: "paint", stroke, radius, add });
    } else if (inPicture(done.start)) {
      const number = clickNumberAt(done.start);
      if (number >= 0) act({ op: "unclick", number });
      else {
        const [x, y] = pixelOf(done.start.x, done.start.y, camera.width, camera.height);
        act({ op: "click", x, y, positive: done.positive });
      }
    }
  };

  const pinch = () => {
    const [a, b] = [...pointers.values()];
    return { x: (a.sx + b.sx) / 2, y: (a.sy + b.sy) / 2, gap: Math.max(10, Math.hypot(a.sx - b.sx, a.sy - b.sy)) };
  };

  canvas.addEventListener("pointerdown", (event) => {
    if (!state.bitmap) return;
    canvas.focus({ preventScroll: true });
    const place = { ...at(event), touch: event.pointerType === "touch" };
    pointers.set(event.pointerId, place);
    try { canvas.setPointerCapture(event.pointerId); } catch { /* a pointer that is gone already */ }
    event.preventDefault();
    if (pointers.size === 2) {
      gesture = { kind: "pinch", last: pinch() }; // whatever the first finger began is given up
      redraw();
    } else if (pointers.size === 1) {
      const pans = event.button === 1 || state.tool === "hand" || state.spaceHeld;
      gesture = pans ? { kind: "pan", last: place } : startTool(place, event);
      redraw();
    }
  });

  canvas.addEventListener("pointermove", (event) => {
    const place = { ...at(event), touch: event.pointerType === "touch" };
    if (!pointers.has(event.pointerId)) {
      hover(place);
      return;
    }
    pointers.set(event.pointerId, place);
    if (!gesture) return;
    // a drag that leaves its pane goes on in it
    if (gesture.start) {
      place.pane = gesture.start.pane;
      [place.x, place.y] = camera.toPicture(place.pane, place.sx, place.sy);
    }
    if (gesture.kind === "pinch") {
      if (pointers.size < 2) return;
      const now = pinch();
      camera.zoom(place.pane, now.gap / gesture.last.gap, now.x, now.y);
      camera.pan(place.pane, now.x - gesture.last.x, now.y - gesture.last.y);
      gesture.last = now;
      redraw();
    } else if (gesture.kind === "pan") {
      camera.pan(place.pane, place.sx - gesture.last.sx, place.sy - gesture.last.sy);
      gesture.last = place;
      redraw();
    } else moveTool(place);
  });

  const release = (event, cancelled) => {
    if (!pointers.has(event.pointerId)) return;
    const place = at(event);
    pointers.delete(event.pointerId);
    if (!gesture) return;
    if (gesture.kind === "pinch" || gesture.kind === "pan") {
      if (!pointers.size) gesture = null;
      return;
    }
    if (cancelled) gesture = null;
    else endTool(place);
    redraw();
  };
  canvas.addEventListener("pointerup", (event) => release(event, false));
  canvas.addEventListener("pointercancel", (event) => release(event, true));
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());

  const hover = (place) => {
    state.onHover?.(state.bitmap && inPicture(place) ? pixelOf(place.x, place.y, camera.width, camera.height) : null);
    const grip = state.bitmap ? gripAt(place) : null;
    canvas.style.cursor = state.tool === "hand" || state.spaceHeld ? "grab" : grip ? CURSORS[grip] : "crosshair";
  };
  canvas.addEventListener("pointerleave", () => state.onHover?.(null));

  canvas.addEventListener("wheel", (event) => {
    if (!state.bitmap) return;
    event.preventDefault();
    const place = at(event);
    if (event.shiftKey && state.slices > 1) {
      state.onSlice?.(Math.sign(event.deltaY || event.deltaX));
      return;
    }
    const lines = event.deltaMode === 1 ? 33 : 1;
    camera.zoom(place.pane, Math.exp(clamp(-event.deltaY * lines, -300, 300) * 0.0015), place.sx, place.sy);
    redraw();
  }, { passive: false });

  new ResizeObserver(redraw).observe(canvas);

  return {
    camera,
    redraw,
    picture(width, height) { // another picture: seen whole
      camera.width = width;
      camera.height = height;
      state.ruler = null;
      camera.fitted = true;
      redraw();
    },
    fit() { camera.fitted = true; redraw(); },
    zoomBy(factor) {
      const pane = panes()[0];
      camera.zoom(pane, factor, pane.x + pane.w / 2, pane.y + pane.h / 2);
      redraw();
    },
    panBy(dx, dy) { camera.pan(panes()[0], dx, dy); redraw(); },
    giveUp() { gesture = state.ruler = null; redraw(); },
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
