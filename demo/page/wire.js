// Requests to the server: one at a time, in order; answers that a newer one has overtaken are dropped. A request that finds no
// server is sent again until there is one: it carries a name, by which the server knows whether it has done it already.

const RETRY_MS = [500, 1000, 2000, 4000];

// what other files add: `recover` takes a new seat and brings the work back, true when that is done; `answered` sees each answer
const wireHooks = { recover: async () => false, answered: [] };

// where the editor's function is on the server; a server of another version may number its parts anew
const endpoint = {
  config: window.gradio_config ?? {},
  get component() { return endpoint.config.components?.find(({ props }) => props?.elem_id === "lite-medsam")?.id; },
  get url() { return `${window.gradio_config.root}${window.gradio_config.api_prefix ?? ""}/component_server/`; },
  async lookAgain() {
    const before = endpoint.component;
    const response = await fetch(`${window.gradio_config.root}/config`, { credentials: "same-origin" });
    if (response.ok) endpoint.config = await response.json();
    return endpoint.component !== before;
  },
};

// one request, and an answer whatever happens: code "gone" (no server), "login", "large" (a proxy refuses its size), "cancelled"
const post = async (request, options = {}, isAgain = false) => {
  const body = { data: request, component_id: endpoint.component, fn_name: "answer", session_hash: "lite-medsam" };
  const failed = (code, error) => ({ ok: false, code, error });
  let response;
  try {
    response = await fetch(endpoint.url, {
      method: "POST", credentials: "same-origin", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
      ...options });
    if ([404, 500].includes(response.status) && !isAgain && await endpoint.lookAgain()) return post(request, options, true);
    if (response.ok) {
      const answer = await response.json();
      if (answer && typeof answer === "object" && "ok" in answer) return answer;
      return failed("bad", "The server gave an answer that this page does not understand; reload the page.");
    }
  } catch (error) {
    if (error?.name === "AbortError") return failed("cancelled", "Given up.");
    return failed("gone", "The server cannot be reached.");
  }
  const { status } = response;
  if (status === 401 || status === 403) return failed("login", "You are not logged in any more, most likely because the server was started anew.");
  if (status === 413) {
    return failed("large", `A proxy before this server does not let a request of ${Math.ceil(JSON.stringify(body).length / 1024)} KB through. `
      + "Ask whoever runs it to raise its limit (nginx: client_max_body_size 25m).");
  }
  if ([502, 503, 504].includes(status)) return failed("gone", "The server behind this address does not answer.");
  return failed("bad", `The server answered with an error (${status}); try again, or reload the page.`);
};

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
let requestCount = 0;
const requestName = () => `${Date.now().toString(36)}.${(requestCount += 1)}.${Math.random().toString(36).slice(2, 8)}`;

// says what is wrong with the connection, once, and that it is well again
const connection = {
  lost: null,
  tell(answer) {
    if (connection.lost === answer.code) return;
    connection.lost = answer.code;
    if (answer.code === "login") {
      say(`${answer.error} Log in again; what you have done is kept in this browser.`,
        { error: true, id: "connection", action: ["Log in", () => window.location.reload()] });
    } else say(`${answer.error} What you have done is kept; this page tries again by itself.`, { error: true, id: "connection" });
  },
  well(text = "The server is back; nothing was lost.") {
    if (connection.lost === null) return;
    connection.lost = null;
    say(text, { id: "connection" });
  },
};

const makeWire = (getToken, onAnswer, onBusy) => {
  const waiting = [];
  let working = false;

  // false where there was no server, after a while that grows with the tries
  const isFinal = async (answer, tries) => {
    if (answer.code !== "gone" && answer.code !== "login") {
      connection.well();
      return true;
    }
    connection.tell(answer);
    await pause(RETRY_MS[Math.min(tries, RETRY_MS.length - 1)]);
    return false;
  };

  const untilAnswered = async (item) => {
    const id = requestName();
    for (let tries = 0, recovered = 0; ; tries += 1) {
      item.started = performance.now();
      const answer = await post({ token: getToken(), id, ...item.request() });
      if (answer.code === "ended" && recovered < 3 && await wireHooks.recover()) {
        recovered += 1;
        continue;
      }
      if (await isFinal(answer, tries)) return answer;
    }
  };

  const pump = async () => {
    if (working || !waiting.length) return;
    working = true;
    onBusy(true);
    const item = waiting.shift();
    const answer = await untilAnswered(item);
    // a newer request of the same kind is already waiting: its answer will be the one to show
    const overtaken = item.kind && waiting.some((other) => other.kind === item.kind);
    for (const see of wireHooks.answered) see(answer);
    try {
      if (!overtaken || !answer.ok) await onAnswer(answer, performance.now() - item.started); // until it is shown
    } finally {
      working = false;
      item.resolve(answer);
      if (!waiting.length) onBusy(false);
      pump();
    }
  };

  return {
    get idle() { return !working && !waiting.length; },
    // request: makes it when its turn comes; kind: only the latest of a kind is sent
    send(request, kind = null) {
      if (kind) {
        for (let i = waiting.length - 1; i >= 0; i--) {
          if (waiting[i].kind === kind) waiting.splice(i, 1)[0].resolve({ ok: false, code: "replaced" });
        }
      }
      return new Promise((resolve) => {
        waiting.push({ request, kind, resolve });
        pump();
      });
    },
    // beside the queue, for what must not wait: progress, stop; tried once
    direct(request, signal = null) {
      return post({ token: getToken(), ...request }, { signal });
    },
    // the last word of a page that goes
    goodbye() {
      post({ token: getToken(), op: "close" }, { keepalive: true });
    },
    // beside the queue, tried until there is a server that answers, or until it is given up
    async patient(request, signal = null) {
      for (let tries = 0; ; tries += 1) {
        const answer = await post({ token: getToken(), ...request }, { signal });
        if (await isFinal(answer, tries)) return answer;
        if (signal?.aborted) return { ok: false, code: "cancelled", error: "Given up." };
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
