// The click tools: on the object, or not on it (the other tool, the right button, Alt). A click on a mark takes it back.

const clicking = (start, positive) => ({
  move() {},
  end() {
    if (!board.isInside(start)) {
      say("That click lies outside the picture.", { error: true, id: "outside" });
      return;
    }
    const number = clickNumberAt(start);
    if (isLocked()) return;
    if (number >= 0) act({ op: "unclick", number });
    else {
      const [x, y] = pixelOf(start.x, start.y, board.camera.width, board.camera.height);
      act({ op: "click", x, y, positive });
    }
  },
});

const isOpposite = (event) => event.button === 2 || event.altKey;

gestures.set("click", { start: (place, event) => clicking(place, !isOpposite(event)) });
gestures.set("unclick", { start: (place) => clicking(place, false) });
