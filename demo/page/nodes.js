// Making parts of the page.

const h = (tag, attributes = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name in node && name !== "list") node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return node;
};

const ui = {}; // the parts that others need, by name

// the name of a button is its label; `title` says more
const button = (label, title, onclick, attributes = {}) =>
  h("button", { type: "button", className: "lm-button", title, onclick,
    ...(attributes.aria ? { "aria-label": attributes.aria } : {}), ...attributes.node }, label);
const field = (label, control, note = null) => h("label", { className: "lm-field" }, h("span", {}, label), control, note);
const section = (title, open, ...children) =>
  h("details", { className: "lm-section", open }, h("summary", {}, title), h("div", { className: "lm-body" }, ...children));
