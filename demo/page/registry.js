// Where features hang themselves into the page: tools, keys, sections, menu entries, what is asked after each answer.
// A feature lives in a file of its own and calls these; the page's own files ask the lists.

const registry = {
  tools: [], keys: [], sections: [], looks: [], viewers: [],
  menus: { open: [], samples: [], export: [], more: [] },
};

// the new one takes the place of the one with its id, else it comes last
const keep = (list, item) => {
  const at = list.findIndex(({ id }) => id !== undefined && id === item.id);
  if (at >= 0) list[at] = item;
  else list.push(item);
};

const register = {
  // a tool of the rail; what it does with the pointer is in `gestures` of canvas.js under the same id
  tool({ id, group, label, key = null, hint, icon = "" }) {
    keep(registry.tools, { id, group, label, key: key?.toUpperCase(), hint, icon });
    if (key) register.key(key.toLowerCase(), label, () => setTool(id), { id: `tool-${id}` });
  },

  // key: as in KeyboardEvent.key, small letters, or several of them; what: for the list under "?"; ctrl means Ctrl or Cmd;
  // shift: true or false where it matters; on: "canvas" where the picture must have the focus
  key(key, what, action, { ctrl = false, shift = null, on = null, id, shown } = {}) {
    const keys = [key].flat();
    keep(registry.keys, { keys, what, action, ctrl, shift, on, id, shown: shown ?? keyText(keys[0], ctrl, shift) });
  },

  // place: "selected" under the selected object's row, "panel" open below the objects, "closed" collapsed;
  // build() returns the node, once; update(view) is called after every answer
  section({ id, title, place = "closed", build, update = () => {} }) {
    keep(registry.sections, { id, title, place, build, update });
  },

  // an entry of a menu of the top bar; shown(view) says whether it is offered
  menu(menu, { id, label, title = label, action, shown = () => true }) {
    keep(registry.menus[menu], { id, label, title, action, shown });
  },

  // a control of the popover "View"
  look({ id, node, update = () => {} }) {
    keep(registry.looks, { id, node, update });
  },
};

// called with the view after every answer that has one
const onView = (callback) => registry.viewers.push(callback);

const keyText = (key, ctrl, shift) => {
  const name = { " ": "space", pageup: "Page up", pagedown: "Page down", delete: "Delete", escape: "Esc" }[key];
  return `${ctrl ? "Ctrl+" : ""}${shift ? "Shift+" : ""}${name ?? key.toUpperCase()}`;
};

// the registered key that an event presses, or undefined; the newest wins
const pressedKey = (event, canvas) => {
  const key = event.key.toLowerCase();
  const ctrl = event.ctrlKey || event.metaKey;
  return registry.keys.findLast((entry) => entry.keys.includes(key) && entry.ctrl === ctrl
    && (entry.shift === null || entry.shift === event.shiftKey) && (entry.on !== "canvas" || event.target === canvas));
};
