// Scribbles, which the model follows, and brush and eraser, which change exactly the pixels under them.

const STROKES = {
  scribble: { add: true, paints: false }, unscribble: { add: false, paints: false },
  brush: { add: true, paints: true }, eraser: { add: false, paints: true },
};

const stroking = (start, { add, paints }) => {
  const colour = selectedObject()?.colour ?? state.nextColour;
  const radius = paints ? state.look.brush / 2 : null;
  const stroke = [indexPoint(start)];
  return {
    move(place) { stroke.push(indexPoint(place)); },
    end() {
      if (radius === null) act({ op: "scribble", stroke, positive: add });
      else act({ op: "paint", stroke, radius, add });
    },
    draw(context, pane, camera) { drawStroke(context, { stroke, colour, add, radius }, pane, camera); },
  };
};

for (const [tool, kind] of Object.entries(STROKES)) {
  gestures.set(tool, {
    start(place, event) {
      if (isLocked()) return null;
      return stroking(place, { ...kind, add: kind.add !== isOpposite(event) });
    },
  });
}

const drawStroke = (context, { stroke, colour, add, radius }, pane, camera) => {
  context.save();
  context.beginPath();
  stroke.forEach(([x, y], i) => {
    const [sx, sy] = camera.toScreen(pane, x + 0.5, y + 0.5);
    if (i) context.lineTo(sx, sy);
    else context.moveTo(sx, sy);
  });
  if (stroke.length === 1) {
    const [sx, sy] = camera.toScreen(pane, stroke[0][0] + 0.5, stroke[0][1] + 0.5);
    context.lineTo(sx + 0.01, sy);
  }
  context.lineCap = context.lineJoin = "round";
  context.strokeStyle = add ? css(colour, 0.6) : "rgb(0 0 0 / 0.6)";
  context.save();
  if (radius === null) context.lineWidth = 5;
  else { // the brush is round in picture pixels, whatever their shape on the screen
    context.scale(camera.ax, camera.ay);
    context.lineWidth = Math.max(1, 2 * radius * camera.scale);
  }
  context.stroke();
  context.restore();
  if (radius === null) {
    context.lineWidth = 1;
    context.strokeStyle = "#fff";
    context.stroke();
  }
  context.restore();
};
