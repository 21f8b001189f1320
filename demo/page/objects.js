// The objects, always open at the right; under the selected one what belongs to it.

const rows = new Map(); // id -> the parts of its row, so that a field keeps the focus while answers come

const objectsPart = () => {
  ui.objects = h("ul", { className: "lm-objects", "aria-label": "Objects" });
  ui.noObject = h("p", { className: "lm-empty" }, "No object yet: draw a box, or click on something.");
  ui.merge = h("select", { id: "lm-merge", "aria-label": "Merge with",
    onchange: () => { if (ui.merge.value) act({ op: "merge", objects: [state.selected, Number(ui.merge.value)] }); } });
  ui.advice = h("p", { className: "lm-advice", id: "lm-advice" });
  ui.choices = h("div", { className: "lm-choices", role: "group", "aria-label": "What the prompts can mean" });
  ui.measures = h("table", { className: "lm-table", id: "lm-measures", "aria-label": "Measurements" });
  ui.clearSlice = button("Clear slice", "Take its mask and prompts on this slice away (Delete)", () => act({ op: "clear" }),
    { node: { id: "lm-clear-slice", hidden: true } });
  ui.selected = h("div", { className: "lm-details" }, ui.advice, ui.choices, namingPart(), ui.measures,
    ...registry.sections.filter(({ place: where }) => where === "selected").map(sectionOf),
    h("div", { className: "lm-row" },
      ui.clearSlice,
      button("Clear object", "Take all its masks and prompts away", () => act({ op: "clear", everywhere: true }), { node: { id: "lm-clear" } }),
      button("Split", "Try to split the object into instances", () => act({ op: "split" }), { node: { id: "lm-split" } }),
      ui.merge));
  return h("section", { className: "lm-objectspart", "aria-label": "Objects" },
    h("div", { className: "lm-paneltitle" }, h("h2", {}, "Objects"),
      button("New object", "New object (O)", () => act({ op: "add" }), { node: { id: "lm-new" } })),
    ui.objects, ui.noObject);
};

const sectionOf = ({ id, title, place: where, build }) => {
  const made = section(title, where === "panel", build());
  made.id = id;
  return made;
};

const showPanel = (view) => {
  objectList(view);
  targetList(view);
  choiceList(view);
  const own = view.objects.find((item) => item.id === view.selected);
  ui.measures.replaceChildren(figures(own?.measures ?? []));
  showAdvice(own);
  ui.clearSlice.hidden = !view.image?.volume;
};

const figures = (list) => h("tbody", {}, ...list.map(([name, value]) =>
  h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, value))));

const objectList = (view) => {
  const known = new Set(view.objects.map(({ id }) => id));
  for (const [id, row] of rows) {
    if (known.has(id)) continue;
    row.node.remove();
    rows.delete(id);
  }
  view.objects.forEach((item, i) => {
    if (!rows.has(item.id)) rows.set(item.id, makeRow(item.id));
    const row = rows.get(item.id);
    if (ui.objects.children[i] !== row.node) ui.objects.insertBefore(row.node, ui.objects.children[i] ?? null);
    fillRow(row, item, item.id === view.selected);
  });
  ui.noObject.hidden = view.objects.length > 0;
  ui.merge.replaceChildren(h("option", { value: "" }, "Merge with …"), ...view.objects.filter((item) => item.id !== view.selected)
    .map((item) => h("option", { value: item.id }, item.name)));
  ui.merge.hidden = view.objects.length < 2;
};

const makeRow = (id) => {
  const select = () => { if (id !== state.selected) act({ op: "select", object: id }); };
  const small = (name, className, onclick) => {
    const made = h("button", { type: "button", className: `lm-mini ${className}`, onclick });
    made.append(icon(name));
    return made;
  };
  const row = {
    swatch: h("button", { type: "button", className: "lm-swatch", onclick: select }),
    name: h("input", { type: "text", maxLength: 60, className: "lm-objectname", onfocus: select,
      onkeydown: (event) => { if (event.key === "Enter") event.target.blur(); },
      onchange: (event) => act({ op: "rename", object: id, name: event.target.value }) }),
    score: h("span", { className: "lm-score", onclick: select }),
    hide: small("view", "lm-hide", () => act({ op: "hide", object: id, hidden: !row.item.hidden })),
    lock: small("unlock", "lm-lock", () => act({ op: "lock", object: id, locked: !row.item.locked })),
    remove: small("remove", "lm-remove", () => act({ op: "remove", object: id })),
  };
  row.node = h("li", { className: "lm-object" },
    h("div", { className: "lm-objectline" }, row.swatch, h("div", { className: "lm-objecttext" }, row.name, row.score), row.hide, row.lock, row.remove));
  return row;
};

const fillRow = (row, item, chosen) => {
  row.item = item;
  const called = `object ${item.number}, ${item.name}`;
  const isNew = chosen && !row.node.classList.contains("lm-selected");
  row.node.classList.toggle("lm-selected", chosen);
  row.node.setAttribute("aria-current", String(chosen));
  row.swatch.textContent = String(item.number);
  row.swatch.style.background = css(item.colour);
  named(row.swatch, `${item.number}: select ${called}`);
  row.swatch.setAttribute("aria-pressed", String(chosen));
  row.name.setAttribute("aria-label", `Name of object ${item.number}`);
  if (document.activeElement !== row.name) row.name.value = item.name;
  scoreInWords(row.score, item);
  for (const [node, on, yes, no, drawn] of [[row.hide, item.hidden, "Show", "Hide", ["hidden", "view"]],
    [row.lock, item.locked, "Unlock", "Lock", ["lock", "unlock"]]]) {
    named(node, `${on ? yes : no} ${called}`);
    node.classList.toggle("lm-on", on);
    node.replaceChildren(icon(drawn[on ? 0 : 1]));
  }
  named(row.remove, `Remove ${called}`);
  if (!chosen) return;
  if (ui.selected.parentNode !== row.node) row.node.append(ui.selected);
  if (isNew) row.node.scrollIntoView({ block: "nearest" });
};

const named = (node, text) => {
  node.setAttribute("aria-label", text);
  node.title = text;
};

// -- how sure the model is

const CLASS_OF = { good: "lm-good", "usable after correction": "lm-usable", "start over": "lm-unsure" };

const scoreInWords = (node, item) => {
  const known = item.score !== null && item.score !== undefined;
  node.replaceChildren(known
    ? h("span", { className: `lm-words ${CLASS_OF[item.words] ?? ""}`, title: "the model's own estimate of the overlap (IoU), in words and as a number" },
        `${item.words} `, h("b", {}, item.score.toFixed(2)))
    : h("span", {}, item.painted ? "by hand" : item.mask ? "no score" : "nothing on it yet"));
};

const showAdvice = (item) => {
  const unsure = item?.words === "start over" && !item.painted;
  ui.advice.textContent = unsure
    ? `Unsure: click, choose${state.view?.targets?.length ? ", or say what it is" : " another mask, or draw another box"}.` : "";
  ui.advice.hidden = !unsure;
};
