// Two short hints for who is here for the first time, and again from the help.

const HINTS = [
  ["box", "Drag a box around one thing. Its mask appears by itself."],
  ["mask", "Wrong somewhere? Take Point + and click what is missing, Point − on what is too much. Ctrl+Z takes a step back."],
];
const hints = { seen: new Set((localStorage.getItem("lm-hints") ?? "").split(" ")), shown: null };

const hintPart = () => {
  ui.hintText = h("p", {});
  ui.hint = h("div", { id: "lm-hint", role: "note", hidden: true }, ui.hintText,
    button("Got it", "Do not show this again", () => hintSeen(), { node: { id: "lm-hint-seen" } }));
  return ui.hint;
};

const hintSeen = () => {
  hints.seen.add(hints.shown);
  localStorage.setItem("lm-hints", [...hints.seen].join(" ").trim());
  hints.shown = null;
  if (state.view) showHint(state.view);
};

const showHint = (view) => {
  const masked = view.objects.some((item) => item.mask);
  const due = view.image ? (masked ? "mask" : view.objects.length ? null : "box") : null;
  hints.shown = due && !hints.seen.has(due) ? due : null;
  ui.hint.hidden = !hints.shown;
  if (hints.shown) ui.hintText.textContent = HINTS.find(([name]) => name === hints.shown)[1];
};

const hintsAgain = () => {
  hints.seen.clear();
  localStorage.removeItem("lm-hints");
  if (state.view) showHint(state.view);
};

onView(showHint);
