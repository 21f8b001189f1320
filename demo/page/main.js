// The page: controls, what they ask of the server, and what comes back.

const wire = makeWire(server, () => state.token, (answer, ms) => onAnswer(answer, ms), (busy) => {
  ui.root.classList.toggle("lm-busy", busy);
});

const target = (slice) => ({ slice, have: heldKey(slice), object: state.selected, unit: ui.unit.value });

// every change: the request takes slice, picture and object as they are when its turn comes
const act = (request, hint = null, kind = null) => {
  if (hint) say(hint);
  if (!request) return Promise.resolve({ ok: false });
  const fixed = { ...request };
  return wire.send(() => ({ ...target(fixed.slice ?? state.slice), ...fixed }), kind);
};

const onAnswer = (answer, ms) => {
  if (!answer.ok) {
    if (answer.code === "replaced") return null;
    say(answer.error, { error: true });
    if (answer.code === "ended") ui.root.classList.add("lm-ended");
    return null;
  }
  if (answer.about) setUp(answer.about);
  return answer.view ? show(answer.view, answer, ms) : null;
};

const show = async (view, answer, ms) => {
  state.view = view;
  const image = view.image;
  state.selected = view.selected;
  state.model = view.model;
  if (image) {
    state.slice = image.slice;
    state.slices = image.slices;
    state.step = image.step;
    state.key = image.key;
    const isNew = image.opened !== state.opened;
    if (isNew) {
      forgetSaid(() => true);
      ui.exactFrameField.hidden = !image.voxel;
      if (image.voxel) { // which two axes of the file lie in the slice
        const [u, v] = [image.voxel[0][0], image.voxel[1][0]].sort().map((axis) => "ijk"[axis]);
        ui.exactFrame.options[0].textContent = `voxels of the file: ${u}, ${v}`;
      }
      state.aspectByHand = false;
      ui.unit.value = image.modality === "OCT" ? "um" : "mm"; // what each is usually measured in
      setTool("box");
    }
    state.opened = image.opened;
    await showPicture(image);
    if (isNew) board.picture(image.width, image.height);
    showAspect(image);
    ui.enfaceSection.hidden = !image.top_view;
    enface.show(image, fetchData);
    enface.at(state.slice);
  }
  const used = new Set();
  const shapeOf = (mask, colour) => {
    if (!mask) return null;
    const key = JSON.stringify([mask, colour]);
    used.add(key);
    if (!shapes.has(key)) shapes.set(key, maskShape(mask, colour));
    return shapes.get(key);
  };
  if (view.next) state.nextColour = view.next.colour;
  state.objects = view.objects.map((item) => ({ ...item, shape: item.hidden ? null : shapeOf(item.mask, item.colour) }));
  state.other = view.compared
    ? view.compared.objects.map((item) => {
        const own = state.objects.find((object) => object.id === item.id);
        return { ...item, colour: own?.colour ?? [255, 255, 255], shape: shapeOf(item.mask, own?.colour ?? [255, 255, 255]) };
      })
    : null;
  state.otherName = view.compared ? view.compared.title : "";
  for (const key of shapes.keys()) if (!used.has(key)) shapes.delete(key);
  board.redraw();
  panel(view);
  if (view.ms?.decode !== undefined) {
    const encode = view.ms.encode ? `picture read in ${view.ms.encode} ms, ` : "";
    say(`Mask in ${Math.round(ms)} ms (${encode}mask ${view.ms.decode} ms).`, { id: "timing" });
  }
  if (answer.message) say(answer.message);
  if (view.job) watchJob();
};

const fetchData = (url) => Promise.resolve(new Blob([fromBase64(url.split(",")[1])], { type: "image/png" }));

// -- parts of the page

const build = () => {
  ui.sample = h("select", { id: "lm-sample", onchange: () => ui.sample.value && openSample(ui.sample.value) });
  ui.file = h("input", { type: "file", id: "lm-file", multiple: true, "aria-label": "Open a file",
    accept: ".png,.jpg,.jpeg,.bmp,.tif,.tiff,.npz,.dcm,.dicom,.ima,.nii,.gz,.nrrd,.mha,.zip,image/*,application/dicom,*/*",
    onchange: () => ui.file.files.length && openFiles([...ui.file.files]) });
  ui.masks = h("input", { type: "file", id: "lm-masks", "aria-label": "Open masks of this picture",
    title: "Masks of the open picture as objects: npz, NIfTI, DICOM-SEG, PNG, TIFF, COCO, Labelme, YOLO, polygons, or our ZIP",
    onchange: () => ui.masks.files.length && openFiles([...ui.masks.files], "masks") });
  ui.tools = h("div", { className: "lm-tools", role: "group", "aria-label": "Tools" },
    ...registry.tools.map(({ id, label, key, hint }) => button(label, `${hint} (${key})`, () => setTool(id),
      { node: { id: `lm-tool-${id}` } })));
  ui.undo = button("Undo", "Undo (Ctrl+Z)", () => act({ op: "undo" }), { node: { id: "lm-undo" } });
  ui.redo = button("Redo", "Redo (Ctrl+Y)", () => act({ op: "redo" }), { node: { id: "lm-redo" } });
  ui.clear = button("Clear object", "Clear the selected object (Delete)", () => act({ op: "clear" }),
    { node: { id: "lm-clear" } });
  ui.brush = h("input", { type: "range", min: 1, max: 60, value: state.look.brush, id: "lm-brush-size",
    oninput: () => { state.look.brush = Number(ui.brush.value); ui.brushOut.textContent = `${ui.brush.value} px`; } });
  ui.brushOut = h("output", {}, `${state.look.brush} px`);
  ui.brushField = field("Brush size", ui.brush, ui.brushOut);
  ui.canvas = h("canvas", { id: "lm-canvas", tabIndex: 0, className: "lm-canvas", role: "application",
    "aria-label": "Picture with prompts and masks. Draw with the tools; coordinates can also be typed in under Exact prompt." });
  ui.position = h("span", { className: "lm-position", "aria-hidden": "true" });
  ui.message = h("div", { className: "lm-message", id: "lm-message", "aria-live": "polite" });
  ui.zoom = h("div", { className: "lm-zoom", role: "group", "aria-label": "Zoom" },
    button("+", "Zoom in (+)", () => board.zoomBy(1.5), { aria: "Zoom in" }),
    button("−", "Zoom out (−)", () => board.zoomBy(1 / 1.5), { aria: "Zoom out" }),
    button("Fit", "Whole picture (0)", () => board.fit(), { aria: "Whole picture" }));
  ui.stage = h("div", { className: "lm-stage" }, ui.canvas, ui.zoom, ui.position);
  ui.slice = h("input", { type: "range", min: 0, max: 0, value: 0, id: "lm-slice", oninput: () => goTo(Number(ui.slice.value)) });
  ui.sliceOut = h("output", { id: "lm-slice-number" });
  ui.marks = h("div", { className: "lm-marks", "aria-hidden": "true" });
  ui.follow = button("Follow through slices", "Follow the objects from the prompted slices to the others, both ways",
    () => follow(), { aria: "Follow through slices", node: { id: "lm-follow" } });
  ui.stop = button("Stop", "Stop following; what is finished is kept", () => stopJob(), { node: { id: "lm-stop" } });
  ui.progress = h("progress", { max: 1, value: 0, "aria-label": "Slices done" });
  ui.volume = h("div", { className: "lm-volume", hidden: true },
    h("label", { className: "lm-slider" }, h("span", {}, "Slice"), h("span", { className: "lm-track" }, ui.slice, ui.marks), ui.sliceOut),
    h("div", { className: "lm-row" }, ui.follow, ui.stop, ui.progress));
  ui.objects = h("ul", { className: "lm-objects", "aria-label": "Objects" });
  ui.choices = h("div", { className: "lm-choices", role: "group", "aria-label": "What the prompts can mean" });
  ui.merge = h("select", { id: "lm-merge", "aria-label": "Merge the selected object with",
    onchange: () => { if (ui.merge.value) act({ op: "merge", objects: [state.selected, Number(ui.merge.value)] }); } });
  ui.target = h("select", { id: "lm-target", onchange: () => act({ op: "target", target: ui.target.value || null }) });
  ui.targetField = field("What is it? (optional)", ui.target);
  ui.targetField.hidden = true;
  ui.measures = h("table", { className: "lm-table", id: "lm-measures" });
  ui.side = h("div", { className: "lm-side" }, enfacePart(), objectsPart(), measuresPart(), lookPart(), windowPart(), modelPart(), homePart(),
    exactPart(), ...registry.sections.map((one) => section(one.title, one.open, one.build())), shortcutsPart());
  ui.root = element.querySelector(".lm-root");
  ui.root.append(
    h("div", { className: "lm-open" },
      field("Sample", ui.sample),
      h("label", { className: "lm-button lm-filebutton" }, h("span", {}, "Open a file …"), ui.file),
      h("label", { className: "lm-button lm-filebutton" }, h("span", {}, "Open masks …"), ui.masks),
      h("span", { className: "lm-name", id: "lm-name" })),
    h("div", { className: "lm-main" },
      h("div", { className: "lm-left" },
        h("div", { className: "lm-bar" }, ui.tools,
          h("div", { className: "lm-tools", role: "group", "aria-label": "History" }, ui.undo, ui.redo, ui.clear)),
        ui.stage,
        ui.message, ui.volume),
      ui.side));
  ui.name = ui.root.querySelector("#lm-name");
};

const enfacePart = () => {
  ui.enfaceSection = section("En face", true, enface.node);
  ui.enfaceSection.hidden = true;
  return ui.enfaceSection;
};

const objectsPart = () =>
  section("Objects", true, ui.objects,
    h("div", { className: "lm-row" },
      button("New object", "New object (O)", () => act({ op: "add" }), { aria: "New object", node: { id: "lm-new" } }),
      button("Split", "Try to split the selected object into instances", () => act({ op: "split" }),
        { aria: "Try to split into instances", node: { id: "lm-split" } }),
      field("Merge with", ui.merge)),
    ui.targetField,
    ui.choices);

const measuresPart = () => {
  ui.spacing = ["z", "y", "x"].map((axis) => h("input", { type: "number", min: 0, step: "any", id: `lm-spacing-${axis}`,
    "aria-label": `Pixel size along ${axis}`, onchange: () => setSpacing() }));
  ui.unit = h("select", { "aria-label": "Unit of the pixel size", id: "lm-unit", onchange: () => { showSpacing(); act({ op: "look" }); } },
    h("option", { value: "mm" }, "mm"), h("option", { value: "um" }, "µm"));
  ui.spacingZ = h("label", { className: "lm-mini" }, "z ", ui.spacing[0]);
  ui.scale = h("p", { className: "lm-scale", id: "lm-scale" });
  return section("Measurements", true, ui.measures,
    h("div", { className: "lm-row lm-spacing" }, h("span", {}, "Pixel size"), ui.spacingZ,
      h("label", { className: "lm-mini" }, "y ", ui.spacing[1]), h("label", { className: "lm-mini" }, "x ", ui.spacing[2]), ui.unit),
    ui.scale);
};

const check = (id, label, name, then = () => board.redraw()) =>
  h("label", { className: "lm-check" }, h("input", { type: "checkbox", id, checked: state.look[name],
    onchange: (event) => { state.look[name] = event.target.checked; then(); } }), h("span", {}, label));

const lookPart = () => {
  ui.opacity = h("input", { type: "range", min: 0, max: 100, value: 45, id: "lm-opacity",
    oninput: () => { state.look.opacity = Number(ui.opacity.value) / 100; board.redraw(); } });
  ui.checks = { show: check("lm-show", "Masks", "show"), fill: check("lm-fill", "Fill", "fill"),
    outline: check("lm-outline", "Contours", "outline"), prompts: check("lm-prompts", "Prompts", "prompts"), sideBySide: check("lm-sidebyside", "Side by side", "sideBySide"),
    trueAspect: check("lm-true-aspect", "True aspect", "trueAspect", () => switchAspect()) };
  return section("View", true, field("Opacity", ui.opacity),
    h("div", { className: "lm-row" }, ...Object.values(ui.checks)), ui.brushField,
    ...registry.looks.map(({ label, node }) => (label ? field(label, node) : node)));
};

const windowPart = () => {
  ui.centre = h("input", { type: "number", step: "any", id: "lm-centre", onchange: () => setWindow() });
  ui.width = h("input", { type: "number", step: "any", min: 0, id: "lm-width", onchange: () => setWindow() });
  ui.centreSlide = h("input", { type: "range", id: "lm-centre-slider", "aria-label": "Level, slider", step: "any",
    oninput: () => { ui.centre.value = Math.round(ui.centreSlide.value); setWindow(); } });
  ui.widthSlide = h("input", { type: "range", id: "lm-width-slider", "aria-label": "Window, slider", step: "any",
    oninput: () => { ui.width.value = Math.round(ui.widthSlide.value); setWindow(); } });
  ui.presets = h("div", { className: "lm-row" }, ...PRESETS.map(([name, centre, width]) =>
    button(name, `The model is given ${windowText([centre, width])}`, () => act({ op: "window", centre, width }))));
  ui.windows = section("What the model is given", false,
    h("p", { className: "lm-scale" }, "The grey values that the masks are made from. A change makes the masks anew; undo takes it back. "
      + "To see more or less of them, drag with the right button or use View."),
    field("Level", ui.centre, ui.centreSlide), field("Window", ui.width, ui.widthSlide), ui.presets,
    h("div", { className: "lm-row" },
      button("What I see", "Give the model the window that is seen", () => giveView(), { node: { id: "lm-window-seen" } }),
      button("Automatic", "The file's own window", () => act({ op: "window", centre: null }), { node: { id: "lm-window-auto" } })));
  return ui.windows;
};

const modelPart = () => {
  ui.models = h("select", { id: "lm-model", "aria-label": "Model", onchange: () => setModel() });
  ui.engines = h("select", { id: "lm-engine", "aria-label": "Engine", onchange: () => setModel() });
  ui.otherModel = h("select", { id: "lm-other-model", "aria-label": "Model to compare with" });
  ui.otherEngine = h("select", { id: "lm-other-engine", "aria-label": "Engine to compare with" });
  ui.compared = h("table", { className: "lm-table", id: "lm-compared" });
  return section("Model and comparison", false, field("Model", ui.models), field("Engine", ui.engines),
    field("Compare with", ui.otherModel), field("on", ui.otherEngine),
    h("div", { className: "lm-row" },
      button("Compare", "The same prompts on the other model, beside this one",
        () => act({ op: "compare", model: ui.otherModel.value, engine: ui.otherEngine.value }), { node: { id: "lm-compare" } }),
      button("End comparison", "Show this model alone", () => act({ op: "endcompare" }))),
    ui.compared);
};

const homePart = () =>
  section("Take home", true,
    h("div", { className: "lm-row" }, button("Everything (ZIP)", "Download all results as one ZIP", () => save("zip"),
      { aria: "Download everything as ZIP", node: { id: "lm-save-zip", className: "lm-button lm-primary" } })),
    h("div", { className: "lm-row" }, ...[["label", "Label PNG"], ["overlay", "Overlay PNG"], ["npz", "npz"], ["nifti", "NIfTI"],
      ["coco", "COCO JSON"], ["prompts", "Prompts JSON"]].map(([what, label]) =>
      button(label, `Download: ${label}`, () => save(what), { node: { id: `lm-save-${what}` } })),
      ...Object.values(registry.menus).flat().map(({ id, label, title, action }) => button(label, title, action, { node: { id } }))));

const exactPart = () => {
  ui.exact = h("input", { type: "text", id: "lm-exact", placeholder: "120,80,260,190  or  180,140,1", autocomplete: "off",
    onkeydown: (event) => { if (event.key === "Enter") sendExact(); } });
  ui.exactFrame = h("select", { id: "lm-exact-frame" }, h("option", { value: "voxel" }, "voxels of the file"),
    h("option", { value: "display" }, "pixels as shown"));
  ui.exactFrameField = field("Numbers count", ui.exactFrame);
  ui.exactFrameField.hidden = true;
  return section("Exact prompt", false, field("Box x0,y0,x1,y1 or click x,y,1 or x,y,0", ui.exact), ui.exactFrameField,
    button("Apply", "Apply the typed prompt to the selected object", () => sendExact(), { node: { id: "lm-exact-apply" } }));
};

const shortcutsPart = () =>
  section("Keyboard and mouse", false, h("table", { className: "lm-table" },
    h("tbody", {}, ...registry.keys.map(({ shown, what }) => h("tr", {}, h("th", { scope: "row" }, shown), h("td", {}, what))))),
    h("p", {}, "A scribble becomes clicks along it, which the model was trained on. Brush and eraser change exactly the pixels under them."));
