// Classes: what kind of thing an object is, apart from its name and number. The list comes from a file and goes to one; Shift
// and a class's key give it to the selected object and to new ones.

const kinds = { shown: null };

const classOf = (view) => view.objects.find((item) => item.id === view.selected)?.label ?? null;

const setClass = (name) => act({ op: "class", name });

const nextColours = ["#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7"];

const addClass = () => {
  const name = kinds.name.value.trim();
  if (!name) { kinds.name.focus(); return; }
  act({ op: "addclass", name, colour: kinds.colour.value }).then((answer) => {
    if (!answer.ok) return;
    kinds.name.value = "";
    kinds.colour.value = nextColours[state.view.classes.length % nextColours.length];
    if (state.view.classes.length === 1) setClass(name);
  });
};

const readClasses = async () => {
  const [file] = kinds.file.files;
  kinds.file.value = "";
  if (!file) return;
  if (file.size > 1_000_000) { say("A class list must have at most 1 MB.", { error: true, id: "classes" }); return; }
  forgetSaid((old) => old.id === "classes");
  await act({ op: "classes", text: await file.text() });
};

const saveClasses = async (format) => {
  const answer = await act({ op: "saveclasses", format });
  if (answer.ok) takeFile(answer.file);
};

const classRow = ({ name, colour, key }, view) => {
  const own = classOf(view) === name;
  const count = view.objects.filter((item) => item.label === name).length;
  return h("li", { className: view.class === name ? "lm-class lm-on" : "lm-class" },
    h("input", { type: "color", value: colour, title: `Colour of ${name}`, "aria-label": `Colour of ${name}`,
      onchange: (event) => act({ op: "addclass", name, colour: event.target.value }) }),
    h("button", { type: "button", className: "lm-classname", "aria-pressed": String(own), "data-class": name,
      title: `${name}: for the selected object and for new ones${key ? ` (Shift+${key.toUpperCase()})` : ""}`,
      onclick: () => setClass(own ? null : name) }, h("span", {}, name), key ? h("kbd", {}, `⇧${key.toUpperCase()}`) : null),
    h("span", { className: "lm-count", title: `${count} objects` }, String(count)),
    h("button", { type: "button", className: "lm-mini", title: `Remove ${name} from the list`, "aria-label": `Remove ${name} from the list`,
      onclick: () => act({ op: "dropclass", name }) }, "✕"));
};

const classesPart = () => {
  kinds.list = h("ul", { className: "lm-classes", "aria-label": "Classes" });
  kinds.empty = h("p", { className: "lm-empty" }, "No classes: objects go by their names. Add one, or open a list.");
  kinds.name = h("input", { type: "text", id: "lm-class-name", maxLength: 60, placeholder: "new class", "aria-label": "Name of a new class",
    onkeydown: (event) => { if (event.key === "Enter") addClass(); } });
  kinds.colour = h("input", { type: "color", value: nextColours[0], "aria-label": "Colour of the new class", id: "lm-class-colour" });
  kinds.file = h("input", { type: "file", id: "lm-class-file", accept: ".json,.csv,.txt,text/*,application/json", hidden: true,
    "aria-label": "Open a class list", onchange: () => readClasses() });
  kinds.byClass = h("input", { type: "checkbox", id: "lm-by-class", onchange: () => { state.look.byClass = kinds.byClass.checked; act({ op: "look" }); } });
  kinds.save = h("select", { id: "lm-class-save", "aria-label": "Save the class list as", onchange: () => {
    const format = kinds.save.value;
    kinds.save.value = "";
    if (format) saveClasses(format);
  } }, ...[["", "Save list …"], ["json", "JSON (CVAT)"], ["csv", "CSV"], ["txt", "Names (Labelme, YOLO)"]].map(([value, text]) => h("option", { value }, text)));
  return h("div", { className: "lm-body" }, kinds.list, kinds.empty,
    h("div", { className: "lm-row" }, kinds.colour, kinds.name, button("Add", "Add the class to the list", () => addClass(), { node: { id: "lm-class-add" } })),
    h("div", { className: "lm-row" }, button("Open list …", "JSON, CSV, names on lines, CVAT's labels", () => kinds.file.click(), { node: { id: "lm-class-open" } }),
      kinds.save, kinds.file),
    h("label", { className: "lm-check" }, kinds.byClass, h("span", {}, "Colours of the classes")));
};

const showClasses = (view) => {
  const classes = view.classes ?? [];
  const key = JSON.stringify([classes, view.class, classOf(view), view.objects.map((item) => item.label)]);
  kinds.empty.hidden = classes.length > 0;
  kinds.save.disabled = !classes.length;
  kinds.byClass.disabled = !classes.length;
  if (kinds.shown === key) return;
  kinds.shown = key;
  const focused = kinds.list.contains(document.activeElement) ? document.activeElement.dataset.class : null;
  kinds.list.replaceChildren(...classes.map((one) => classRow(one, view)));
  if (focused) [...kinds.list.querySelectorAll("[data-class]")].find((node) => node.dataset.class === focused)?.focus();
};

// objects in the colours of their classes, or in their own; in files they have their own
const rgbOf = (colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));

const colourByClass = (view) => {
  if (!state.look.byClass) return;
  const colours = new Map((view.classes ?? []).map(({ name, colour }) => [name, rgbOf(colour)]));
  for (const item of view.objects) item.colour = colours.get(item.label) ?? item.colour;
};

// Shift and the key of a class; digits by their place on the keyboard, because Shift makes other signs of them
document.addEventListener("keydown", (event) => {
  if (!event.shiftKey || event.ctrlKey || event.metaKey || event.altKey || !state.view?.classes?.length) return;
  if (event.target.matches?.("input:not([type=range]):not([type=checkbox]), textarea, select")) return;
  const pressed = event.code.startsWith("Digit") ? event.code.slice(5) : event.key.toLowerCase();
  const found = state.view.classes.find(({ key }) => key === pressed);
  if (!found) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  setClass(found.name);
}, true);

register.section({ id: "lm-classes", title: "Classes", place: "closed", build: classesPart, update: showClasses });
register.key("shift class", "the class whose key it is, for the selected object and for new ones", () => {}, { shown: "Shift+1 … 9, A … Z" });
