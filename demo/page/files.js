// Files in: chosen or dropped, in folders too, told apart, sent in pieces with their progress, opened; which series is meant.

const PIECE = { first: 64 * 1024, least: 8 * 1024, ms: 300 };
const LITTER = /(^|\/)(\.|__MACOSX\/|Thumbs\.db$|desktop\.ini$)/;
const DICOM_NAME = /(\.(dcm|dicom|ima)|(^|\/)DICOMDIR)$/i;
const NO_SCAN = /\.(txt|csv|md|docx?|xlsx?|pptx?|log|html?|py|js|exe|mp4|avi|mov)$/i;
const NAMES_OTHERS = /\.(oct|mhd|nhdr|img|hdr)$/i; // they belong together with those of their name

const inMb = (bytes) => `${(bytes / 2 ** 20).toFixed(bytes < 10 * 2 ** 20 ? 1 : 0)} MB`;
const sizeOf = (files) => files.reduce((sum, file) => sum + file.size, 0);
const countOf = (count, what) => `${count} ${what}${count === 1 ? "" : "s"}`;

// -- sending

const transfer = {
  show(files, cancel) {
    transfer.hide();
    const name = files.length === 1 ? files[0].name : countOf(files.length, "file");
    transfer.total = Math.max(1, sizeOf(files));
    transfer.label = h("span", {}, `Sending ${name}`);
    transfer.bar = h("progress", { max: transfer.total, value: 0, "aria-label": `Sending ${name}` });
    transfer.out = h("output", {}, "0 %");
    transfer.node = h("div", { className: "lm-transfer", id: "lm-transfer", role: "group", "aria-label": "Sending a file" },
      transfer.label, transfer.bar, transfer.out,
      h("button", { type: "button", className: "lm-button", id: "lm-cancel", onclick: cancel }, "Cancel"));
    ui.root.append(transfer.node);
  },
  at(sent) {
    transfer.bar.value = sent;
    transfer.out.textContent = `${Math.floor((100 * sent) / transfer.total)} % of ${inMb(transfer.total)}`;
  },
  hide() {
    transfer.node?.remove();
    transfer.node = null;
  },
};

// sends files in pieces, so that no proxy refuses them for their size, and says how far it is; { ok } or { ok: false, error, code }
const sendFiles = async (files, { quiet = false } = {}) => {
  const limit = state.about?.max_upload_bytes ?? Infinity;
  if (sizeOf(files) > limit) {
    return { ok: false, error: `This is too large: ${inMb(sizeOf(files))}, at most ${inMb(limit)} can be opened here. `
      + "Whoever runs the server can allow more with --max-upload-mb." };
  }
  const giveUp = new AbortController();
  if (!quiet) transfer.show(files, () => giveUp.abort());
  try {
    for (let tries = 0; tries < 3; tries += 1) {
      const answer = await sendOnce(files, giveUp.signal, quiet ? () => {} : transfer.at);
      // the seat was lost on the way: another one, and everything once more
      if (answer.code !== "ended" || quiet || !(await wireHooks.recover())) return answer;
    }
    return { ok: false, error: "The server lost the file on its way three times; try again later." };
  } finally {
    if (!quiet) transfer.hide();
    if (giveUp.signal.aborted) wire.direct({ op: "discard" });
  }
};

const sendOnce = async (files, signal, onSent) => {
  const begun = await wire.patient({ op: "upload", files: files.map((file) => ({ name: pathOf(file).slice(-300), size: file.size })) }, signal);
  if (!begun.ok) return begun;
  let [sent, piece, largest] = [0, PIECE.first, state.about?.piece ?? PIECE.first];
  for (const [number, file] of files.entries()) {
    for (let at = 0; at < file.size;) {
      let bytes;
      try {
        bytes = new Uint8Array(await file.slice(at, at + piece).arrayBuffer());
      } catch {
        return { ok: false, error: `${file.name} could not be read; was it changed or moved? Choose it again.` };
      }
      const began = performance.now();
      const answer = await wire.patient({ op: "piece", file: number, at, data: toBase64(bytes) }, signal);
      if (answer.code === "large" && piece > PIECE.least) { // a proxy that lets even less through
        piece = largest = Math.max(PIECE.least, piece >> 2);
        continue;
      }
      if (!answer.ok) return answer;
      at += bytes.length;
      sent += bytes.length;
      onSent(sent);
      if (performance.now() - began < PIECE.ms) piece = Math.min(2 * piece, largest);
    }
  }
  return { ok: true };
};

// -- opening

// what is being opened, for those who see the first answer of it: { source, work }
let opening = null;

const openSample = async (name) => {
  if (!(await mayReplace())) return { ok: false };
  say("Opening …");
  return openSource({ kind: "sample", name });
};

// opens { kind: "sample", name }, { kind: "files", files, series } or { kind: "item", item }; work: what is taken up again
const openSource = async (source, work = null) => {
  if (source.kind === "files") {
    const sent = await sendFiles(source.files);
    if (!sent.ok) {
      say(sent.code === "cancelled" ? "Nothing was opened: the file was not sent." : sent.error, { error: sent.code !== "cancelled" });
      return sent;
    }
    say("Opening …");
  }
  const ask = (series) => {
    opening = { source: { ...source, series }, work };
    if (source.kind === "sample") return act({ op: "sample", name: source.name });
    if (source.kind === "item") return act({ op: "item", item: source.item });
    return act(series ? { op: "open", series } : { op: "open" });
  };
  let answer = await ask(source.series ?? null);
  if (answer.ok && answer.choose) {
    const series = await chooseSeries(answer.choose);
    if (series === null) {
      wire.direct({ op: "discard" });
      say("Nothing was opened: no series was chosen.");
      answer = { ok: false, code: "cancelled" };
    } else answer = await ask(series);
  }
  opening = null;
  return answer;
};

const openFiles = async (files, op = "open") => {
  ui.file.value = ui.masks.value = "";
  if (op === "masks") {
    const sent = await sendFiles(files);
    if (sent.ok) return act({ op });
    say(sent.error, { error: true });
    return sent;
  }
  const { entries, left } = await entriesOf(files);
  const word = left.length ? `${countOf(left.length, "file")} left out, of a kind that holds no picture: ${left.slice(0, 3).join(", ")}${left.length > 3 ? ", …" : ""}.` : "";
  if (!entries.length) {
    say(word || "There is no file in this folder.", { error: true });
    return { ok: false };
  }
  if (entries.length > 1) return fileQueue.begin(entries, word);
  if (!(await mayReplace())) return { ok: false };
  const answer = await openSource({ kind: "files", files: entries[0].files });
  if (answer.ok && word) say(word, { sticky: true });
  return answer;
};

// what several files are: DICOM files of a folder are one entry, an exam and the files that it names too, others one each
const entriesOf = async (files) => {
  const left = [];
  const real = files.filter((file) => !LITTER.test(pathOf(file)));
  const groups = new Map();
  const dicom = await Promise.all(real.map((file) => isDicom(file)));
  const folderOf = (file) => pathOf(file).split("/").slice(0, -1).join("/");
  const stemOf = (file) => pathOf(file).replace(/\.[^./]+$/, "");
  const named = new Set(real.filter((file) => NAMES_OTHERS.test(file.name)).map(stemOf));
  const described = real.filter((file) => /\.xml$/i.test(file.name)).map(folderOf); // one XML describes its whole folder
  const examOf = (file) => {
    if (described.filter((folder) => folder === folderOf(file)).length === 1) return folderOf(file) || "exam";
    return named.has(stemOf(file)) ? stemOf(file) : null;
  };
  real.forEach((file, i) => {
    const name = pathOf(file);
    if (real.length > 1 && !dicom[i] && NO_SCAN.test(name)) { left.push(name); return; }
    const exam = dicom[i] ? null : examOf(file);
    // (a study is a folder with its subfolders: the server tells its series apart)
    const key = dicom[i] ? `dicom ${name.includes("/") ? name.split("/")[0] : "files"}` : exam ? `exam ${exam}` : `file ${i}`;
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(file);
  });
  const entries = [...groups].map(([key, group]) => ({
    files: group,
    isPicture: key.startsWith("file "),
    name: group.length === 1 ? pathOf(group[0])
      : `${key.slice(key.indexOf(" ") + 1)} (${countOf(group.length, key.startsWith("dicom") ? "DICOM file" : "file")})`,
  }));
  const natural = new Intl.Collator(undefined, { numeric: true });
  entries.sort((a, b) => natural.compare(a.name, b.name));
  return { entries, left };
};

const isDicom = async (file) => {
  if (DICOM_NAME.test(file.name)) return true;
  if (/\.(png|jpe?g|bmp|gif|webp|npz|nii|gz|nrrd|mha|zip)$/i.test(file.name)) return false;
  try {
    return (await file.slice(128, 132).text()) === "DICM";
  } catch {
    return false; // it can't be read; sending it will say so
  }
};

// -- dialogs

// shows a dialog and resolves to what its buttons stand for: [[value, label, is it the main one], ...]; null: closed
const ask = (title, content, buttons, id) => new Promise((resolve) => {
  const close = (value) => { dialog.close(); dialog.remove(); resolve(value); };
  const dialog = h("dialog", { className: "lm-dialog", id, "aria-label": title, oncancel: (event) => { event.preventDefault(); close(null); } },
    h("h2", {}, title), ...content(close),
    h("div", { className: "lm-row lm-dialog-buttons" }, ...buttons.map(([value, label, main]) =>
      h("button", { type: "button", className: main ? "lm-button lm-primary" : "lm-button", onclick: () => close(value),
        ...(value === null ? {} : { id: `${id}-${value}` }) }, label))));
  ui.root.append(dialog);
  dialog.showModal();
});

// the series that is meant, null where none was chosen
const chooseSeries = (rows) => ask(`Which of the ${rows.length} series?`, (close) => [
  h("ul", { className: "lm-choose" }, ...rows.map((row) => h("li", {},
    h("button", { type: "button", className: "lm-button lm-seriesrow", onclick: () => close(row.series) },
      row.png ? h("img", { src: row.png, alt: "" }) : h("span", { className: "lm-nothumb" }),
      h("span", {}, h("strong", {}, [row.number === null ? null : `${row.number}`, row.modality, row.description].filter(Boolean).join("  ")),
        h("span", {}, `${row.volume ? countOf(row.images, "slice") : countOf(row.images, "picture")}, ${row.columns} × ${row.rows}`))))))],
[[null, "Cancel", false]], "lm-series");

// -- dropping

// the files of what was dropped, those in folders and their subfolders too
const droppedFiles = async (data) => {
  const found = [];
  const walk = async (entry, path) => {
    if (entry.isFile) {
      const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
      found.push(path ? withPath(file, `${path}/${file.name}`) : file);
    } else if (entry.isDirectory) {
      const reader = entry.createReader();
      for (;;) { // some at a time, until there are no more
        const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
        if (!some.length) break;
        for (const inside of some) await walk(inside, path ? `${path}/${entry.name}` : entry.name);
      }
    }
  };
  // (taken now: the list is empty after the event)
  const entries = [...data.items].filter((item) => item.kind === "file").map((item) => item.webkitGetAsEntry?.() ?? null);
  const plain = [...data.files];
  if (!entries.length || entries.some((entry) => !entry)) return plain;
  for (const entry of entries) await walk(entry, "");
  return found;
};

const onDrop = async (event) => {
  event.preventDefault();
  ui.root.classList.remove("lm-dropping");
  try {
    const files = await droppedFiles(event.dataTransfer);
    if (files.length) await openFiles(files);
    else if ([...event.dataTransfer.types].includes("Files")) say("There is no file in this folder.", { error: true });
  } catch (error) {
    say(`What was dropped could not be read (${error?.message || error}).`, { error: true });
  }
};

const watchDrops = (node) => {
  node.addEventListener("dragover", (event) => { event.preventDefault(); node.classList.add("lm-dropping"); });
  node.addEventListener("dragleave", (event) => { if (!node.contains(event.relatedTarget)) node.classList.remove("lm-dropping"); });
  node.addEventListener("drop", onDrop);
};

const pickFolder = () => {
  const input = h("input", { type: "file", multiple: true, onchange: () => input.files.length && openFiles([...input.files]) });
  input.webkitdirectory = true;
  input.click();
};

register.menu("open", { id: "lm-open-folder", label: "Folder …", title: "Open all pictures and volumes of a folder, one after another", action: pickFolder });
