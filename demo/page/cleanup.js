// Clean-up of masks: what is done, to which objects, on this slice or all. Each is one step that undo takes back.

// action, label, title, and the field whose amount it goes by
const CLEANUPS = [
  ["largest", "Keep largest", "Keep the largest connected part", null],
  ["islands", "Remove islands", "Remove connected parts that are smaller than the size", "size"],
  ["holes", "Fill holes", "Fill the holes inside", null],
  ["smooth", "Smooth", "Smooth the edge by the radius", "radius"],
  ["grow", "Grow", "Add a rim of the radius", "radius"],
  ["shrink", "Shrink", "Take a rim of the radius away", "radius"],
];
const cleaning = {};

const cleanUp = (action, amountOf) => {
  const amount = amountOf ? Number(cleaning[amountOf].value) : null;
  if (amountOf && !(amount > 0)) {
    say(`The ${amountOf} must be a number above 0.`, { error: true, id: "cleanup" });
    return;
  }
  forgetSaid((old) => old.id === "cleanup");
  const volume = !cleaning.volumeField.hidden && cleaning.volume.value === "volume";
  act({ op: "cleanup", action, amount, unit: cleaning.unit.value, winner: cleaning.winner.value,
    every: cleaning.which.value === "all", volume });
};

const cleanupPart = () => {
  const choice = (id, label, ...options) => h("select", { id, "aria-label": label }, ...options.map(([value, text]) => h("option", { value }, text)));
  const number = (id, label, value) => h("input", { type: "number", id, min: 0, step: "any", value, "aria-label": label, className: "lm-short" });
  cleaning.which = choice("lm-cleanup-which", "Objects to clean up", ["selected", "the selected object"], ["all", "all objects"]);
  cleaning.volume = choice("lm-cleanup-volume", "Slices to clean up", ["slice", "on this slice"], ["volume", "in the whole volume"]);
  cleaning.volumeField = h("span", { hidden: true }, cleaning.volume);
  cleaning.radius = number("lm-cleanup-radius", "Radius", 2);
  cleaning.size = number("lm-cleanup-size", "Size of islands", 50);
  cleaning.unit = choice("lm-cleanup-unit", "Unit of radius and size", ["px", "px"], ["mm", "mm"]);
  cleaning.winner = choice("lm-cleanup-winner", "Who keeps what several objects claim", ["smaller", "the smaller wins"],
    ["later", "the later wins"], ["selected", "the selected wins"]);
  const named = cleaning.named = Object.fromEntries(CLEANUPS.map(([action, label, title, amount]) =>
    [action, button(label, title, () => cleanUp(action, amount), { node: { id: `lm-cleanup-${action}` } })]));
  cleaning.overlaps = button("No overlap", "Give each pixel to one object", () => cleanUp("overlaps", null), { node: { id: "lm-cleanup-overlaps" } });
  return h("div", { className: "lm-cleanup" },
    h("div", { className: "lm-row" }, cleaning.which, cleaning.volumeField),
    h("div", { className: "lm-row" }, named.largest, named.holes),
    h("div", { className: "lm-row" }, named.islands, h("label", { className: "lm-inline" }, "below ", cleaning.size)),
    h("div", { className: "lm-row" }, named.smooth, named.grow, named.shrink),
    h("div", { className: "lm-row" }, h("label", { className: "lm-inline" }, "Radius ", cleaning.radius), cleaning.unit),
    h("div", { className: "lm-row" },
      cleaning.overlaps, cleaning.winner));
};

const showCleanup = (view) => {
  const mm = view.image?.spacing_mm;
  cleaning.volumeField.hidden = !view.image?.volume;
  const [, inMm] = cleaning.unit.options;
  inMm.disabled = !mm;
  cleaning.unit.title = mm ? "islands count in mm² or mm³" : "mm where the pixel size is known";
  if (!mm) cleaning.unit.value = "px";
  const none = !view.objects.some((item) => item.mask);
  for (const node of Object.values(cleaning.named)) node.disabled = none && !view.image?.volume;
  cleaning.overlaps.disabled = view.objects.length < 2;
};

register.section({ id: "lm-cleanup", title: "Clean up", place: "selected", build: cleanupPart, update: showCleanup });
