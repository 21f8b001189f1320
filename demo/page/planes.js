// Three planes of a volume, linked: beside the slice the pictures across its rows and its columns, through one place, the
// crosshair. A click on one leads the others there; boxes and clicks are answered on the plane that they are drawn on.

const planes = { on: false, at: [0, 0, 0], opened: null, canvases: [], again: false, busy: false };
// at: x, y, z of the crosshair; an axis counts as the array does: 0 slices (z), 1 rows (y), 2 columns (x)
const crossAlong = (axis) => planes.at[2 - axis];

const setCross = (at) => {
  const { image } = state.view;
  planes.at = at.map((value, i) => clamp(Math.round(value), 0, [image.width, image.height, image.slices][i] - 1));
  board.redraw();
  if (planes.at[2] !== state.slice) goTo(planes.at[2]); // its answer asks for the planes
  else showPlanes();
};

// what the server has of the planes through the crosshair; only the newest place is asked for
const showPlanes = async () => {
  planes.again = true;
  if (planes.busy) return;
  planes.busy = true;
  while (planes.again && planes.on) {
    planes.again = false;
    const values = !isPlainView() && hasDeepValues(state.view.image); // those that the model's window has cut off, too
    const answer = await wire.direct({ op: "planes", at: planes.at, have: planes.canvases.map((one) => one.key), values });
    if (!answer.ok) say(answer.error, { error: true, id: "planes" });
    else for (const [i, shown] of answer.planes.entries()) await planes.canvases[i].show(shown);
  }
  planes.busy = false;
};

const switchPlanes = (on) => {
  planes.on = on && state.slices > 1;
  planesSwitch.checked = planes.on;
  ui.stage.classList.toggle("lm-three", planes.on);
  board.redraw();
  if (planes.on) showPlanes();
};

// -- one plane

const makePlane = (number) => {
  const canvas = h("canvas", { className: "lm-plane", id: `lm-plane-${number}`, tabIndex: 0, role: "application",
    "aria-label": "Another plane of the volume" });
  const context = canvas.getContext("2d");
  const camera = makeCamera();
  const plane = { canvas, camera, key: null, shown: null, bitmap: null, source: null, objects: [] };
  let gesture = null;

  const pane = () => ({ x: 0, y: 0, w: canvas.clientWidth, h: canvas.clientHeight, masks: true, prompts: true, title: plane.shown?.name });

  // the place of the volume under a place of the picture, and the way back
  const along = ([axis, flipped], value) => {
    const last = [state.view.image.slices, state.view.image.height, state.view.image.width][axis] - 1;
    return flipped ? last - value : value;
  };
  const toVolume = (x, y) => {
    const at = [...planes.at];
    const { columns, rows } = plane.shown;
    at[2 - columns[0]] = along(columns, Math.floor(x));
    at[2 - rows[0]] = along(rows, Math.floor(y));
    return at;
  };

  const draw = () => {
    const { w, h: height, ...rest } = pane();
    if (!w || !height || !plane.bitmap) return;
    const ratio = window.devicePixelRatio || 1;
    const [dw, dh] = [Math.round(w * ratio), Math.round(height * ratio)];
    if (canvas.width !== dw || canvas.height !== dh) [canvas.width, canvas.height] = [dw, dh];
    context.setTransform(dw / w, 0, 0, dh / height, 0, 0);
    const whole = { w, h: height, ...rest };
    if (camera.fitted) camera.fit(whole);
    const scene = { bitmap: plane.bitmap, step: 1, objects: plane.objects, look: state.look, selected: state.selected, tool: null };
    drawPane(context, whole, camera, scene, null);
    const { columns, rows } = plane.shown;
    drawCross(context, whole, camera, along(columns, crossAlong(columns[0])), along(rows, crossAlong(rows[0])));
    gesture?.draw?.(context, whole, camera);
    drawScaleBar(context, whole, camera, plane.shown.um, state.view.image.scale.origin);
  };
  plane.redraw = () => requestAnimationFrame(draw);

  // the picture as the model is given it, or the values behind it
  const take = async (shown) => {
    if (shown.low !== undefined) plane.source = { ...await unpacked(shown), window: seenWindow() };
    else {
      const bitmap = await createImageBitmap(await fetchData(shown.png), { colorSpaceConversion: "none" });
      plane.source = { bitmap, rgba: pixelsOf(bitmap), width: bitmap.width, height: bitmap.height, low: 0, step: 1, window: [127.5, 255] };
    }
  };

  plane.show = async (shown) => {
    if (shown.png) await take(shown);
    plane.bitmap = isPlainView() ? plane.source.bitmap ?? plane.bitmap : seenThrough(plane.source);
    const isOther = plane.shown?.opened !== shown.opened || plane.shown?.name !== shown.name;
    [plane.key, plane.shown] = [shown.key, shown];
    [camera.width, camera.height] = [shown.width, shown.height];
    const [across, down] = shown.um ? [shown.um.x, shown.um.y] : [1, 1];
    [camera.ax, camera.ay] = [across / Math.min(across, down), down / Math.min(across, down)];
    if (isOther) camera.fitted = true;
    plane.objects = shown.objects.map((item) => {
      const own = state.objects.find(({ id }) => id === item.id);
      return { ...own, ...item, colour: own?.colour ?? [255, 255, 255], shape: item.mask && maskShape(item.mask, own?.colour ?? [255, 255, 255]) };
    });
    canvas.setAttribute("aria-label", `${shown.name}, ${shown.index + 1} of ${shown.count}`);
    canvas.dataset.index = shown.index;
    plane.redraw();
  };

  const at = (event) => {
    const rect = canvas.getBoundingClientRect();
    const [sx, sy] = [event.clientX - rect.left, event.clientY - rect.top];
    const [x, y] = camera.toPicture(pane(), sx, sy);
    return { sx, sy, x, y, touch: event.pointerType === "touch" };
  };
  const isInside = ({ x, y }) => x >= 0 && y >= 0 && x < camera.width && y < camera.height;
  const prompt = (request) => act({ ...request, axis: plane.shown.axis, index: plane.shown.index });

  const crossing = () => ({
    move(place) { if (isInside(place)) setCross(toVolume(place.x, place.y)); },
    end(place) { if (isInside(place)) setCross(toVolume(place.x, place.y)); },
  });

  const boxing = (start, event) => {
    const item = plane.objects.find(({ id }) => id === state.selected);
    const own = selectedObject();
    const fresh = event.shiftKey || !own || own.locked || Boolean(item?.box || item?.points.length);
    let box = null;
    return {
      move(place) {
        if (box || isFar(start, place)) box = boxOf(start.x, start.y, place.x, place.y, camera.width, camera.height);
      },
      end(place) {
        if (box) {
          if (!fresh) sayWhose(own);
          prompt({ op: "planebox", box, ...(fresh ? { new: true } : {}) });
        } else if (isInside(place)) setCross(toVolume(place.x, place.y));
      },
      draw(drawn, whole) { if (box) drawBox(drawn, box, fresh ? state.nextColour : own.colour, whole, camera, true); },
    };
  };

  const clicking = (start, positive) => ({
    move() {},
    end() {
      if (!isInside(start) || isLocked()) return;
      const points = plane.objects.find(({ id }) => id === state.selected)?.points ?? [];
      const number = markAt(points, start, camera, pane());
      const [x, y] = pixelOf(start.x, start.y, camera.width, camera.height);
      if (number >= 0) prompt({ op: "planeunclick", number });
      else prompt({ op: "planeclick", x, y, positive });
    },
  });

  const panning = (start) => {
    let last = start;
    return { move(place) { camera.pan(pane(), place.sx - last.sx, place.sy - last.sy); last = place; }, end() {} };
  };

  canvas.addEventListener("pointerdown", (event) => {
    if (!plane.bitmap) return;
    event.preventDefault();
    try { canvas.setPointerCapture(event.pointerId); } catch { /* a pointer that is gone already */ }
    const place = at(event);
    if (event.button === 1 || state.tool === "hand" || state.spaceHeld) gesture = panning(place);
    else if (state.tool === "click" || state.tool === "unclick") gesture = clicking(place, state.tool === "click" && !isOpposite(event));
    else if (event.button === 2 || event.altKey) gesture = clicking(place, false);
    else gesture = state.tool === "box" ? boxing(place, event) : crossing();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!gesture) return;
    gesture.move(at(event));
    plane.redraw();
  });
  const release = (event, cancelled) => {
    const done = gesture;
    gesture = null;
    if (cancelled) done?.cancel?.();
    else done?.end(at(event));
    plane.redraw();
  };
  canvas.addEventListener("pointerup", (event) => release(event, false));
  canvas.addEventListener("pointercancel", (event) => release(event, true));
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  const step = (by) => {
    const to = [...planes.at];
    to[2 - plane.shown.axis] += by;
    setCross(to);
  };
  // the wheel and Page up and down go through the pictures of this plane, Ctrl and the wheel zooms
  canvas.addEventListener("wheel", (event) => {
    if (!plane.shown) return;
    event.preventDefault();
    const place = at(event);
    if (event.ctrlKey || event.metaKey) {
      camera.zoom(pane(), Math.exp(clamp(-event.deltaY, -300, 300) * 0.0015), place.sx, place.sy);
      plane.redraw();
    } else step(Math.sign(event.deltaY));
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const by = { PageUp: -1, PageDown: 1 }[event.key];
    if (!by || !plane.shown) return;
    event.preventDefault();
    event.stopPropagation();
    step(by);
  });
  new ResizeObserver(() => plane.redraw()).observe(canvas);

  // for tests and scripts that drive the page
  canvas.liteMedsam = { plane, toClient(x, y) {
    const rect = canvas.getBoundingClientRect();
    if (camera.fitted) camera.fit(pane());
    const [sx, sy] = camera.toScreen(pane(), x + 0.5, y + 0.5);
    return [rect.left + sx, rect.top + sy];
  } };
  return plane;
};

// lines through the middle of a pixel, open around it
const drawCross = (context, pane, camera, x, y) => inPane(context, pane, () => {
  const [sx, sy] = camera.toScreen(pane, x + 0.5, y + 0.5);
  context.lineWidth = 1;
  context.strokeStyle = "rgb(255 225 77 / 0.85)";
  for (const [ax, ay, bx, by] of [[pane.x, sy, sx - 8, sy], [sx + 8, sy, pane.x + pane.w, sy],
    [sx, pane.y, sx, sy - 8], [sx, sy + 8, sx, pane.y + pane.h]]) {
    context.beginPath();
    context.moveTo(ax, ay);
    context.lineTo(bx, by);
    context.stroke();
  }
});

overlays.push((context, pane, camera) => { if (planes.on) drawCross(context, pane, camera, planes.at[0], planes.at[1]); });

gestures.set("cross", {
  start(place) {
    if (state.slices < 2) { say("A picture has one plane: open a volume."); return null; }
    const lead = ({ x, y }) => setCross([Math.floor(x), Math.floor(y), state.slice]);
    if (!planes.on) switchPlanes(true);
    lead(place);
    return { move: lead, end: lead };
  },
});

// -- on the page

planes.canvases = [makePlane(1), makePlane(2)];
const planesNode = h("div", { className: "lm-planes", id: "lm-planes" }, ...planes.canvases.map(({ canvas }) => canvas));
const planesSwitch = h("input", { type: "checkbox", id: "lm-three-planes", onchange: () => switchPlanes(planesSwitch.checked) });
const planesLook = h("label", { className: "lm-check" }, planesSwitch, h("span", {}, "Three planes"));
register.look({ id: "planes", node: planesLook, update: (view) => { planesLook.hidden = !view.image?.volume; } });
register.tool({ id: "cross", group: "view", label: "Crosshair", key: "g", icon: "M12 3v7 M12 14v7 M3 12h7 M14 12h7 M11.5 12h1",
  hint: "Crosshair: three planes of a volume through one place; drag to lead them." });
register.key("q", "three planes of a volume", () => switchPlanes(!planes.on));

viewFollowers.push(() => { if (planes.on) showPlanes(); });

onView((view) => {
  const { image } = view;
  if (!planesNode.parentNode) ui.stage.append(planesNode);
  if (!image?.volume) { switchPlanes(false); return; }
  if (planes.opened !== image.opened) {
    planes.opened = image.opened;
    planes.at = [image.width >> 1, image.height >> 1, image.slice];
    for (const plane of planes.canvases) plane.key = null;
  }
  planes.at[2] = image.slice;
  if (planes.on) showPlanes();
});
