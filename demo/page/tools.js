// The tools, their keys, and the other keys of the page.

register.tool({ id: "box", group: "prompt", label: "Box", key: "b",
  hint: "Box: drag around an object; each drag is a new one. The selected box changes by its handles and moves by its border." });
register.tool({ id: "click", group: "prompt", label: "Point +", key: "a", icon: "click",
  hint: "Click on the object. Right button: not on the object. A click on a mark takes it back." });
register.tool({ id: "unclick", group: "prompt", label: "Point −", key: "n", icon: "click", hint: "Click where the object is not." });
register.tool({ id: "scribble", group: "prompt", label: "Scribble +", key: "s", icon: "scribble",
  hint: "Draw a line over what belongs to the object: the model follows." });
register.tool({ id: "unscribble", group: "prompt", label: "Scribble −", key: "x", icon: "scribble",
  hint: "Draw a line over what does not belong to the object: the model follows." });
register.tool({ id: "brush", group: "edit", label: "Brush", key: "p", hint: "Paint: exactly the pixels under the brush are added." });
register.tool({ id: "eraser", group: "edit", label: "Eraser", key: "e",
  hint: "Erase: exactly the pixels under the brush are taken away." });
register.tool({ id: "hand", group: "view", label: "Move", key: "h",
  hint: "Move the picture. Also: space bar, middle button, two fingers." });

register.key("z", "undo", () => act({ op: "undo" }), { ctrl: true, shift: false });
register.key("z", "redo, as Ctrl+Y", () => act({ op: "redo" }), { ctrl: true, shift: true });
register.key("y", "redo", () => act({ op: "redo" }), { ctrl: true });
register.key("o", "new object", () => act({ op: "add" }));
register.key([..."123456789"], "select object 1 … 9", (event) => {
  const item = state.objects.find(({ number }) => number === Number(event.key));
  if (item) act({ op: "select", object: item.id });
}, { shown: "1 … 9" });
register.key(["delete", "backspace"], "clear the selected object, of a volume its slice", () => act({ op: "clear" }));
register.key("c", "next of the masks that the prompts can mean", () => nextChoice());
register.key(["+", "="], "zoom in; also the wheel, with Ctrl in a volume, and two fingers", () => board.zoomBy(1.5));
register.key("-", "zoom out", () => board.zoomBy(1 / 1.5));
register.key("0", "whole picture", () => board.fit());
register.key("pageup", "slice before; also the wheel", () => goTo(state.slice - 1), { shift: false });
register.key("pagedown", "slice after", () => goTo(state.slice + 1), { shift: false });
register.key("v", "masks on or off", () => toggle("show"));
register.key("f", "fill on or off, the contour stays", () => toggle("fill"));
register.key("m", "prompts on or off", () => toggle("prompts"));
register.key("k", "picture and masks side by side", () => toggle("sideBySide"));
register.key("escape", "give up what is being drawn, or a search; take the last ruler away", () => { if (!giveUpSearch()) board.giveUp(); });
register.key(" ", "hold to move the picture", () => {}, { on: "canvas" }); // see watchSpace
for (const [key, dx, dy] of [["arrowleft", 40, 0], ["arrowright", -40, 0], ["arrowup", 0, 40], ["arrowdown", 0, -40]]) {
  register.key(key, "move the picture", () => board.panBy(dx, dy), { on: "canvas", id: key, shown: "arrows" });
}

const onKey = (event) => {
  if (event.key === "Escape" && (closeHelp() || closePopOver())) return;
  const typing = event.target.matches?.("input:not([type=range]):not([type=checkbox]):not([type=file]), textarea, select");
  if (typing || !ui.root.isConnected || ui.root.inert || event.altKey) return;
  const entry = pressedKey(event, ui.canvas);
  if (!entry) return;
  entry.action(event);
  event.preventDefault();
};
