// A lane per object under the slider of a volume: where it was prompted and followed, which slices need a look, and why
// following ended. A press leads to the slice, and to a mark where one is near; Shift with Page up and Page down leads from look to look.

const LANE_REACH = 6; // a press so many screen pixels beside a mark still means it

const laneMarks = ({ prompted, weak, ended }) => [
  ...weak.map(([slice, words]) => ({ slice, kind: "weak", words: `needs a look: ${words}` })),
  ...ended.filter(({ slice }) => slice !== null).map(({ slice, why, words }) =>
    ({ slice, kind: EXPECTED_ENDS.includes(why) ? "end" : "early", words: `ends here: ${words}` })),
  ...prompted.map((slice) => ({ slice, kind: "prompted", words: "prompted" })),
];

const EXPECTED_ENDS = ["end of volume", "limit"];

const laneText = (item) => {
  const { lane } = item;
  const slices = item.slices.length ? `slices ${item.slices[0] + 1} to ${item.slices.at(-1) + 1}` : "on no slice";
  const ends = lane.ended.map(({ slice, words }, side) =>
    `${side ? "above" : "below"}${slice === null ? "" : `, slice ${slice + 1}`}: ${words}`);
  return [`${item.number} ${item.name}: ${slices}`, ...(ends.length ? [`ended ${ends.join("; ")}`] : []),
    ...(lane.weak.length ? [`${lane.weak.length} to look at`] : []),
    ...(lane.stale ? ["followed with another model or window"] : lane.outdated ? ["corrected since it was followed"] : [])].join(". ");
};

const laneOf = (item, image) => {
  const percent = (n) => `${(100 * n) / image.slices}%`;
  const marks = laneMarks(item.lane);
  const near = (event) => {
    const rect = event.currentTarget.getBoundingClientRect();
    const at = ((event.clientX - rect.left) / rect.width) * image.slices;
    const distance = ({ slice }) => (Math.abs(slice + 0.5 - at) * rect.width) / image.slices;
    const mark = marks.filter((one) => distance(one) <= LANE_REACH).sort((a, b) => distance(a) - distance(b))[0];
    return { slice: mark?.slice ?? clamp(Math.floor(at), 0, image.slices - 1), words: mark?.words };
  };
  const old = item.lane.stale || item.lane.outdated ? " lm-lane-old" : "";
  return h("div", { className: `lm-lane${item.id === state.selected ? " lm-on" : ""}${old}`, role: "img", "aria-label": laneText(item),
    title: laneText(item),
    onpointermove: (event) => {
      const { slice, words } = near(event);
      event.currentTarget.title = `Slice ${slice + 1}${words ? `, ${words}` : ""}\n${laneText(item)}`;
    },
    onclick: (event) => goTo(near(event).slice) },
    ...item.lane.followed.map(([from, to]) => h("i", { className: "lm-lane-run",
      style: `left:${percent(from)};width:${percent(to + 1 - from)};background:${css(item.colour)}` })),
    ...marks.map(({ slice, kind }) => h("i", { className: `lm-lane-${kind}`,
      style: `left:${percent(slice + 0.5)};--colour:${css(item.colour)}` })),
    h("b", { style: `left:${percent(state.slice + 0.5)}` }));
};

ui.nextLook = h("button", { type: "button", className: "lm-button", id: "lm-next-look", hidden: true, onclick: () => goToLook(1) });

const showLanes = (view) => {
  const { image } = view;
  ui.lanes.replaceChildren(...view.objects.filter(({ lane }) => lane).map((item) => laneOf(item, image)));
  const looks = view.to_look_at ?? [];
  const slices = new Set(looks.map(([slice]) => slice)).size;
  ui.nextLook.hidden = !slices;
  ui.nextLook.textContent = `Look at ${slices}`;
  ui.nextLook.title = `${slices} slice${slices === 1 ? " needs" : "s need"} a look: lead to the next one (Shift+Page down)`;
  const old = view.objects.some(({ lane }) => lane?.stale || lane?.outdated);
  ui.follow.textContent = old ? "Follow anew" : "Follow";
};

// the next or previous slice that needs a look, around the ends, and why
const goToLook = (step) => {
  const looks = state.view?.to_look_at ?? [];
  if (!looks.length) {
    if (state.view?.image?.volume) say("No slice needs a look.", { id: "look" });
    return;
  }
  const slices = [...new Set(looks.map(([slice]) => slice))].sort((a, b) => (a - b) * step);
  const wanted = slices.find((slice) => (slice - state.slice) * step > 0) ?? slices[0];
  const why = looks.filter(([slice]) => slice === wanted).map(([, number, words]) => `object ${number} ${words}`);
  goTo(wanted);
  say(`Slice ${wanted + 1}: ${why.join("; ")}.`, { id: "look" });
};

// what following has come to stays until it is dismissed: it may say that something ended early
const reportFollowing = (message, failed) => say(message, failed ? { error: true, id: "job" }
  : { sticky: true, id: "job", action: state.view?.to_look_at?.length ? ["Look", () => goToLook(1)] : null });

register.key("pagedown", "next slice that needs a look", () => goToLook(1), { shift: true });
register.key("pageup", "previous slice that needs a look", () => goToLook(-1), { shift: true });
