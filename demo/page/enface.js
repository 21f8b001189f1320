// An OCT volume seen from above: one row a B-scan, a line at the one that is shown. A click, a drag or the arrow keys
// lead to another.

const makeEnface = (onSlice) => {
  const node = h("canvas", { id: "lm-enface", className: "lm-enface", tabIndex: 0, role: "slider",
    "aria-label": "En-face view: which B-scan is shown", "aria-orientation": "vertical", "aria-valuemin": "1" });
  const context = node.getContext("2d");
  const MAX_HEIGHT = 190;
  let [bitmap, image, slice] = [null, null, 0];

  const rowOf = (z) => (image.top_view.upwards ? image.slices - 1 - z : z); // its own inverse

  // as long both ways where the distance of the B-scans is known
  const aspect = () => {
    const mm = image.spacing_mm?.length === 3 ? [image.spacing_mm[0], image.spacing_mm[2]] : [1, 1];
    return clamp((image.width * mm[1]) / (image.slices * mm[0]), 0.3, 6);
  };

  const draw = () => {
    if (!bitmap) return;
    const ratio = window.devicePixelRatio || 1;
    node.width = Math.max(1, Math.round(node.clientWidth * ratio));
    node.height = Math.max(1, Math.round(node.clientHeight * ratio));
    context.imageSmoothingEnabled = true;
    context.drawImage(bitmap, 0, 0, node.width, node.height);
    const y = ((rowOf(slice) + 0.5) / image.slices) * node.height;
    for (const [width, colour] of [[5, "rgb(0 0 0 / 0.7)"], [2, "#ffe14d"]]) {
      context.fillStyle = colour;
      context.fillRect(0, y - (width * ratio) / 2, node.width, width * ratio);
    }
  };

  const lead = (event) => {
    const rect = node.getBoundingClientRect();
    const row = clamp(Math.floor(((event.clientY - rect.top) / rect.height) * image.slices), 0, image.slices - 1);
    if (rowOf(row) !== slice) onSlice(rowOf(row));
  };
  node.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !bitmap) return;
    try { node.setPointerCapture(event.pointerId); } catch { /* a pointer that is gone already */ }
    lead(event);
  });
  node.addEventListener("pointermove", (event) => { if (event.buttons & 1 && bitmap) lead(event); });
  node.addEventListener("keydown", (event) => {
    const row = bitmap ? rowOf(slice) : 0;
    const wanted = { ArrowUp: row - 1, ArrowDown: row + 1, Home: 0, End: (image?.slices ?? 1) - 1 }[event.key];
    if (wanted === undefined || !bitmap) return;
    event.preventDefault();
    event.stopPropagation();
    onSlice(rowOf(clamp(wanted, 0, image.slices - 1)));
  });
  new ResizeObserver(draw).observe(node);

  return {
    node,
    // another volume or pixel size; what is no OCT volume has no such view
    async show(next, load) {
      image = next?.top_view ? next : null;
      if (!image) { bitmap = null; return; }
      node.setAttribute("aria-valuemax", image.slices);
      node.style.aspectRatio = String(aspect());
      node.style.width = `min(100%, ${Math.round(MAX_HEIGHT * aspect())}px)`;
      if (!next.top_view.png) { draw(); return; }
      const loaded = await createImageBitmap(await load(next.top_view.png));
      if (image?.opened !== next.opened) return; // something else was opened meanwhile
      bitmap = loaded;
      draw();
    },
    at(index) {
      slice = index;
      node.setAttribute("aria-valuenow", index + 1);
      if (image) node.setAttribute("aria-valuetext", `B-scan ${index + 1} of ${image.slices}`);
      draw();
    },
  };
};
