// Which model works, and another one beside it.

register.section({ id: "lm-modelpart", title: "Model and comparison", place: "closed",
  build: () => {
    ui.models = h("select", { id: "lm-model", onchange: () => setModel() });
    ui.engines = h("select", { id: "lm-engine", onchange: () => setModel() });
    ui.otherModel = h("select", { id: "lm-other-model" });
    ui.otherEngine = h("select", { id: "lm-other-engine" });
    ui.compared = h("table", { className: "lm-table", id: "lm-compared" });
    return h("div", { className: "lm-body" }, field("Model", ui.models), field("Engine", ui.engines),
      field("Compare with", ui.otherModel), field("Its engine", ui.otherEngine),
      h("div", { className: "lm-row" },
        button("Compare", "The same prompts on the other model, beside this one",
          () => act({ op: "compare", model: ui.otherModel.value, engine: ui.otherEngine.value }), { node: { id: "lm-compare" } }),
        button("End comparison", "Show this model alone", () => act({ op: "endcompare" }))),
      ui.compared);
  },
  update: (view) => {
    ui.models.value = view.model;
    ui.engines.value = view.engine;
    comparedTable(view);
  } });

const fillModels = (about) => {
  const options = (names) => names.map((name) => h("option", { value: name }, name));
  for (const select of [ui.models, ui.otherModel]) select.replaceChildren(...options(about.models));
  for (const select of [ui.engines, ui.otherEngine]) select.replaceChildren(...options(about.engines));
  if (about.models.length > 1) ui.otherModel.selectedIndex = 1;
  else if (about.engines.length > 1) ui.otherEngine.selectedIndex = 1;
};

const setModel = () => act({ op: "model", model: ui.models.value, engine: ui.engines.value });

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

