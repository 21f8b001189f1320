// Find the others, and everything: candidates are dotted outlines over the picture. A click on one takes it or leaves it, with
// whatever tool; those that are taken become objects in one step. Nothing of the session changes before.

const offer = { found: [], slice: 0, opened: null, kind: "similar", search: null }; // search: the name of the one that runs
const OFFERED = [255, 255, 255]; // white over black shows on every picture
const SURE_ENOUGH = 0.5; // of the likeness, at first

const isOffered = () => offer.found.length > 0 && offer.opened === state.opened;
const isOfferedHere = () => isOffered() && offer.slice === state.slice;
const isTaken = (item) => item.byHand ?? item.likeness >= Number(offer.slider.value) / 100;
const takenNumbers = () => offer.found.flatMap((item, i) => (isTaken(item) ? [i] : []));

const findCandidates = async (kind) => {
  if (offer.search) return;
  endOffer();
  offer.search = requestName();
  say(kind === "similar" ? "Looking for others like this one …" : "Looking at everything …",
    { id: "offer", sticky: true, action: ["Cancel", giveUpSearch] });
  const answer = await act({ op: "candidates", kind, search: offer.search });
  offer.search = null;
  forgetSaid((old) => old.id === "offer");
  if (answer.ok && !answer.candidates) say("The search was given up; nothing has changed.");
  if (!answer.ok || !answer.candidates) return;
  const { found, slice } = answer.candidates;
  Object.assign(offer, { slice, kind, opened: state.opened, found: found.map((item) => ({ ...item, shape: maskShape(item.mask, OFFERED) })) });
  if (!found.length) say(kind === "similar" ? "Nothing more like this one was found." : "Nothing was found.", { sticky: true, id: "offer" });
  showSheet(false); // on a phone the picture is what counts now, and the panel's buttons are away
  if (found.length && !ui.panel.offsetParent) {
    say(`${found.length} found. Dotted outlines are taken, faint ones left; a tap on one changes that.`,
      { sticky: true, id: "offer", action: ["Accept", acceptOffer] });
  }
  offer.slider.value = 100 * SURE_ENOUGH;
  showOffer();
};

// true where there was a search to end
const giveUpSearch = () => {
  if (!offer.search) return false;
  wire.direct({ op: "give_up", search: offer.search });
  say("Giving up …", { id: "offer", sticky: true });
  return true;
};

const endOffer = () => {
  offer.found = [];
  forgetSaid((old) => old.id === "offer");
  showOffer();
};

const acceptOffer = async () => {
  if (!takenNumbers().length) return;
  const answer = await act({ op: "accept", chosen: takenNumbers() });
  if (answer.ok) endOffer();
};

const showOffer = () => {
  const count = isOffered() ? takenNumbers().length : 0;
  offer.node.hidden = !isOffered();
  offer.accept.textContent = `Accept all ${count}`;
  offer.accept.disabled = !count;
  offer.out.textContent = `${count} of ${offer.found.length}`;
  offer.elsewhere.hidden = !isOffered() || isOfferedHere();
  board?.redraw();
};

const offeredAt = (place) => {
  const size = ({ shape }) => shape.w * shape.h;
  return offer.found.filter(({ shape }) => lies(place, shape)).sort((a, b) => size(a) - size(b))[0] ?? null;
};

// a click on a candidate; a drag that starts there is the tool's, as everywhere
catchers.push((place, event) => {
  const item = event.button === 0 && isOfferedHere() ? offeredAt(place) : null;
  if (!item) return null;
  let tool = null;
  return {
    move(now) {
      if (!tool && isFar(place, now)) tool = gestures.get(state.tool)?.start(place, event) ?? { move() {}, end() {} };
      tool?.move(now);
    },
    end(now) {
      if (tool) { tool.end(now); return; }
      item.byHand = !isTaken(item);
      showOffer();
    },
    draw(...args) { tool?.draw?.(...args); },
    cancel() { tool?.cancel?.(); },
  };
});

overlays.push((context, pane, camera) => {
  if (!isOfferedHere()) return;
  context.save();
  for (const item of offer.found) {
    if (!item.shape) continue;
    const taken = isTaken(item);
    const outline = outlineOnScreen(item.shape, pane, camera, state.step);
    context.globalAlpha = taken ? 1 : 0.45;
    context.lineWidth = taken ? 4 : 2.5;
    context.setLineDash([]);
    context.strokeStyle = "rgb(0 0 0 / 0.6)";
    context.stroke(outline);
    context.lineWidth = taken ? 2 : 1;
    context.setLineDash(taken ? [3, 3] : [1, 5]);
    context.strokeStyle = css(OFFERED);
    context.stroke(outline);
  }
  context.restore();
});

const candidatesPart = () => {
  offer.slider = h("input", { type: "range", min: 15, max: 95, value: 100 * SURE_ENOUGH, id: "lm-likeness", "aria-label": "Likeness",
    title: "Right: only what is very much alike", oninput: () => { for (const item of offer.found) delete item.byHand; showOffer(); } });
  offer.out = h("output", { id: "lm-offered" });
  offer.accept = button("Accept all", "Make objects of the candidates that are taken (Enter)", () => acceptOffer(),
    { node: { id: "lm-accept", className: "lm-button lm-primary" } });
  offer.elsewhere = button("Show them", "Go to the slice that they are on", () => goTo(offer.slice), { node: { id: "lm-offer-slice" } });
  offer.node = h("div", { className: "lm-offer", hidden: true, id: "lm-offer" },
    h("p", {}, "Dotted outlines are taken, faint ones left. Click on one to change that."),
    h("div", { className: "lm-row" }, h("label", { className: "lm-inline", htmlFor: "lm-likeness" }, "Likeness"), offer.slider, offer.out),
    h("div", { className: "lm-row" }, offer.accept, button("Forget them", "Take none", () => endOffer(), { node: { id: "lm-forget" } }), offer.elsewhere));
  offer.find = button("Find the others", "Look for objects like the selected one, and like others of its class (J)",
    () => findCandidates("similar"), { node: { id: "lm-find" } });
  offer.all = button("Everything", "Look for objects of any kind in the whole picture; takes some seconds", () => findCandidates("everything"),
    { node: { id: "lm-everything" } });
  return h("div", { className: "lm-body" }, h("div", { className: "lm-row" }, offer.find, offer.all), offer.node);
};

const showCandidates = (view) => {
  const own = view.objects.find((item) => item.id === view.selected);
  offer.find.disabled = !own?.mask;
  offer.find.title = own?.mask ? "Look for objects like the selected one, and like others of its class (J)" : "Draw a box around one object first";
  offer.all.disabled = !view.image;
  if (offer.found.length && offer.opened !== view.image?.opened) offer.found = [];
  showOffer();
};

register.section({ id: "lm-candidates", title: "More of its kind", place: "panel", build: candidatesPart, update: showCandidates });
register.key("j", "find the others: objects like the selected one", () => { if (!offer.find.disabled) findCandidates("similar"); });
register.key("enter", "accept the candidates", () => { if (isOffered() && !offer.accept.disabled) acceptOffer(); }, { on: "canvas", shown: "Enter" });
