// Icons, drawn on 24 by 24.

const ICONS = {
  box: "M4 5h16v14H4z M2.5 3.5h3v3h-3z M18.5 3.5h3v3h-3z M2.5 17.5h3v3h-3z M18.5 17.5h3v3h-3z",
  click: "M12 3v4 M12 17v4 M3 12h4 M17 12h4 M12 9.5a2.5 2.5 0 1 0 0 5a2.5 2.5 0 1 0 0-5",
  scribble: "M3 17c3-9 5-11 7-9s-3 9 0 9s4-10 7-8s0 6 4 6",
  brush: "M20 4l-9 9 M9 12l3 3c-1 4-4 5-8 5c2-2 1-6 5-8z",
  eraser: "M8 20l-5-5L13 5l7 7l-8 8H6 M8.5 9.5l7 7",
  lasso: "M12 4c5 0 8 2 8 5s-3 5-8 5s-8-2-8-5s3-5 8-5z M7 13c-2 2 0 4 2 3s-1 4-3 5",
  hand: "M12 3v18 M3 12h18 M9.5 5.5L12 3l2.5 2.5 M9.5 18.5L12 21l2.5-2.5 M5.5 9.5L3 12l2.5 2.5 M18.5 9.5L21 12l-2.5 2.5",
  ruler: "M3 16L16 3l5 5L8 21z M7 12l2 2 M10 9l3 3 M13 6l2 2",
  window: "M12 4a8 8 0 1 0 0 16a8 8 0 1 0 0-16 M12 4v16 M12 8h6 M12 12h8 M12 16h6",
  tool: "M12 5v14 M5 12h14",
  open: "M3 7v12h18V9h-9l-2-3H3z",
  samples: "M4 4h7v7H4z M13 4h7v7h-7z M4 13h7v7H4z M13 13h7v7h-7z",
  undo: "M9 7L4 12l5 5 M4 12h10a6 5 0 0 1 6 6",
  redo: "M15 7l5 5l-5 5 M20 12H10a6 5 0 0 0-6 6",
  export: "M12 4v11 M7.5 10.5L12 15l4.5-4.5 M4 17v3h16v-3",
  help: "M8.5 9a3.5 3.5 0 1 1 5 3.2c-1 .6-1.5 1.3-1.5 2.8 M12 18.5v.5",
  theme: "M20 14a8 8 0 1 1-9-11a6.5 6.5 0 0 0 9 11z",
  more: "M5 12h.01 M12 12h.01 M19 12h.01",
  objects: "M4 6h3v3H4z M4 15h3v3H4z M11 7.5h9 M11 16.5h9",
  view: "M2.5 12c4-7 15-7 19 0c-4 7-15 7-19 0z M12 9.5a2.5 2.5 0 1 0 0 5a2.5 2.5 0 1 0 0-5",
  hidden: "M2.5 12c4-7 15-7 19 0c-4 7-15 7-19 0z M4 20L20 4",
  lock: "M6 11h12v9H6z M8.5 11V8a3.5 3.5 0 0 1 7 0v3",
  unlock: "M6 11h12v9H6z M8.5 11V8a3.5 3.5 0 0 1 6.8-1",
  remove: "M6 6l12 12 M18 6L6 18",
  down: "M7 10l5 5l5-5",
};

// icon: a name of the list, or a path of the feature's own
const icon = (name) => {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  for (const [key, value] of Object.entries({ viewBox: "0 0 24 24", class: "lm-icon", "aria-hidden": "true" })) svg.setAttribute(key, value);
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", ICONS[name] ?? (/^[Mm][\d .-]/.test(name) ? name : ICONS.tool));
  svg.append(path);
  return svg;
};
