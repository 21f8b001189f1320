// Under the picture of a volume: the slider, what each object has on which slices, following.

const slicesPart = () => {
  ui.slice = h("input", { type: "range", min: 0, max: 0, value: 0, id: "lm-slice", "aria-label": "Slice",
    oninput: () => goTo(Number(ui.slice.value)) });
  ui.sliceOut = h("output", { id: "lm-slice-number" });
  ui.marks = h("div", { className: "lm-marks", "aria-hidden": "true" });
  ui.lanes = h("div", { id: "lm-lanes", role: "group", "aria-label": "Slices of each object" });
  ui.follow = button("Follow", "Follow the objects from the prompted slices to the others, both ways",
    () => act({ op: "propagate" }), { node: { id: "lm-follow", className: "lm-button lm-primary" } });
  ui.stop = button("Stop", "Stop following; what is finished is kept", () => stopJob(), { node: { id: "lm-stop" } });
  ui.progress = h("progress", { max: 1, value: 0, "aria-label": "Slices done" });
  ui.volume = h("div", { id: "lm-slicebar", hidden: true },
    h("span", { className: "lm-slicetitle" }, "Slice"), h("span", { className: "lm-track" }, ui.slice, ui.marks), ui.sliceOut,
    h("div", { className: "lm-followrow" }, ui.nextLook, ui.follow, ui.stop, ui.progress),
    ui.lanes);
  return ui.volume;
};

const goTo = (index) => {
  const wanted = clamp(index, 0, state.slices - 1);
  ui.slice.value = wanted;
  ui.sliceOut.textContent = `${wanted + 1} / ${state.slices}`;
  state.slice = wanted;
  enface.at(wanted);
  act({ op: "look", slice: wanted }, "look");
};

const showSlices = (view) => {
  const image = view.image;
  ui.volume.hidden = !image?.volume;
  if (!image?.volume) return;
  ui.slice.max = image.slices - 1;
  ui.slice.value = state.slice;
  ui.sliceOut.textContent = `${state.slice + 1} / ${image.slices}`;
  ui.marks.replaceChildren(...image.marked.map((z) => h("i", { className: image.prompted.includes(z) ? "lm-prompted" : "",
    style: `left:${(100 * (z + 0.5)) / image.slices}%` })));
  showLanes(view);
  showJob(view.job);
};

const stopJob = () => wire.direct({ op: "stop" }).then((answer) => answer.ok && showJob(answer.job));

const showJob = (job) => {
  ui.stop.hidden = !job?.running;
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
      const { message, failed } = answer.job ?? {};
      if (message) reportFollowing(message, failed);
      else if (done.ok) say("The objects were followed through the slices. Correct a slice and follow again.", { id: "job" });
      return;
    }
    showJob(answer.job);
    say(`Following: ${answer.job.done} of ${answer.job.total} slices`, { id: "job" });
    await pause(150);
  }
};
