// Files in a row, one after another: those of a folder that the server works through, or those that were dropped here. A list with
// next, previous, done and skip; the server's results lie in its folder, those of dropped files are taken home together.

const STATES = { new: ["○", "not begun"], begun: ["◐", "begun"], done: ["✓", "done"], skipped: ["–", "skipped"] };
const SHOWN_ROWS = 200;

// rows: { id, name, state, elsewhere }, of dropped files also files and work, the id of what is kept of it
const fileQueue = {
  rows: [], current: null, kind: null, name: "", // kind: "folder" on the server, "dropped" here

  // -- files that were dropped

  async begin(entries, word) {
    const pictures = entries.every(({ isPicture }) => isPicture);
    const chosen = await ask(`${entries.length} to open`, () => [
      h("ul", { className: "lm-choose lm-plainlist" }, ...entries.slice(0, 8).map(({ name }) => h("li", {}, name)),
        entries.length > 8 ? h("li", {}, `… and ${entries.length - 8} more`) : null),
      word ? h("p", {}, word) : null].filter(Boolean),
    [["queue", "One after another", true], ...(pictures ? [["stack", "As slices of one volume", false]] : []), [null, "Cancel", false]], "lm-several");
    if (chosen === null || !(await mayReplace())) return { ok: false };
    if (chosen === "stack") return openSource({ kind: "files", files: entries.flatMap(({ files }) => files) });
    const older = await stores.get("queues", "queue").catch(() => null);
    if (older) await fileQueue.forgetRows(older.rows).catch(() => {}); // nothing leads to them any more
    Object.assign(fileQueue, { kind: "dropped", name: countOf(entries.length, "file"), current: null,
      rows: entries.map(({ name, files }) => ({ id: newId(), name, files, state: "new", work: null })) });
    fileQueue.keep();
    return fileQueue.go(fileQueue.rows[0]);
  },

  // what is needed to go on tomorrow; the files themselves are kept with the work on each
  async keep() {
    try {
      await stores.put("queues", { id: "queue", when: Date.now(), name: fileQueue.name, current: fileQueue.current,
        rows: fileQueue.rows.map(({ files, ...row }) => ({ ...row, files: files?.map((file) => ({ name: pathOf(file), size: file.size })) ?? row.wanted })) });
      const bytes = fileQueue.rows.reduce((sum, { files }) => sum + sizeOf(files ?? []), 0);
      if (bytes > KEPT.fileBytes) return;
      for (const row of fileQueue.rows.filter(({ files, isKept }) => files && !isKept)) {
        await stores.put("files", { id: row.id, files: await Promise.all(row.files.map(toKeep)) });
        row.isKept = true;
      }
    } catch (error) {
      work.cannot = String(error?.message || error);
    }
  },

  async forgetRows(rows) {
    for (const { id } of rows) {
      await stores.remove("files", id);
      await stores.remove("results", id);
    }
  },

  async forget() {
    await fileQueue.forgetRows(fileQueue.rows);
    await stores.remove("queues", "queue");
    Object.assign(fileQueue, { rows: [], current: null, kind: null });
    fileQueue.draw();
  },

  // offered when the page has come
  async offer() {
    const kept = await stores.get("queues", "queue").catch(() => null);
    if (!kept?.rows.length) return false;
    const left = kept.rows.filter(({ state }) => state === "new" || state === "begun").length;
    say(`Go on with ${kept.name}? ${kept.rows.length - left} of ${kept.rows.length} are finished, ${whenText(kept.when)}.`,
      { sticky: true, id: "continue-queue", action: ["Go on", () => fileQueue.takeUp(kept)] });
    return true;
  },

  async takeUp(kept) {
    Object.assign(fileQueue, { kind: "dropped", name: kept.name, current: null,
      rows: kept.rows.map(({ files, ...row }) => ({ ...row, files: null, wanted: files })) });
    const next = fileQueue.rows.find(({ id }) => id === kept.current) ?? fileQueue.rows[0];
    return fileQueue.go(next);
  },

  async filesOf(row) {
    if (row.files) return row.files;
    const kept = await stores.get("files", row.id);
    row.files = kept ? await Promise.all(kept.files.map(fromKept)) : await chooseAgain({ name: row.name, source: { files: row.wanted } });
    return row.files;
  },

  // -- going on

  async go(row) {
    if (!row) return { ok: false };
    if (fileQueue.kind === "folder") {
      const answer = await openSource({ kind: "item", item: row.id });
      if (!answer.ok) await fileQueue.ask();
      return answer;
    }
    await flushWork(); // what was done here is kept before something else is opened
    const files = await fileQueue.filesOf(row);
    if (!files) return { ok: false };
    const entry = row.work ? await stores.get("work", row.work).catch(() => null) : null;
    const answer = await openSource({ kind: "files", files, series: entry?.source?.series ?? null }, entry);
    fileQueue.current = row.id; // one that can't be opened is stood on, too: it can be skipped
    if (answer.ok && entry) await bringBack(entry);
    if (answer.ok) row.work = work.id;
    if (answer.ok && row.state === "new") row.state = "begun";
    fileQueue.keep();
    fileQueue.draw();
    return answer;
  },

  step(by) {
    const at = fileQueue.rows.findIndex(({ id }) => id === fileQueue.current);
    let next = at + by;
    while (fileQueue.rows[next]?.elsewhere) next += by;
    return fileQueue.rows[next];
  },

  next: () => fileQueue.go(fileQueue.step(1)),
  previous: () => fileQueue.go(fileQueue.step(-1)),

  // marks the one that is open and goes on to the next that is not finished
  async finish(how) {
    const row = fileQueue.rows.find(({ id }) => id === fileQueue.current);
    if (!row) return;
    if (fileQueue.kind === "folder") {
      const answer = await act({ op: "mark", state: how });
      if (!answer.ok) return;
    } else if (row.work !== work.id && how === "done") {
      say(`${row.name} is not what is open; choose it in the list first.`, { error: true });
      return;
    } else {
      if (how === "done" && !(await fileQueue.keepResults(row))) return;
      row.state = how;
      fileQueue.keep();
    }
    const at = fileQueue.rows.findIndex(({ id }) => id === row.id); // (a folder's list came anew with the answer)
    const open = ({ state, elsewhere }) => !elsewhere && (state === "new" || state === "begun");
    const next = fileQueue.rows.slice(at + 1).find(open) ?? fileQueue.rows.find(open);
    if (next) await fileQueue.go(next);
    else {
      fileQueue.draw();
      say(fileQueue.kind === "folder" ? `All ${fileQueue.rows.length} are finished; the results are in ${fileQueue.name}/lite-medsam.`
        : `All ${fileQueue.rows.length} are finished. Save all takes the results home.`, { sticky: true });
    }
  },

  // -- results of dropped files

  async keepResults(row) {
    if (!state.objects.some(({ mask, slices }) => mask || slices?.length)) return true; // nothing in it is a result, too
    const answer = await act({ op: "save", what: "zip", look: savedLook() });
    if (!answer.ok) return false;
    row.results = answer.file.name;
    markSaved(answer.revision);
    await stores.put("results", { id: row.id, name: answer.file.name, blob: new Blob([fromBase64(answer.file.data)]) })
      .catch(() => download(answer.file.name, new Blob([fromBase64(answer.file.data)]))); // a browser that keeps nothing: at once
    return true;
  },

  async saveAll() {
    const members = [];
    for (const [number, row] of fileQueue.rows.entries()) {
      const found = row.results ? await stores.get("results", row.id).catch(() => null) : null;
      if (found) members.push({ name: `${String(number + 1).padStart(4, "0")}_${found.name}`, data: found.blob });
    }
    if (!members.length) { say("No file is done yet: press Done on each that is.", { error: true }); return; }
    const states = fileQueue.rows.map(({ name, state, results }) => ({ name, state, results: results ?? null }));
    members.unshift({ name: "queue.json", data: new TextEncoder().encode(JSON.stringify({ format: "lite-medsam queue", version: 1, files: states }, null, 1)) });
    download("lite-medsam_results.zip", await zipOf(members));
  },

  // -- the folder of the server

  async ask() {
    const answer = await act({ op: "queue" });
    return answer.ok ? answer.queue : null;
  },

  take(queue) {
    Object.assign(fileQueue, { kind: "folder", rows: queue.items, name: queue.name, current: queue.current });
    fileQueue.draw();
  },

  async start() {
    const queue = await fileQueue.ask();
    const first = queue?.items.find(({ state, elsewhere }) => !elsewhere && (state === "new" || state === "begun"));
    if (first && work.opened === null) await fileQueue.go(first);
    else if (queue && !first) say(`All files of ${queue.name} are finished or open elsewhere.`, { sticky: true });
  },

  // -- the list

  draw() {
    const node = ui.queue;
    if (!node) return;
    (node.closest("details") ?? node).hidden = fileQueue.kind === null;
    const rows = fileQueue.rows;
    const finished = rows.filter(({ state }) => state === "done" || state === "skipped").length;
    ui.queueBar.max = Math.max(1, rows.length);
    ui.queueBar.value = finished;
    ui.queueOut.textContent = `${finished} of ${rows.length} finished`;
    const at = rows.findIndex(({ id }) => id === fileQueue.current);
    const from = clamp(at - SHOWN_ROWS / 2, 0, Math.max(0, rows.length - SHOWN_ROWS));
    const line = (text) => h("li", { className: "lm-more" }, text);
    ui.queueList.replaceChildren(...[
      from > 0 ? line(`… ${from} before`) : null,
      ...rows.slice(from, from + SHOWN_ROWS).map((row) => {
        const isHere = row.id === fileQueue.current;
        const known = isHere && row.state === "new" && work.objects ? "begun" : row.state; // the list is a step behind
        const [mark, words] = row.elsewhere ? ["◌", "open in another page"] : STATES[known];
        return h("li", { className: isHere ? "lm-here" : "" },
          h("button", { type: "button", title: `${row.name}: ${words}`, ...(isHere ? { "aria-current": "true" } : {}), onclick: () => fileQueue.go(row) },
            h("span", { className: `lm-state lm-${row.state}`, "aria-hidden": "true" }, mark), h("span", { className: "lm-queuename" }, row.name),
            h("span", { className: "lm-hidden" }, words)));
      }),
      from + SHOWN_ROWS < rows.length ? line(`… ${rows.length - from - SHOWN_ROWS} after`) : null].filter(Boolean));
    ui.queueList.querySelector(".lm-here")?.scrollIntoView({ block: "nearest" });
    ui.queuePrevious.disabled = !fileQueue.step(-1) || at < 0;
    ui.queueNext.disabled = !fileQueue.step(1);
    ui.queueDone.disabled = ui.queueSkip.disabled = at < 0;
    ui.queueSave.hidden = ui.queueEnd.hidden = fileQueue.kind !== "dropped";
  },
};

wireHooks.answered.push((answer) => { if (answer.ok && answer.queue) fileQueue.take(answer.queue); });

register.section({
  id: "queue", title: "Files", place: "panel",
  build() {
    ui.queueBar = h("progress", { max: 1, value: 0, "aria-label": "Files finished" });
    ui.queueOut = h("output", { id: "lm-queue-count" });
    ui.queueList = h("ul", { className: "lm-queuelist", id: "lm-queue-list", "aria-label": "Files" });
    ui.queuePrevious = button("Previous", "The file before (comma)", fileQueue.previous, { node: { id: "lm-queue-previous" } });
    ui.queueNext = button("Next", "The next file, this one is kept (full stop)", fileQueue.next, { node: { id: "lm-queue-next" } });
    ui.queueSkip = button("Skip", "Not this one", () => fileQueue.finish("skipped"), { node: { id: "lm-queue-skip" } });
    ui.queueDone = button("Done", "Finished: write its results, go to the next (Ctrl+Enter)", () => fileQueue.finish("done"),
      { node: { id: "lm-queue-done", className: "lm-button lm-primary" } });
    ui.queueSave = button("Save all", "The results of all that are done, as one ZIP", fileQueue.saveAll, { node: { id: "lm-queue-save" } });
    ui.queueEnd = button("End the list", "Forget the list; what is kept of each file stays", fileQueue.forget, { node: { id: "lm-queue-end" } });
    ui.queue = h("div", { className: "lm-queue", id: "lm-queue" },
      h("div", { className: "lm-row" }, ui.queueBar, ui.queueOut), ui.queueList,
      h("div", { className: "lm-row" }, ui.queuePrevious, ui.queueNext, ui.queueSkip, ui.queueDone),
      h("div", { className: "lm-row" }, ui.queueSave, ui.queueEnd));
    return ui.queue;
  },
  update: () => fileQueue.draw(),
});
register.key(",", "file before", () => fileQueue.kind && fileQueue.previous());
register.key(".", "next file", () => fileQueue.kind && fileQueue.next());
register.key("enter", "done with this file, on to the next", () => fileQueue.kind && fileQueue.finish("done"), { ctrl: true });
