// What is asked of the server, and what the page does with its answers.

const wire = makeWire(() => state.token, (answer, ms) => onAnswer(answer, ms), (busy) => {
  ui.root.classList.toggle("lm-busy", busy);
});

const target = (slice) => ({ slice, have: heldKey(slice), object: state.selected, unit: ui.unit.value });

// every change: the request takes slice, picture and object as they are when its turn comes
const act = (request, kind = null) => wire.send(() => ({ ...target(request.slice ?? state.slice), ...request }), kind);

const onAnswer = (answer, ms) => {
  if (!answer.ok) {
    if (answer.code === "replaced") return null;
    say(answer.error, { error: true });
    return null;
  }
  if (answer.about) setUp(answer.about);
  return answer.view ? show(answer.view, answer, ms) : null;
};

const setUp = (about) => {
  state.about = about;
  fillModels(about);
  fillSamples(about.samples);
  ui.root.dataset.ready = "true";
};

const show = async (view, answer, ms) => {
  state.view = view;
  state.selected = view.selected;
  state.model = view.model;
  if (view.image) await showImage(view.image);
  showObjects(view);
  board.redraw();
  showControls(view);
  report(view, answer, ms);
  if (view.job) watchJob();
};

const showImage = async (image) => {
  Object.assign(state, { slice: image.slice, slices: image.slices, step: image.step, key: image.key });
  const isNew = image.opened !== state.opened;
  state.opened = image.opened;
  if (isNew) {
    forgetSaid(() => true);
    state.aspectByHand = false;
    ui.unit.value = image.modality === "OCT" ? "um" : "mm"; // what each is usually measured in
    setTool("box");
  }
  await showPicture(image);
  if (isNew) board.picture(image.width, image.height);
  showAspect(image);
  enface.show(image, fetchData);
  enface.at(state.slice);
};

const showObjects = (view) => {
  const used = new Set();
  const shapeOf = (mask, colour) => {
    if (!mask) return null;
    const key = JSON.stringify([mask, colour]);
    used.add(key);
    if (!shapes.has(key)) shapes.set(key, maskShape(mask, colour));
    return shapes.get(key);
  };
  colourByClass(view);
  if (view.next) state.nextColour = view.next.colour;
  state.objects = view.objects.map((item) => ({ ...item, shape: item.hidden ? null : shapeOf(item.mask, item.colour) }));
  state.other = view.compared
    ? view.compared.objects.map((item) => {
        const colour = state.objects.find((object) => object.id === item.id)?.colour ?? [255, 255, 255];
        return { ...item, colour, shape: shapeOf(item.mask, colour) };
      })
    : null;
  state.otherName = view.compared ? view.compared.title : "";
  for (const key of shapes.keys()) if (!used.has(key)) shapes.delete(key);
};

const report = (view, answer, ms) => {
  if (view.ms?.decode !== undefined) forgetSaid(({ id }) => id === "plain"); // what was said to do is done
  if (answer.message) say(answer.message);
  if (view.ms?.decode === undefined) return;
  const encode = view.ms.encode ? `picture read in ${view.ms.encode} ms, ` : "";
  say(`Mask in ${Math.round(ms)} ms (${encode}mask ${view.ms.decode} ms).`, { id: "timing" });
};

// the controls after an answer
const showControls = (view) => {
  showTopbar(view);
  showSlices(view);
  showPanel(view);
  for (const { update } of [...registry.sections, ...registry.looks]) update(view);
  for (const { id, shown } of Object.values(registry.menus).flat()) {
    const node = ui.root.querySelector(`#${id}`);
    if (node) node.hidden = !shown(view);
  }
  for (const callback of registry.viewers) callback(view);
};

const fetchData = (url) => Promise.resolve(new Blob([fromBase64(url.split(",")[1])], { type: "image/png" }));
