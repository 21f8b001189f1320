// What the controls do, and how they follow the server's answers.

const setTool = (name) => {
  state.tool = name;
  for (const { id } of registry.tools) {
    const node = ui.root.querySelector(`#lm-tool-${id}`);
    node.setAttribute("aria-pressed", String(id === name));
    node.classList.toggle("lm-on", id === name);
  }
  if (state.bitmap) say(registry.tools.find(({ id }) => id === name).hint);
  board?.redraw();
};

const setUp = (about) => {
  state.about = about;
  ui.sample.replaceChildren(h("option", { value: "" }, "choose a phantom …"),
    ...about.samples.map(({ name, title }) => h("option", { value: name }, title)));
  const options = (names) => names.map((name) => h("option", { value: name }, name));
  for (const select of [ui.models, ui.otherModel]) select.replaceChildren(...options(about.models));
  for (const select of [ui.engines, ui.otherEngine]) select.replaceChildren(...options(about.engines));
  if (about.models.length > 1) ui.otherModel.selectedIndex = 1;
  else if (about.engines.length > 1) ui.otherEngine.selectedIndex = 1;
  ui.root.dataset.ready = "true";
};

const openSample = (name) => {
  say("Opening …");
  return act({ op: "sample", name }).then((answer) => { ui.sample.value = ""; return answer; });
};

const openFiles = async (files, op = "open") => {
  ui.file.value = ui.masks.value = "";
  const limit = state.about?.max_upload_bytes ?? 0;
  const total = files.reduce((sum, file) => sum + file.size, 0);
  if (total > limit) {
    say(`This is too large: ${(total / 2 ** 20).toFixed(0)} MB, at most ${(limit / 2 ** 20).toFixed(0)} MB can be opened here.`, { error: true });
    return;
  }
  const begun = await wire.direct({ op: "upload", files: files.map((file) => ({ name: file.name, size: file.size })) });
  if (!begun.ok) { say(begun.error, { error: true }); return; }
  let sent = 0;
  for (const [number, file] of files.entries()) {
    for (let at = 0; at < file.size; at += state.about.piece) {
      const bytes = new Uint8Array(await file.slice(at, at + state.about.piece).arrayBuffer());
      const answer = await wire.direct({ op: "piece", file: number, data: toBase64(bytes) });
      if (!answer.ok) { say(answer.error, { error: true }); return; }
      sent += bytes.length;
      say(`Sending ${file.name}: ${Math.round((100 * sent) / Math.max(1, total))} %`);
    }
  }
  say("Opening …");
  await act({ op });
};

// a micrometre as long both ways, or square pixels; where the size of a pixel is not known they are square
const showAspect = (image) => {
  if (!image) return;
  const um = state.pixelUm = pixelUmOf(image);
  if (!state.aspectByHand) state.look.trueAspect = um !== null && Math.abs(Math.log(um.x / um.y)) > Math.log(1.05);
  const box = ui.checks.trueAspect.querySelector("input");
  box.checked = state.look.trueAspect;
  box.disabled = um === null;
  const [across, down] = um && state.look.trueAspect ? [um.x, um.y] : [1, 1];
  ui.stage.style.setProperty("--aspect", String(clamp((image.width * across) / (image.height * down), 0.7, 2.2)));
  board.aspect(across, down);
};

const switchAspect = () => {
  state.aspectByHand = true;
  showAspect(state.view?.image);
  if (state.view) choiceList(state.view);
};

// the size along each axis and where it comes from
const scaleText = (image) => (image ? `Scale: ${image.scale.steps.map(({ along, um, origin, basis }) =>
  `${along} ${um === null ? "unknown (px)" : `${Number(um.toPrecision(5))} µm (${origin})`}${basis ? `, ${basis}` : ""}`).join("; ")}` : "");

const goTo = (index) => {
  const wanted = clamp(index, 0, state.slices - 1);
  ui.slice.value = wanted;
  ui.sliceOut.textContent = `${wanted + 1} / ${state.slices}`;
  state.slice = wanted;
  enface.at(wanted);
  act({ op: "look", slice: wanted }, null, "look");
};

const setWindow = () => {
  const [centre, width] = [Number(ui.centre.value), Number(ui.width.value)];
  if (ui.centre.value === "" || ui.width.value === "" || !(width > 0)) return;
  act({ op: "window", centre, width }, null, "window");
};

const setModel = () => act({ op: "model", model: ui.models.value, engine: ui.engines.value });

const unitFactor = () => (ui.unit.value === "um" ? 1000 : 1);

const showSpacing = () => {
  const image = state.view?.image;
  if (!image) return;
  ui.spacingZ.hidden = !image.volume;
  const known = image.spacing_mm ?? [];
  const values = image.volume && known.length === 2 ? [undefined, ...known] : known; // no slice distance
  const axes = image.volume ? [0, 1, 2] : [1, 2];
  axes.forEach((axis, i) => {
    const value = values[i];
    if (document.activeElement !== ui.spacing[axis])
      ui.spacing[axis].value = value === undefined ? "" : Number((value * unitFactor()).toPrecision(6));
  });
};

const setSpacing = () => {
  const axes = state.view?.image?.volume ? [0, 1, 2] : [1, 2];
  const values = axes.map((axis) => Number(ui.spacing[axis].value) / unitFactor());
  if (values.every((value) => value > 0)) act({ op: "spacing", mm: values });
  else if (axes.length === 3 && ui.spacing[0].value === "" && values[1] > 0 && values[2] > 0) act({ op: "spacing", mm: values.slice(1) });
  else if (axes.every((axis) => ui.spacing[axis].value === "")) act({ op: "spacing", mm: null });
};

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

const save = async (what) => {
  say("Preparing the download …");
  const answer = await act({ op: "save", what, look: { opacity: state.look.fill ? state.look.opacity : 0, contours: state.look.outline } });
  if (!answer.ok) return;
  const { name, data } = answer.file;
  const url = URL.createObjectURL(new Blob([fromBase64(data)], { type: "application/octet-stream" }));
  const link = h("a", { href: url, download: name });
  ui.root.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
  say(`${name} is in your downloads.`);
};

const follow = () => act({ op: "propagate" });
const stopJob = () => wire.direct({ op: "stop" }).then((answer) => answer.ok && showJob(answer.job));

const showJob = (job) => {
  ui.stop.disabled = !job?.running;
  ui.follow.disabled = Boolean(job?.running);
  ui.progress.hidden = !job?.running;
  ui.progress.max = Math.max(1, job?.total ?? 1);
  ui.progress.value = job?.done ?? 0;
};

let watching = false;
const watchJob = async () => {
  if (watching || !state.view?.job) return;
  showJob(state.view.job);
  if (!state.view.job.running) return;
  watching = true;
  const opened = state.opened;
  for (;;) {
    const answer = await wire.direct({ op: "progress" });
    if (!answer.ok || !answer.job?.running) {
      if (answer.ok) showJob(answer.job);
      watching = false;
      const done = await act({ op: "look" });
      if (opened !== state.opened) return; // something else was opened meanwhile
      if (answer.job?.message) say(answer.job.message, { error: !answer.job.message.startsWith("stopped") });
      else if (done.ok) say("The objects were followed through the slices. Correct a slice and follow again.");
      return;
    }
    showJob(answer.job);
    say(`Following: ${answer.job.done} of ${answer.job.total} slices`);
    await new Promise((resolve) => setTimeout(resolve, 150));
  }
};

// -- following the answers

const panel = (view) => {
  const image = view.image;
  ui.undo.disabled = !view.undo;
  ui.redo.disabled = !view.redo;
  ui.models.value = view.model;
  ui.engines.value = view.engine;
  ui.name.textContent = image ? `${image.name}, ${image.width} × ${image.height}${image.volume ? ` × ${image.slices}` : ""}` : "";
  if (image?.notes.length) ui.name.title = image.notes.join("\n");
  ui.volume.hidden = !image?.volume;
  if (image?.volume) {
    ui.slice.max = image.slices - 1;
    ui.slice.value = state.slice;
    ui.sliceOut.textContent = `${state.slice + 1} / ${image.slices}`;
    ui.marks.replaceChildren(...image.marked.map((z) => h("i", { className: image.prompted.includes(z) ? "lm-prompted" : "",
      style: `left:${(100 * (z + 0.5)) / image.slices}%` })));
    showJob(view.job);
  }
  objectList(view);
  targetList(view);
  choiceList(view);
  measureTable(view);
  if (image) windowValues(image);
  showSpacing();
  ui.scale.textContent = scaleText(image);
  comparedTable(view);
  for (const { update } of [...registry.sections, ...registry.looks]) update(view);
  for (const { id, shown } of Object.values(registry.menus).flat()) ui.root.querySelector(`#${id}`).hidden = !shown(view);
  for (const callback of registry.viewers) callback(view);
};

const windowValues = (image) => {
  ui.windows.hidden = !image.grey;
  const [low, high] = image.range;
  const [centre, width] = image.window ?? [(low + high) / 2, high - low];
  for (const [node, slide, value, from, to] of [[ui.centre, ui.centreSlide, centre, low, high],
    [ui.width, ui.widthSlide, width, Math.max(1, (high - low) / 200), Math.max(1, high - low)]]) {
    [slide.min, slide.max] = [from, to];
    if (document.activeElement !== node) node.value = Number(value.toPrecision(6));
    if (document.activeElement !== slide) slide.value = value;
  }
  ui.presets.hidden = !image.hounsfield;
};

const objectList = (view) => {
  const free = view.objects.length;
  if (ui.objects.contains(document.activeElement) && document.activeElement.tagName === "INPUT") return;
  const focused = ui.objects.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
  ui.objects.replaceChildren(...view.objects.map((item) => {
    const chosen = item.id === view.selected;
    const name = h("input", { type: "text", value: item.name, maxLength: 60, "aria-label": `Name of object ${item.number}`,
      className: "lm-objectname",
      onfocus: () => { if (item.id !== state.selected) act({ op: "select", object: item.id }); },
      onkeydown: (event) => { if (event.key === "Enter") event.target.blur(); },
      onchange: (event) => act({ op: "rename", object: item.id, name: event.target.value }) });
    return h("li", { className: chosen ? "lm-object lm-selected" : "lm-object", "aria-current": String(chosen) },
      h("button", { type: "button", className: "lm-swatch", "data-focus": `select-${item.id}`, style: `background:${css(item.colour)}`,
        "aria-label": `Select object ${item.number}, ${item.name}`, "aria-pressed": String(chosen),
        onclick: () => act({ op: "select", object: item.id }) }, String(item.number)),
      name,
      h("span", { className: "lm-score", title: "the model's own estimate of the overlap (IoU)" },
        item.score !== null ? `score ${item.score.toFixed(2)}` : item.painted ? "by hand" : ""),
      h("button", { type: "button", className: "lm-button lm-small", "aria-label": `Remove object ${item.number}, ${item.name}`,
        title: "Remove", onclick: () => act({ op: "remove", object: item.id }) }, "✕"));
  }));
  if (!free) ui.objects.append(h("li", { className: "lm-empty" }, "No object yet: draw a box or click."));
  if (focused) ui.objects.querySelector(`[data-focus="${focused}"]`)?.focus();
  ui.merge.replaceChildren(h("option", { value: "" }, "…"), ...view.objects.filter((item) => item.id !== view.selected)
    .map((item) => h("option", { value: item.id }, item.name)));
};

// what the selected object can be, for models that know names; a name that only another model knows stays visible
const targetList = (view) => {
  const groups = view.targets ?? [];
  ui.targetField.hidden = !groups.length;
  const own = view.objects.find((object) => object.id === view.selected)?.target ?? "";
  const foreign = own && !groups.some(([, names]) => names.includes(own)) ? own : "";
  const key = JSON.stringify([groups, foreign]);
  if (ui.target.dataset.shown !== key) {
    ui.target.dataset.shown = key;
    const option = (name, text = name) => h("option", { value: name }, text);
    ui.target.replaceChildren(option("", "not said"),
      ...groups.map(([group, names]) => h("optgroup", { label: group },
        ...names.map((name) => option(name, name === group ? `any object in ${group}` : name)))));
    if (foreign) ui.target.append(h("option", { value: foreign, disabled: true }, `${foreign} (not known to this model)`));
  }
  ui.target.value = own;
};

const choiceList = (view) => {
  const item = view.objects.find((object) => object.id === view.selected);
  if (!item || item.choices.length < 2) { ui.choices.replaceChildren(); return; }
  ui.choices.replaceChildren(h("span", { className: "lm-choicetitle" }, "The prompt can mean:"),
    ...item.choices.map((choice, i) => {
      const on = item.chosen === i;
      return h("button", { type: "button", className: on ? "lm-button lm-choice lm-on" : "lm-button lm-choice",
        "aria-pressed": String(on), "aria-label": `Mask ${i + 1}, score ${choice.score.toFixed(2)}, ${choice.area} pixels`,
        onclick: () => act({ op: "choose", number: i }) }, thumbnail(choice.mask, item.colour),
      h("span", {}, `${i + 1}: ${choice.score.toFixed(2)}`));
    }));
};

const thumbnail = (mask, colour) => {
  const image = state.view.image;
  const side = 44;
  const node = h("canvas", { width: side, height: side });
  const context = node.getContext("2d");
  context.fillStyle = "#101214";
  context.fillRect(0, 0, side, side);
  const shape = maskShape(mask, colour);
  if (shape) {
    const { ax, ay } = board.camera;
    const [longest, whole] = [Math.max(shape.w * ax, shape.h * ay), Math.max(image.width * ax, image.height * ay) / image.step];
    // small masks fill the picture too: what counts is their shape
    const zoom = Math.min((0.8 * side) / longest, Math.max(side / whole, (0.5 * side) / longest));
    const [w, rows] = [shape.w * ax * zoom, shape.h * ay * zoom];
    context.drawImage(shape.fill, (side - w) / 2, (side - rows) / 2, w, rows);
  }
  return node;
};

const measureTable = (view) => {
  const part = (title, rows) => (rows.length ? [
    h("tr", { className: "lm-sum" }, h("th", { scope: "rowgroup", colSpan: 2 }, title)),
    ...rows.map(([name, value]) => h("tr", {}, h("td", {}, name), h("td", {}, value))),
  ] : []);
  ui.measures.replaceChildren(
    ...view.objects.map((item) => h("tbody", {}, ...part(`${item.number} ${item.name}`, item.measures))),
    h("tbody", {}, ...part("All that is named as fluid", view.summary ?? [])));
};

const comparedTable = (view) => {
  if (!view.compared) { ui.compared.replaceChildren(); return; }
  ui.compared.replaceChildren(
    h("thead", {}, h("tr", {}, ...["object", "Dice of the two", "score here", "score there"].map((t) => h("th", { scope: "col" }, t)))),
    h("tbody", {}, ...view.compared.objects.map((item) => {
      const own = view.objects.find((object) => object.id === item.id);
      return h("tr", {}, h("td", {}, own?.name ?? ""), h("td", {}, item.dice === null ? "–" : item.dice.toFixed(3)),
        h("td", {}, own?.score?.toFixed(2) ?? "–"), h("td", {}, item.score?.toFixed(2) ?? "–"));
    }), h("tr", {}, h("td", { colSpan: 4 }, view.compared.timing))));
};

// -- keyboard

const onKey = (event) => {
  const typing = event.target.matches?.("input:not([type=range]):not([type=checkbox]):not([type=file]), textarea, select");
  if (typing || !ui.root.isConnected || !ui.root.offsetParent || event.altKey) return;
  const entry = pressedKey(event, ui.canvas);
  if (!entry) return;
  entry.action(event);
  event.preventDefault();
};

const nextChoice = () => {
  const item = state.view?.objects.find((object) => object.id === state.selected);
  if (item?.choices.length > 1) act({ op: "choose", number: ((item.chosen ?? -1) + 1) % item.choices.length });
};

// -- start

const enface = makeEnface((index) => goTo(index));
build();
const board = makeCanvas(ui.canvas);
watchSpace(ui.canvas);
// for tests and scripts that drive the page: toClient(x, y) says where an image pixel is, state what is shown
ui.canvas.liteMedsam = Object.assign(board, { state, act, preview, planes });
hovers.push((place, event) => {
  if (event.type === "pointerdown") return;
  const { width, height } = board.camera;
  const seen = place && state.bitmap && board.isInside(place);
  ui.position.textContent = seen ? positionText(state.view?.image, pixelOf(place.x, place.y, width, height)) : "";
});
state.onSlice = (step) => goTo(state.slice + step);
setTool("box");
panel({ objects: [], image: null, undo: false, redo: false });

document.addEventListener("keydown", onKey);
for (const name of ["dragover", "drop"]) {
  ui.root.addEventListener(name, (event) => {
    event.preventDefault();
    if (name === "drop" && event.dataTransfer.files.length) openFiles([...event.dataTransfer.files]);
  });
}
const start = () => {
  if (!props.value || state.token === props.value) return;
  state.token = props.value;
  act({ op: "hello" });
};
watch("value", start);
start();
