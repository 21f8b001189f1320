// Nothing lost: what was done is kept in this browser after each step, brought back after a reload, a crash or a new start of
// the server, and asked for before it is replaced or the page is left.

// the work on what is open; `revision` is the server's count of changes, `kept` the one in this browser, `taken` the one that was saved
const work = {
  id: null, opened: null, source: null, name: "", objects: 0, lengths: 0, revision: 0, kept: 0, taken: 0, record: null, filesKept: false,
  isHeld: false, isKeeping: false, isHurried: false, cannot: null, // cannot: why this browser keeps nothing
};
const newId = () => `${Date.now().toString(36)}${Math.random().toString(36).slice(2, 10)}`;

// -- seeing what changes

wireHooks.answered.push((answer) => {
  const image = answer.ok ? answer.view?.image : null;
  if (!image) return;
  if (image.opened !== work.opened) beginWork(answer);
  work.name = image.name;
  work.objects = answer.view.objects.length;
  work.lengths = answer.view.lengths.length;
  work.revision = answer.revision;
  if (answer.warning) say(answer.warning, { error: true, id: "warning" });
  keepSoon();
});

const beginWork = (answer) => {
  const again = opening?.work ?? null;
  Object.assign(work, {
    id: again?.id ?? newId(), opened: answer.view.image.opened, source: opening?.source ?? null, record: again?.record ?? null,
    filesKept: Boolean(again?.hasFiles), isHeld: Boolean(again), revision: answer.revision, kept: answer.revision,
    taken: again && !again.isSaved ? -1 : answer.revision,
  });
  holdWork(work.id);
};

// says to the other tabs that this one has the work open (where browsers can say so: on this machine and behind https)
let letGo = () => {};
const lockName = (id) => `lite-medsam ${id}`;
const holdWork = (id) => {
  letGo();
  navigator.locks?.request(lockName(id), () => new Promise((resolve) => { letGo = resolve; }));
};
const heldElsewhere = async () => new Set(((await navigator.locks?.query())?.held ?? []).map(({ name }) => name));

const markSaved = async (revision) => {
  work.taken = revision;
  const entry = await stores.get("work", work.id).catch(() => null);
  if (entry) await stores.put("work", { ...entry, isSaved: true });
};

const hasContent = ({ objects, lengths = 0 }) => objects + lengths > 0;
const contentOf = ({ objects, lengths = 0 }) => (lengths ? `${countOf(objects, "object")}, ${countOf(lengths, "length")}` : countOf(objects, "object"));
const isUnsaved = () => work.opened !== null && hasContent(work) && work.revision !== work.taken && work.source?.kind !== "item";

// -- keeping

const keepSoon = () => {
  if (work.isKeeping || work.isHeld || work.revision === work.kept) return;
  work.isKeeping = true;
  keepAll().finally(() => { work.isKeeping = false; });
};

const keepAll = async () => {
  while (work.revision !== work.kept && !work.isHeld) {
    const { id, opened } = work;
    const began = performance.now();
    const answer = await wire.direct({ op: "record", slice: state.slice });
    // something else was opened meanwhile, or there is no server: the next answer tries again
    if (!answer.ok || answer.opened !== work.opened || id !== work.id) return;
    const record = recordOf(answer);
    Object.assign(work, { record, kept: answer.revision });
    if (work.source?.kind === "item") continue; // the server has written it beside the file
    try {
      await keepWork(id, record);
      work.cannot = null;
    } catch (error) {
      if (work.cannot === null) {
        say(`This browser keeps nothing (${error?.message || error}): save your work before you leave the page.`, { sticky: true, id: "cannot" });
      }
      work.cannot = String(error?.message || error);
    }
    if (opened !== work.opened) return;
    await restAfter(performance.now() - began);
  }
};

// a large record is not sent after each stroke: the pause is some times what it took, unless somebody waits for it
const restAfter = async (ms) => {
  const until = performance.now() + (ms < 300 ? 0 : Math.min(4 * ms, 15_000));
  while (performance.now() < until && !work.isHurried) await pause(100);
};

const keepWork = async (id, record) => {
  const { source, name, objects, lengths } = work;
  const files = source?.kind === "files" ? source.files : null;
  await stores.put("work", {
    id, name, objects, lengths, record, when: Date.now(), slice: state.slice, hasFiles: work.filesKept,
    isSaved: work.revision === work.taken,
    source: source && { kind: source.kind, name: source.name, series: source.series ?? null,
      files: files?.map((file) => ({ name: pathOf(file), size: file.size })) },
  });
  sessionStorage.setItem("lite-medsam-work", id);
  if (!files || work.filesKept || sizeOf(files) > KEPT.fileBytes) return;
  await stores.put("files", { id, size: sizeOf(files), files: await Promise.all(files.map(toKeep)) });
  if (id === work.id) work.filesKept = true;
  const entry = await stores.get("work", id);
  if (entry) await stores.put("work", { ...entry, hasFiles: true });
  await makeRoom(id);
};

// the oldest goes first, what was saved elsewhere before what was not
const makeRoom = async (current) => {
  const entries = (await stores.all("work")).filter(({ id }) => id !== current);
  entries.sort((a, b) => Number(a.isSaved) - Number(b.isSaved) || b.when - a.when);
  let bytes = sizeOf(work.source?.files ?? []);
  for (const [number, entry] of entries.entries()) {
    bytes += (entry.source?.files ?? []).reduce((sum, { size }) => sum + size, 0);
    if (number >= KEPT.works - 1) await forgetWork(entry.id);
    else if (bytes > KEPT.allBytes && entry.hasFiles) { // its prompts and masks stay; its file must be chosen again
      await stores.remove("files", entry.id);
      await stores.put("work", { ...entry, hasFiles: false });
    }
  }
};

const forgetWork = async (id) => {
  await stores.remove("work", id);
  await stores.remove("files", id);
};

// -- bringing back

const recordOf = ({ record: { document: text, masks } }) => ({ document: text, masks: fromBase64(masks) });
const sendRecord = ({ document: text, masks }) =>
  sendFiles([new File([text], "record.json"), new File([masks], "masks.bin")], { quiet: true });

// takes up a work of the store: opens its file again, then what was done; true when it is back
const resume = async (entry) => {
  let files;
  if (entry.source?.kind === "files") {
    const kept = entry.hasFiles ? await stores.get("files", entry.id) : null;
    files = kept ? await Promise.all(kept.files.map(fromKept)) : await chooseAgain(entry);
    if (!files) return false;
  }
  const opened = await openSource({ ...entry.source, files }, entry);
  return opened.ok && bringBack(entry);
};

const bringBack = async (entry) => {
  const sent = await sendRecord(entry.record);
  const answer = sent.ok ? await (opening = { source: work.source, work: entry }, act({ op: "restore", slice: entry.slice })) : sent;
  opening = null;
  if (!answer.ok) {
    work.id = newId(); // so that what is kept stays as it is
    say(`${entry.name} is open, but what was done could not be brought back: ${answer.error}`, { error: true });
  }
  work.isHeld = false;
  keepSoon();
  return answer.ok;
};

// asks for the files of a work that were too large to keep
const chooseAgain = (entry) => new Promise((resolve) => {
  const wanted = entry.source.files;
  const names = wanted.length === 1 ? wanted[0].name : `the ${wanted.length} files of ${entry.name}`;
  const input = h("input", { type: "file", multiple: wanted.length > 1, oncancel: () => resolve(null), onchange: () => {
    const byKey = new Map([...input.files].map((file) => [`${file.name.split("/").pop()} ${file.size}`, file]));
    const found = wanted.map(({ name, size }) => {
      const file = byKey.get(`${name.split("/").pop()} ${size}`);
      return file && withPath(file, name);
    });
    if (found.every(Boolean)) return resolve(found);
    say(`This is another file: ${names} of the same size is needed to go on.`, { error: true });
    return resolve(null);
  } });
  ask("Choose the file again", () => [h("p", {}, `${names} (${inMb(wanted.reduce((sum, { size }) => sum + size, 0))}) was too large to be kept in this browser. `
    + "What was done on it is kept.")], [["choose", "Choose …", true], [null, "Cancel", false]], "lm-again")
    .then((chosen) => (chosen ? input.click() : resolve(null)));
});

// a new seat, with what was open on the old one; for a server that was started anew or has given the seat to somebody else
let recovering = null;
wireHooks.recover = () => {
  recovering ??= recover().finally(() => { recovering = null; });
  return recovering;
};

const recover = async () => {
  const arrived = await wire.patient({ op: "arrive" });
  if (!arrived.ok) {
    say(arrived.error, { error: true, id: "connection" });
    return false;
  }
  state.token = arrived.token;
  state.key = null;
  if (work.opened === null) return true;
  work.isHeld = true;
  let answer = await reopen(work.source ?? { kind: "unknown" });
  if (answer.ok && work.record && work.source.kind !== "item") {
    const sent = await sendRecord(work.record);
    answer = sent.ok ? await wire.direct({ op: "restore", slice: state.slice }) : sent;
  }
  work.isHeld = false;
  if (!answer.ok) {
    say(`Your place on the server has ended, and ${work.name} could not be opened again: ${answer.error}`, { error: true, id: "connection" });
    return false;
  }
  // the same picture to this page
  state.opened = work.opened = answer.view.image.opened;
  Object.assign(work, { revision: answer.revision, kept: answer.revision, taken: isUnsaved() ? -1 : answer.revision });
  connection.lost ??= "ended";
  connection.well("The server had ended this session, or was started anew. Your work is back.");
  return true;
};

const reopen = async (source) => {
  if (source.kind === "sample") return wire.direct({ op: "sample", name: source.name });
  if (source.kind === "item") return wire.direct({ op: "item", item: source.item });
  if (source.kind !== "files") return { ok: false, error: "it is not known where it came from" };
  const sent = await sendFiles(source.files, { quiet: true });
  return sent.ok ? wire.direct(source.series ? { op: "open", series: source.series } : { op: "open" }) : sent;
};

// -- asking

// whether what is open may be replaced; asks where that would leave unsaved work
const mayReplace = async () => {
  if (!isUnsaved()) return true;
  const kept = work.cannot === null ? "It stays in this browser, under Open, Kept work." : `This browser keeps nothing (${work.cannot}).`;
  const chosen = await ask(`${work.name} is not saved`, () => [h("p", {}, `${contentOf(work)}. ${kept}`)],
    [["go", "Open the other", true], ["save", "Save it first", false], [null, "Stay here", false]], "lm-replace");
  if (chosen === "save" && !(await saveSession())) return false;
  await flushWork();
  return chosen !== null;
};

const flushWork = async () => {
  work.isHurried = true;
  for (let tries = 0; work.isKeeping && tries < 200; tries += 1) await pause(50);
  work.isHurried = false;
};

window.addEventListener("beforeunload", (event) => {
  if (isUnsaved()) event.preventDefault();
});
window.addEventListener("pagehide", () => {
  if (state.token) wire.goodbye();
});

// -- a sign of life, by which the page notices that the server is gone, and back

const HERE_MS = 15_000;
let hereTimer = null;
const sayHere = async () => {
  clearTimeout(hereTimer);
  if (state.token && wire.idle) {
    const wasLost = connection.lost !== null;
    const answer = await wire.direct({ op: "here" });
    if (answer.code === "gone" || answer.code === "login") connection.tell(answer);
    else if (answer.code === "ended" && wasLost) { // it was started anew: the work goes there now, not at the next click
      if (await wireHooks.recover()) act({ op: "look" });
    } else if (answer.ok) connection.well();
  }
  hereTimer = setTimeout(sayHere, connection.lost === null ? HERE_MS : 2000);
};
window.addEventListener("online", sayHere);
