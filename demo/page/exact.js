// A box or a click as numbers.

register.section({ id: "lm-exactpart", title: "Exact prompt", place: "closed",
  build: () => {
    ui.exact = h("input", { type: "text", id: "lm-exact", placeholder: "120,80,260,190  or  180,140,1", autocomplete: "off",
      onkeydown: (event) => { if (event.key === "Enter") sendExact(); } });
    ui.exactFrame = h("select", { id: "lm-exact-frame" }, h("option", { value: "voxel" }, "voxels of the file"),
      h("option", { value: "display" }, "pixels as shown"));
    ui.exactFrameField = field("Numbers count", ui.exactFrame);
    ui.exactFrameField.hidden = true;
    return h("div", { className: "lm-body" }, field("Box x0,y0,x1,y1 or click x,y,1 or x,y,0", ui.exact), ui.exactFrameField,
      button("Apply", "Apply the typed prompt to the selected object", () => sendExact(), { node: { id: "lm-exact-apply" } }));
  },
  update: ({ image }) => {
    ui.exactFrameField.hidden = !image?.voxel;
    if (!image?.voxel) return;
    const [u, v] = [image.voxel[0][0], image.voxel[1][0]].sort().map((axis) => "ijk"[axis]); // the axes that lie in the slice
    ui.exactFrame.options[0].textContent = `voxels of the file: ${u}, ${v}`;
  } });

// what typed numbers count: the two file axes of the slice, or columns and rows as shown
const typedIn = () => (state.view?.image?.voxel && ui.exactFrame.value === "voxel" ? "voxel" : "display");

// voxel indices i, j, k of the file under a pixel, as ITK-SNAP, nibabel and SimpleITK show them
const voxelAt = (image, x, y) => {
  const found = [];
  [x, y, image.slice].forEach((value, n) => {
    const [axis, flipped, last] = image.voxel[n];
    found[axis] = flipped ? last - value : value;
  });
  return found;
};

const positionText = (image, [x, y]) => {
  if (!image?.voxel) return `x ${x}, y ${y}`;
  const [i, j, k] = voxelAt(image, x, y);
  return `voxel i ${i}, j ${j}, k ${k} (shown at x ${x}, y ${y}, slice ${image.slice})`;
};

const sendExact = () => {
  const parts = ui.exact.value.split(",").map((part) => Number(part.trim()));
  if (!ui.exact.value.trim() || parts.some((part) => !Number.isFinite(part)) || ![3, 4].includes(parts.length)) {
    say("An exact prompt must be x0,y0,x1,y1 for a box, or x,y,1 or x,y,0 for a click.", { error: true });
  } else if (parts.length === 4) act({ op: "box", box: parts, coordinates: typedIn() });
  else act({ op: "click", x: parts[0], y: parts[1], positive: parts[2] !== 0, coordinates: typedIn() });
};

