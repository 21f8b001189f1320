// The lasso: a drag along an outline, or clicks that become the corners of a polygon, and what lies inside is added to the
// object or cut from it, as with brush and eraser. A click on the first corner, a second click on the last one or Enter
// closes it; Backspace takes the last corner back.

const CLOSE_REACH = 10; // screen pixels
let openLasso = null; // corners so far: { corners, add, colour, slice, tip }

const lassoColour = () => selectedObject()?.colour ?? state.nextColour;

const sendLasso = (corners, add) => {
  openLasso = null;
  board.redraw();
  if (corners.length < 3) say("A lasso needs three corners at least: drag around what you mean, or click from corner to corner.");
  else act({ op: "paint", polygon: corners, add });
};

const lassoing = (start, add) => {
  const colour = lassoColour();
  const corners = [indexPoint(start)];
  let dragged = false;
  return {
    move(place) {
      dragged ||= isFar(start, place);
      if (dragged) corners.push(indexPoint(place));
    },
    end(place) {
      if (dragged) sendLasso(corners, add);
      else {
        openLasso = { corners, add, colour, slice: state.slice, tip: indexPoint(place) };
        say("Click from corner to corner; on the first one, or Enter, to close. Esc gives it up.", { id: "lasso" });
      }
    },
    draw(context, pane, camera) { drawLasso(context, { corners, add, colour }, pane, camera, false); },
  };
};

const isNear = (place, [x, y]) => {
  const [sx, sy] = board.camera.toScreen(place.pane, x + 0.5, y + 0.5);
  return Math.hypot(sx - place.sx, sy - place.sy) <= CLOSE_REACH + (place.touch ? 8 : 0);
};

const nextCorner = () => ({
  move(place) { openLasso.tip = indexPoint(place); },
  end(place) {
    const { corners, add } = openLasso;
    if ((corners.length > 2 && isNear(place, corners[0])) || isNear(place, corners.at(-1))) sendLasso(corners, add);
    else corners.push(indexPoint(place));
  },
});

// Enter closes, Backspace takes a corner back; true where the key meant the lasso
const lassoKey = (event) => {
  if (!openLasso || !["Enter", "Backspace"].includes(event.key)) return false;
  if (event.key === "Enter") sendLasso(openLasso.corners, openLasso.add);
  else if (openLasso.corners.length > 1) openLasso.corners.pop();
  else openLasso = null;
  board.redraw();
  return true;
};

const giveUpLasso = () => { openLasso = null; };

for (const [tool, add] of [["lasso", true], ["unlasso", false]]) {
  gestures.set(tool, {
    start(place, event) {
      if (isLocked()) return null;
      if (openLasso?.slice === state.slice) return nextCorner();
      openLasso = null;
      return lassoing(place, add !== isOpposite(event));
    },
    cancel: giveUpLasso,
    key: lassoKey,
  });
}

hovers.push((place) => {
  if (!openLasso || !place) return;
  openLasso.tip = indexPoint(place);
  board.redraw();
});

const drawLasso = (context, { corners, add, colour, tip }, pane, camera, open) => {
  const screen = ([x, y]) => camera.toScreen(pane, x + 0.5, y + 0.5);
  const path = new Path2D();
  [...corners, ...(tip ? [tip] : [])].forEach((corner, i) => (i ? path.lineTo(...screen(corner)) : path.moveTo(...screen(corner))));
  context.save();
  context.fillStyle = add ? css(colour, 0.25) : "rgb(0 0 0 / 0.35)";
  context.fill(path);
  if (!open) path.closePath();
  for (const [width, style] of [[4, "rgb(0 0 0 / 0.6)"], [2, add ? css(colour) : "#fff"]]) {
    context.lineWidth = width;
    context.strokeStyle = style;
    context.setLineDash(add ? [] : [6, 4]);
    context.stroke(path);
  }
  context.setLineDash([]);
  if (open) {
    for (const corner of corners) {
      const [sx, sy] = screen(corner);
      context.fillStyle = "#fff";
      context.fillRect(sx - 3, sy - 3, 6, 6);
    }
  }
  context.restore();
};

overlays.push((context, pane, camera) => {
  if (openLasso?.slice === state.slice) drawLasso(context, openLasso, pane, camera, true);
});

register.tool({ id: "lasso", group: "edit", label: "Lasso +", key: "l",
  hint: "Lasso: drag around what belongs to the object, or click from corner to corner. Exactly what lies inside is added." });
register.tool({ id: "unlasso", group: "edit", label: "Lasso −", key: "u", icon: "lasso",
  hint: "Lasso: drag around what does not belong to the object, or click from corner to corner. Exactly what lies inside is cut." });
