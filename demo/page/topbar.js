// The top bar: name, notice, file, Open, Samples, undo and redo, Export, help, light or dark.

const iconButton = (name, label, title, onclick, node = {}) => {
  const made = button("", title, onclick, { node: { ...node, className: `lm-button lm-flat ${node.className ?? ""}` } });
  made.append(icon(name), h("span", { className: "lm-label" }, label));
  return made;
};

const topbarPart = () => {
  ui.name = h("span", { className: "lm-name", id: "lm-name" });
  ui.undo = iconButton("undo", "Undo", "Undo (Ctrl+Z)", () => act({ op: "undo" }), { id: "lm-undo" });
  ui.redo = iconButton("redo", "Redo", "Redo (Ctrl+Y)", () => act({ op: "redo" }), { id: "lm-redo" });
  const [samples, sampleList] = samplesMenu();
  const [open, openMore, openList] = openMenu();
  const [take, takeList] = exportMenu();
  const [more, moreList] = moreMenu();
  return h("header", { id: "lm-topbar" },
    h("h1", {}, "lite-medsam"),
    h("p", { className: "lm-chip", role: "note", title: "No part of this is validated for diagnosis or treatment; the masks are suggestions." },
      "For research. Not a medical device."),
    ui.name,
    h("div", { className: "lm-split" }, open, openMore), openList, samples, sampleList,
    h("div", { className: "lm-group", role: "group", "aria-label": "History" }, ui.undo, ui.redo),
    take, takeList,
    iconButton("help", "Help", "Model card, keys, help", () => openHelp(), { id: "lm-help", className: "lm-tiny" }),
    iconButton("theme", "Theme", "Light or dark", () => switchTheme(), { id: "lm-theme", className: "lm-tiny" }),
    more, moreList);
};

const openMenu = () => {
  const accept = ".png,.jpg,.jpeg,.bmp,.tif,.tiff,.npz,.dcm,.dicom,.ima,.nii,.gz,.nrrd,.mha,.zip,image/*,application/dicom,*/*";
  ui.file = h("input", { type: "file", id: "lm-file", multiple: true, "aria-label": "Open a file", accept, hidden: true,
    onchange: () => ui.file.files.length && openFiles([...ui.file.files]) });
  ui.masks = h("input", { type: "file", id: "lm-masks", "aria-label": "Open masks of this picture", hidden: true,
    onchange: () => ui.masks.files.length && openFiles([...ui.masks.files], "masks") });
  register.menu("open", { id: "lm-open-masks", label: "Masks of this picture …", action: () => ui.masks.click(),
    title: "As objects to correct: npz, NIfTI, DICOM-SEG, PNG, TIFF, COCO, Labelme, YOLO, polygons, or our ZIP",
    shown: (view) => Boolean(view.image) });
  const open = iconButton("open", "Open", "Open a picture or a volume", () => ui.file.click(), { id: "lm-open" });
  const more = iconButton("down", "More to open", "More to open", null, { id: "lm-open-more", className: "lm-tiny" });
  return [open, more, popOver(more, [
    h("button", { type: "button", className: "lm-entry", onclick: () => ui.file.click() }, "Files …"),
    ...menuEntries("open"), ui.file, ui.masks], { id: "lm-open-list", label: "Open" })];
};

const exportMenu = () => {
  const opener = iconButton("export", "Export", "Take results home", null, { id: "lm-export" });
  return [opener, popOver(opener, menuEntries("export"), { id: "lm-export-list", label: "Export" })];
};

const moreMenu = () => {
  const opener = iconButton("more", "More", "More", null, { id: "lm-more", className: "lm-tiny" });
  if (element.querySelector("[data-login]")) {
    register.menu("more", { id: "lm-logout", label: "Log out", action: () => { location.href = `${rootPath()}/logout`; } });
  }
  opener.hidden = !registry.menus.more.length;
  return [opener, popOver(opener, menuEntries("more"), { id: "lm-more-list", label: "More" })];
};

const rootPath = () => new URL(".", location.href).pathname.replace(/\/$/, "");

const switchTheme = (dark = !document.body.classList.contains("dark"), keep = true) => {
  document.body.classList.toggle("dark", dark);
  if (keep) localStorage.setItem("lm-theme", dark ? "dark" : "light");
  board?.redraw();
};

const showTopbar = (view) => {
  const image = view.image;
  ui.undo.disabled = !view.undo;
  ui.redo.disabled = !view.redo;
  ui.root.querySelector("#lm-export").disabled = !image;
  ui.name.textContent = image ? `${image.name}, ${image.width} × ${image.height}${image.volume ? ` × ${image.slices}` : ""}` : "";
  ui.name.title = image?.notes.length ? image.notes.join("\n") : ui.name.textContent;
};
