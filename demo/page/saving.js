// Results to take home.

for (const [what, label, title] of [["zip", "Everything (ZIP)", "Label map, overlay, npz, NIfTI, COCO, measurements and prompts in one file"],
  ["label", "Label PNG"], ["overlay", "Overlay PNG"], ["npz", "npz"], ["nifti", "NIfTI"], ["coco", "COCO JSON"], ["prompts", "Prompts JSON"]]) {
  register.menu("export", { id: `lm-save-${what}`, label, title, action: () => save(what) });
}

// how the overlay in what is saved looks: as on the screen
const savedLook = () => ({ opacity: state.look.fill ? state.look.opacity : 0, contours: state.look.outline });

const save = async (what) => {
  say("Preparing the download …");
  const answer = await act({ op: "save", what, look: savedLook() });
  if (!answer.ok) return;
  takeFile(answer.file);
  markSaved(answer.revision);
};

const takeFile = ({ name, data }) => download(name, new Blob([fromBase64(data)], { type: "application/octet-stream" }));

// puts a file into the downloads
const download = (name, blob) => {
  const url = URL.createObjectURL(blob);
  const link = h("a", { href: url, download: name });
  ui.root.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
  say(`${name} is in your downloads.`);
};
