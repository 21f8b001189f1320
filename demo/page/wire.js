// Requests to the server: one at a time, in order; answers that a newer one has overtaken are dropped.

const makeWire = (server, getToken, onAnswer, onBusy) => {
  const waiting = [];
  let working = false;

  const pump = async () => {
    if (working || !waiting.length) return;
    working = true;
    onBusy(true);
    const item = waiting.shift();
    const started = performance.now();
    let answer;
    try {
      answer = await server.answer({ token: getToken(), ...item.request() });
      if (!answer || typeof answer !== "object" || !("ok" in answer)) {
        answer = { ok: false, error: "the server gave no answer; is it still running?", code: "gone" };
      }
    } catch (error) {
      answer = { ok: false, error: "the server cannot be reached: " + (error?.message || error), code: "gone" };
    }
    // a newer request of the same kind is already waiting: its answer will be the one to show
    const overtaken = item.kind && waiting.some((other) => other.kind === item.kind);
    try {
      if (!overtaken || !answer.ok) await onAnswer(answer, performance.now() - started); // until it is shown
    } finally {
      working = false;
      item.resolve(answer);
      if (!waiting.length) onBusy(false);
      pump();
    }
  };

  return {
    // request: an object or a function that makes it when its turn comes; kind: only the latest of a kind is sent
    send(request, kind = null) {
      if (kind) {
        for (let i = waiting.length - 1; i >= 0; i--) {
          if (waiting[i].kind === kind) waiting.splice(i, 1)[0].resolve({ ok: false, code: "replaced" });
        }
      }
      return new Promise((resolve) => {
        waiting.push({ request: typeof request === "function" ? request : () => request, kind, resolve });
        pump();
      });
    },
    // beside the queue, for what must not wait: progress, stop, pieces of a file
    async direct(request) {
      try {
        return await server.answer({ token: getToken(), ...request });
      } catch (error) {
        return { ok: false, error: "the server cannot be reached: " + (error?.message || error), code: "gone" };
      }
    },
  };
};

const toBase64 = (bytes) => {
  let text = "";
  for (let i = 0; i < bytes.length; i += 0x8000) text += String.fromCharCode.apply(null, bytes.subarray(i, i + 0x8000));
  return btoa(text);
};

const fromBase64 = (text) => {
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return bytes;
};
