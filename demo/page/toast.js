// Messages on the picture. An error stays until it is dismissed, until one with its id takes its place, or until something
// else is opened; what is plain fades. Each id has one place, so a time never covers an error or a notice.

const toasts = { shown: [], limit: 3 };

// options: error, sticky (stays as an error does), id, action: [label, function]
const say = (text, { error = false, sticky = false, action = null, id = error ? "error" : sticky ? "notice" : "plain" } = {}) => {
  forgetSaid((old) => old.id === id || old.faded);
  if (!text) return;
  const stays = error || sticky;
  const toast = { id, stays, faded: false };
  toast.node = h("div", { className: error ? "lm-toast lm-error" : "lm-toast", ...(error ? { role: "alert" } : {}) },
    h("span", { className: "lm-toast-text" }, text),
    action && h("button", { type: "button", className: "lm-toast-action", onclick: () => { forgetSaid((old) => old === toast); action[1](); } },
      action[0]),
    stays && h("button", { type: "button", className: "lm-toast-close", "aria-label": "Dismiss the message", title: "Dismiss",
      onclick: () => forgetSaid((old) => old === toast) }));
  toasts.shown.unshift(toast);
  for (const old of toasts.shown.slice(toasts.limit)) forgetSaid((one) => one === old);
  ui.message.prepend(toast.node);
  if (!stays) {
    toast.timer = setTimeout(() => { toast.faded = true; toast.node.classList.add("lm-faded"); }, 4000 + 40 * text.length);
  }
};

const forgetSaid = (which) => {
  for (const toast of toasts.shown.filter(which)) {
    clearTimeout(toast.timer);
    toast.node.remove();
  }
  toasts.shown = toasts.shown.filter((toast) => !which(toast));
};
