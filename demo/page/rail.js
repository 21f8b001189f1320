// The tools at the left of the picture, in three groups; on a phone five of them in a bar at the bottom, the others behind "More".

const GROUPS = [["prompt", "Prompt"], ["edit", "Edit"], ["view", "View"]];
const IN_BAR = ["box", "click", "unclick", "brush", "eraser"]; // of a phone

// "Point +" and "Point −" share a row, as a switch of the sign
const SIGNED = /^(.+) ([+−])$/;

const toolButton = ({ id, label, key, hint, icon: drawn }) => {
  const [, name, sign] = label.match(SIGNED) ?? [null, label, null];
  return h("button", { type: "button", id: `lm-tool-${id}`, className: IN_BAR.includes(id) ? "lm-tool lm-first" : "lm-tool",
    title: `${hint}${key ? ` (${key})` : ""}`, onclick: () => { setTool(id); showAllTools(false); } },
  icon(drawn || id), h("span", { className: "lm-label" }, name), sign && h("span", { className: "lm-sign" }, ` ${sign}`),
  key && h("kbd", { "aria-hidden": "true" }, key));
};

const toolRows = (tools) => {
  const made = [];
  for (const tool of tools) {
    const [, name] = tool.label.match(SIGNED) ?? [];
    const row = made.at(-1);
    if (name && row?.dataset.signed === name) row.append(toolButton(tool));
    else if (name) {
      made.push(h("div", { className: "lm-signrow", role: "group", "aria-label": name },
        h("span", { className: "lm-signname", "aria-hidden": "true" }, icon(tool.icon || tool.id), name), toolButton(tool)));
      made.at(-1).dataset.signed = name;
    } else made.push(toolButton(tool));
  }
  return made;
};

const railPart = () => {
  ui.brush = h("input", { type: "range", min: 1, max: 60, value: state.look.brush, id: "lm-brush-size",
    oninput: () => { state.look.brush = Number(ui.brush.value); ui.brushOut.textContent = `${ui.brush.value} px`; } });
  ui.brushOut = h("output", {}, `${state.look.brush} px`);
  ui.brushField = h("label", { className: "lm-brushfield", hidden: true }, h("span", {}, "Brush size"), ui.brushOut, ui.brush);
  const groups = GROUPS.map(([group, title]) => h("div", { className: "lm-toolgroup", role: "group", "aria-label": title },
    h("h2", {}, title), ...toolRows(registry.tools.filter((tool) => tool.group === group)), group === "edit" && ui.brushField));
  ui.rail = h("nav", { id: "lm-rail", "aria-label": "Tools" }, ...groups,
    h("button", { type: "button", id: "lm-all-tools", className: "lm-tool lm-compact", "aria-expanded": "false",
      onclick: () => showAllTools() }, icon("more"), h("span", { className: "lm-label" }, "More")),
    h("button", { type: "button", id: "lm-sheet", className: "lm-tool lm-compact", "aria-expanded": "false",
      onclick: () => showSheet() }, icon("objects"), h("span", { className: "lm-label" }, "Objects")));
  return ui.rail;
};

const showAllTools = (all = !ui.rail.classList.contains("lm-all")) => {
  ui.rail.classList.toggle("lm-all", all);
  ui.rail.querySelector("#lm-all-tools").setAttribute("aria-expanded", String(all));
};

const showSheet = (open = !ui.root.classList.contains("lm-sheet-open")) => {
  ui.root.classList.toggle("lm-sheet-open", open);
  ui.rail.querySelector("#lm-sheet").setAttribute("aria-expanded", String(open));
};

const setTool = (name) => {
  state.tool = name;
  for (const { id } of registry.tools) {
    const node = ui.rail.querySelector(`#lm-tool-${id}`);
    node.setAttribute("aria-pressed", String(id === name));
    node.classList.toggle("lm-on", id === name);
  }
  ui.brushField.hidden = name !== "brush" && name !== "eraser";
  if (state.bitmap) say(registry.tools.find(({ id }) => id === name).hint);
  board?.redraw();
};
