// Files on their way to the server.

const openSample = (name) => {
  say("Opening …");
  return act({ op: "sample", name });
};

const openFiles = async (files, op = "open") => {
  ui.file.value = ui.masks.value = "";
  const limit = state.about?.max_upload_bytes ?? 0;
  const total = files.reduce((sum, file) => sum + file.size, 0);
  if (total > limit) {
    say(`This is too large: ${(total / 2 ** 20).toFixed(0)} MB, at most ${(limit / 2 ** 20).toFixed(0)} MB can be opened here.`, { error: true });
    return;
  }
  const begun = await wire.direct({ op: "upload", files: files.map((file) => ({ name: file.name, size: file.size })) });
  if (!begun.ok) { say(begun.error, { error: true }); return; }
  let sent = 0;
  for (const [number, file] of files.entries()) {
    for (let at = 0; at < file.size; at += state.about.piece) {
      const bytes = new Uint8Array(await file.slice(at, at + state.about.piece).arrayBuffer());
      const answer = await wire.direct({ op: "piece", file: number, data: toBase64(bytes) });
      if (!answer.ok) { say(answer.error, { error: true }); return; }
      sent += bytes.length;
      say(`Sending ${file.name}: ${Math.round((100 * sent) / Math.max(1, total))} %`);
    }
  }
  say("Opening …");
  await act({ op });
};

const watchDrops = (node) => {
  for (const name of ["dragover", "drop"]) {
    node.addEventListener(name, (event) => {
      event.preventDefault();
      if (name === "drop" && event.dataTransfer.files.length) openFiles([...event.dataTransfer.files]);
    });
  }
};
