// What opens under a button and closes by Esc, by a click elsewhere, or by a choice in it.

const popOver = (opener, content, { id, label, closes = true }) => {
  const node = h("div", { id, className: "lm-pop", popover: "auto", role: "group", "aria-label": label }, ...content);
  opener.setAttribute("aria-expanded", "false");
  opener.setAttribute("aria-controls", id);
  opener.popoverTargetElement = node; // the browser's own: a second click closes
  node.addEventListener("beforetoggle", (event) => {
    if (event.newState === "open") place(opener, node);
  });
  node.addEventListener("toggle", (event) => {
    opener.setAttribute("aria-expanded", String(event.newState === "open"));
    if (event.newState === "open") keepInWindow(node);
  });
  node.addEventListener("click", (event) => {
    if (closes && event.target.closest("button, a")) node.hidePopover();
  });
  node.addEventListener("keydown", (event) => arrowKeys(event, node));
  return node;
};

const closePopOver = () => {
  const open = ui.root.querySelector(".lm-pop:popover-open");
  open?.hidePopover();
  return Boolean(open);
};

// under its button, or above it where there is no room, inside the window
const place = (opener, node) => {
  const at = opener.getBoundingClientRect();
  const below = at.bottom < window.innerHeight / 2;
  const right = at.left > window.innerWidth / 2;
  Object.assign(node.style, {
    top: below ? `${at.bottom + 4}px` : "auto", bottom: below ? "auto" : `${window.innerHeight - at.top + 4}px`,
    left: right ? "auto" : `${Math.max(8, at.left)}px`, right: right ? `${Math.max(8, window.innerWidth - at.right)}px` : "auto",
    maxHeight: `${(below ? window.innerHeight - at.bottom : at.top) - 16}px`,
  });
};

// one that is wider than what is left beside its button
const keepInWindow = (node) => {
  const { left, right, width } = node.getBoundingClientRect();
  if (left < 8 || right > window.innerWidth - 8) {
    Object.assign(node.style, { left: `${clamp(left, 8, Math.max(8, window.innerWidth - 8 - width))}px`, right: "auto" });
  }
};

const arrowKeys = (event, node) => {
  const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
  const items = [...node.querySelectorAll("button, a")].filter((one) => one.offsetParent && !one.disabled);
  if (!step || !items.length || event.target.matches("input, select")) return;
  event.preventDefault();
  event.stopPropagation();
  items[(items.indexOf(document.activeElement) + step + items.length) % items.length].focus();
};

// the entries that features registered for a menu
const menuEntries = (menu) => registry.menus[menu].map(({ id, label, title, action }) =>
  h("button", { type: "button", id, className: "lm-entry", title, onclick: action }, label));
