// What the page knows; the server's last answer is `view`.

const state = {
  token: null, about: null, view: null, tool: "box", bitmap: null, step: 1, key: null, opened: null, objects: [],
  selected: null, nextColour: [230, 159, 0], slice: 0, slices: 1, spaceHeld: false, other: null, otherName: "", model: "",
  rulers: [], pixelUm: null, aspectByHand: false,
  look: { show: true, fill: true, outline: true, prompts: true, opacity: 0.45, sideBySide: false, trueAspect: false, brush: 12 },
};
const shapes = new Map(); // mask -> what is drawn of it, so that a mask that did not change is not built again
