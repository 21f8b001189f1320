// Masks that another model or another window of grey values made: they stay, and the page offers to ask anew. And what a click
// did not reach.

const told = { stale: "", notice: null };

const staleText = ({ all, followed }) => {
  const count = (n) => `${n} object${n === 1 ? "" : "s"}`;
  if (!all) return `Followed slices of ${count(followed)} are from before the change of model or window.`;
  return `Masks of ${count(all)} are from before the change of model or window; they stay as they are.`;
};

onView((view) => {
  const { stale, image } = view;
  const isStale = Boolean(stale?.all || stale?.followed);
  const key = isStale ? JSON.stringify([image.opened, view.model, view.engine, image.window, stale.all, stale.followed]) : "";
  if (key !== told.stale) {
    told.stale = key;
    if (!isStale) forgetSaid(({ id }) => id === "stale");
    else {
      const anew = stale.all ? ["Ask anew", () => act({ op: "renew", everywhere: true })] : ["Follow anew", () => act({ op: "propagate" })];
      say(staleText(stale), { sticky: true, id: "stale", action: anew });
    }
  }
  if (view.notice !== told.notice) {
    told.notice = view.notice ?? null;
    if (told.notice) say(told.notice, { sticky: true, id: "missed" });
    else forgetSaid(({ id }) => id === "missed");
  }
});
