// More files to take home: for labelling tools and clinics, with numbers and names, and a picture for the clipboard.

for (const [what, label, title, shown] of [
  ["names", "Overlay with names (PNG)", "The picture with number and name of each object"],
  ["classes", "Label map of classes (PNG)", "A palette picture: the stored numbers are those of the class list", (view) => Boolean(view.classes?.length)],
  ["labelme", "Labelme JSON", "Polygons and masks for Labelme; of a volume a ZIP with a file for each slice"],
  ["yolo", "YOLO segmentation (ZIP)", "Polygons as YOLO has them, with the names of its classes"],
  ["polygons", "Polygons (GeoJSON)", "Outlines with holes, in pixels, as QuPath reads them"],
  ["dicomseg", "DICOM-SEG", "A segmentation object that refers to the images that are open"],
]) register.menu("export", { id: `lm-save-${what}`, label, title, shown, action: () => save(what) });

register.menu("export", { id: "lm-copy", label: "Copy overlay", title: "The picture with its masks, to be pasted into a text or a slide", action: () => copyOverlay() });

// the clipboard must be asked while the click still counts, so it gets a promise
const copyOverlay = async () => {
  const picture = act({ op: "save", what: "names", look: savedLook() }).then((answer) => {
    if (!answer.ok) throw new Error(answer.error);
    return new Blob([fromBase64(answer.file.data)], { type: "image/png" });
  });
  try {
    if (!navigator.clipboard?.write) throw new Error("this browser gives pages no clipboard, or the address is not https");
    await navigator.clipboard.write([new ClipboardItem({ "image/png": picture })]);
    say("The overlay is in the clipboard.");
  } catch (error) {
    picture.catch(() => {}); // said already
    say(`Nothing was copied: ${error.message}. Save the overlay with names instead.`, { error: true, id: "copy" });
  }
};

// what cannot be had here stays in the menu, grey, and says why
onView((view) => {
  const node = ui.root.querySelector("#lm-save-dicomseg");
  const lack = view.lacks?.dicomseg ?? null;
  if (!node) return;
  node.disabled = Boolean(lack);
  node.title = lack ?? "A segmentation object that refers to the images that are open";
  node.textContent = lack ? `DICOM-SEG: ${lack}` : "DICOM-SEG";
});
