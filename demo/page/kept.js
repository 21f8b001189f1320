// What is kept of one's work: the offer to continue, the list, the session file; and a server that has no room.

const whenText = (when) => {
  const minutes = Math.round((Date.now() - when) / 60_000);
  if (minutes < 1) return "just now";
  if (minutes < 60) return `${countOf(minutes, "minute")} ago`;
  return minutes < 24 * 60 ? `${countOf(Math.round(minutes / 60), "hour")} ago` : new Date(when).toLocaleDateString();
};

const keptWork = async () => {
  const held = await heldElsewhere();
  const entries = (await stores.all("work")).filter(({ id }) => !held.has(lockName(id)));
  return entries.sort((a, b) => b.when - a.when);
};

// offered once, when the page has come: the work of this tab, else the newest
const offerToContinue = async () => {
  let entries = [];
  try {
    entries = (await keptWork()).filter(hasContent);
  } catch (error) {
    work.cannot = String(error?.message || error);
  }
  const own = sessionStorage.getItem("lite-medsam-work");
  const entry = entries.find(({ id }) => id === own) ?? entries.find(({ isSaved }) => !isSaved);
  if (!entry || work.opened !== null) return;
  say(`Continue where you were? ${entry.name}, ${contentOf(entry)}, ${whenText(entry.when)}.`,
    { sticky: true, id: "continue", action: ["Continue", () => resume(entry)] });
};

const showKept = async () => {
  const entries = await keptWork().catch(() => []);
  const row = (close) => (entry) => h("li", {},
    h("button", { type: "button", className: "lm-button", onclick: () => close(entry) },
      h("strong", {}, entry.name), h("span", {}, ` ${contentOf(entry)}, ${whenText(entry.when)}${entry.isSaved ? ", saved" : ""}`)),
    h("button", { type: "button", className: "lm-button", "aria-label": `Forget ${entry.name}`, title: "Remove it from this browser",
      onclick: async (event) => { await forgetWork(entry.id); event.target.closest("li").remove(); } }, "Forget"));
  const entry = await ask("Kept work", (close) => [
    h("p", {}, entries.length ? `In this browser alone, the last ${KEPT.works}. A file above ${inMb(KEPT.fileBytes)} must be chosen again.`
      : "Nothing is kept in this browser yet."),
    h("ul", { className: "lm-choose lm-kept" }, ...entries.map(row(close)))], [[null, "Close", false]], "lm-kept");
  if (entry && await mayReplace()) await resume(entry);
};

// the work as one file that opens again with everything; true when it is in the downloads
const saveSession = async () => {
  const answer = await wire.patient({ op: "record", slice: state.slice });
  if (!answer.ok) { say(answer.error, { error: true }); return false; }
  const { source } = work;
  const record = recordOf(answer);
  if (!source || source.kind === "item") {
    say("What is open is kept in its folder; Everything (ZIP) takes it elsewhere.", { sticky: true });
    return false;
  }
  const members = (source.files ?? []).map((file, i) => ({ name: `files/${String(i).padStart(5, "0")}`, data: file }));
  const about = { format: "lite-medsam session", version: 1, slice: state.slice,
    source: source.kind === "sample" ? { kind: "sample", name: source.name }
      : { kind: "files", series: source.series ?? null, files: source.files.map((file, i) => ({ name: pathOf(file), member: members[i].name })) } };
  const blob = await zipOf([{ name: "session.json", data: new TextEncoder().encode(JSON.stringify(about)) },
    { name: "record.json", data: new TextEncoder().encode(record.document) }, { name: "masks.bin", data: record.masks }, ...members]);
  download(`${work.name}.lite-medsam.zip`, blob);
  markSaved(answer.revision);
  return true;
};

register.menu("open", { id: "lm-open-kept", label: "Kept work …", title: "What this browser keeps of your work", action: showKept });
register.menu("export", { id: "lm-save-session", label: "Session file", title: "One file with the picture and all that was done, to go on later or elsewhere",
  action: saveSession, shown: (view) => Boolean(view?.image) && work.source?.kind !== "item" });

const startKeeping = async () => {
  sayHere();
  if (state.about?.folder) await fileQueue.start();
  else if (!(await fileQueue.offer())) await offerToContinue();
};

// a server without room shows that in place of the editor, and is asked again
const REFUSED = "refused: ";
const FULL_AGAIN_MS = 30_000;
const showFull = (text) => {
  const out = h("p", {}, text);
  const tryAgain = async () => {
    clearTimeout(timer);
    const answer = await wire.direct({ op: "arrive" });
    if (answer.ok) {
      node.remove();
      state.token = answer.token;
      act({ op: "hello" }).then(startKeeping);
      return;
    }
    out.textContent = answer.error;
    timer = setTimeout(tryAgain, FULL_AGAIN_MS);
  };
  let timer = setTimeout(tryAgain, FULL_AGAIN_MS);
  const node = h("div", { className: "lm-full", id: "lm-full", role: "alert" }, h("h2", {}, "No room at the moment"), out,
    h("p", {}, "This page asks again by itself every half minute."),
    h("button", { type: "button", className: "lm-button lm-primary", id: "lm-full-again", onclick: tryAgain }, "Try again now"));
  ui.root.append(node);
};
