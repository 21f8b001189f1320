// Behind "?": the model card, the keys, help, the service for scripts. They are Gradio's own tabs, shown over the page.

const helpPanel = () => document.querySelector("#lm-about");

const openHelp = () => {
  const panel = helpPanel();
  if (!panel) return;
  panel.classList.add("lm-open");
  panel.setAttribute("role", "dialog");
  panel.setAttribute("aria-modal", "true");
  panel.setAttribute("aria-label", "Help");
  ui.root.inert = true;
  ui.lastFocus = document.activeElement;
  if (!panel.querySelector("#lm-close-help")) {
    panel.prepend(button("Close", "Close (Esc)", () => closeHelp(), { node: { id: "lm-close-help" } }));
  }
  panel.querySelector("#lm-close-help").focus();
};

const closeHelp = () => {
  if (!helpPanel()?.classList.contains("lm-open")) return false;
  helpPanel().classList.remove("lm-open");
  ui.root.inert = false;
  ui.lastFocus?.focus();
  return true;
};

// the page's keys, for the tab "Keys"
const keyList = () => {
  const whats = new Map();
  for (const { shown, what } of registry.keys) whats.set(what, [...new Set([...(whats.get(what) ?? []), shown])]);
  const table = h("table", { className: "lm-keys" }, h("tbody", {}, ...[...whats].map(([what, shown]) =>
    h("tr", {}, h("th", { scope: "row" }, ...shown.flatMap((key, i) => [i ? " " : null, h("kbd", {}, key)])), h("td", {}, what)))));
  return h("div", {}, table, h("p", {}, h("button", { type: "button", id: "lm-hints-again", onclick: () => { hintsAgain(); closeHelp(); } },
    "Show the hints of the first visit again")));
};

register.key("?", "model card, keys and help", () => openHelp());
