// What is it? The names that the model knows for this kind of picture, found by typing; the object is named with it.

const namingPart = () => {
  const list = h("datalist", { id: "lm-targets" });
  ui.targets = list;
  ui.target = h("input", { type: "search", id: "lm-target", list: "lm-targets", autocomplete: "off", placeholder: "not said; type to search",
    onchange: () => sayWhat(), oninput: (event) => { if (nameOf(ui.target.value) && !event.inputType?.startsWith("insertText")) sayWhat(); },
    onkeydown: (event) => { if (event.key === "Enter") ui.target.blur(); } });
  ui.targetField = h("div", { className: "lm-field lm-target" }, h("label", { for: "lm-target" }, "What is it? (optional)"), ui.target, list);
  ui.targetField.hidden = true;
  return ui.targetField;
};

// [name, what is shown of it] of the picture's modality; of all where that is not known or the model has none for it
const namesHere = (view) => {
  const groups = view.targets ?? [];
  const here = groups.filter(([group]) => group === view.image?.modality);
  return (here.length ? here : groups).flatMap(([group, names]) =>
    names.map((name) => [name, name === group ? `any object in ${group}` : name]));
};

const nameOf = (text) => {
  const wanted = text.trim().toLowerCase();
  return namesHere(state.view).find(([name, shown]) => shown.toLowerCase() === wanted || name.toLowerCase() === wanted)?.[0];
};

const sayWhat = () => {
  const text = ui.target.value.trim();
  const name = text ? nameOf(text) : null;
  if (name === undefined) {
    say(`The model does not know "${text}" in such a picture: choose one of the list, or leave it empty. As the object's name it can stand above.`,
      { error: true, id: "target" });
    return;
  }
  forgetSaid((old) => old.id === "target");
  if ((selectedObject()?.target ?? null) !== name) act({ op: "target", target: name });
};

const targetList = (view) => {
  ui.targetField.hidden = !(view.targets ?? []).length;
  const names = namesHere(view);
  const key = JSON.stringify(names);
  if (ui.targets.dataset.shown !== key) {
    ui.targets.dataset.shown = key;
    ui.targets.replaceChildren(...names.map(([, shown]) => h("option", { value: shown })));
  }
  if (document.activeElement === ui.target) return;
  const chosen = selectedObject()?.target ?? "";
  ui.target.value = names.find(([name]) => name === chosen)?.[1] ?? chosen;
};
