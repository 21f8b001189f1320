"""Simulated users: how boxes and clicks are made from a label map, the same way on every machine."""

import dataclasses
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lite_medsam.errors import PromptError
from lite_medsam.storage.bundled import PROMPTS_DIR
from lite_medsam.storage.paths import shown_path
from lite_medsam.storage.strict_json import Checker, read_json

KINDS = ("box", "clicks", "box+clicks", "scribble")
MAX_PROTOCOL_BYTES = 100_000


@dataclass(frozen=True)
class Protocol:
    """How a simulated user prompts.

    Attributes:
        name: Short name, by which results are labelled.
        version: Raised whenever the meaning changes.
        kind: "box"; "clicks" (the first click on the object, the next ones on the largest error);
            "box+clicks"; "scribble" (one stroke along the object's middle, no corrections).
        jitter: (low, high), as a fraction of the box's side: each of the four sides moves by its own uniform
            draw, outward when positive. (0, 0) is the exact box.
        clicks: Clicks per object in all; 0 for kind "box". For "scribble", points along the stroke.
        max_objects: At most this many objects per image, evenly chosen among the label values; None for all.
        min_area_px: Smaller objects are left out (and counted).
        seed: Seed of all draws.
    """

    name: str
    version: int = 1
    kind: str = "box"
    jitter: tuple[float, float] = (0.0, 0.0)
    clicks: int = 0
    max_objects: int | None = None
    min_area_px: int = 1
    seed: int = 0

    def __post_init__(self):
        if self.kind not in KINDS:
            raise PromptError(f"kind must be one of {', '.join(KINDS)}, got {self.kind!r}")
        low, high = self.jitter
        if not -0.49 <= low <= high <= 10:
            raise PromptError(f"jitter must be (low, high) with -0.49 <= low <= high <= 10, got {self.jitter}")
        if (self.clicks > 0) != (self.kind != "box") or self.clicks < 0:
            raise PromptError(
                f"clicks must be 0 for kind box and at least 1 otherwise, got {self.clicks} for {self.kind}"
            )
        if self.max_objects is not None and self.max_objects < 1:
            raise PromptError(f"max_objects must be at least 1 or None, got {self.max_objects}")
        if self.min_area_px < 1:
            raise PromptError(f"min_area_px must be at least 1, got {self.min_area_px}")
        object.__setattr__(self, "jitter", (float(low) + 0.0, float(high) + 0.0))  # + 0.0: no -0

    @property
    def corrections(self) -> int:
        """Clicks that answer a segmentation, after the first prompt."""
        return {"clicks": self.clicks - 1, "box+clicks": self.clicks}.get(self.kind, 0)

    @property
    def sha256(self) -> str:
        """Hex digest over all fields as canonical JSON; results record it beside the name."""
        fields = dataclasses.asdict(self)
        return hashlib.sha256(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def load_protocol(name_or_path: str | os.PathLike) -> Protocol:
    """Loads a bundled protocol by name ("box", "clicks", ...) or any protocol file by path.

    Raises:
        PromptError: If there is no such protocol (the message lists the bundled ones) or the file is not
            valid; its rules are those of prompts/protocol.schema.json.
    """
    text = os.fspath(name_or_path)
    bundled = {path.stem: path for path in (PROMPTS_DIR / "protocols").glob("*.json")}
    if text in bundled:
        return _protocol_from_json(bundled[text])
    path = Path(text)
    if path.suffix.lower() != ".json" and len(path.parts) < 2:
        known = ", ".join(sorted(bundled))
        raise PromptError(f"protocol must be one of {known}, or a .json file, got {shown_path(text)}")
    return _protocol_from_json(path)


def _protocol_from_json(path: Path) -> Protocol:
    check = Checker(path, PromptError)
    document = read_json(path, PromptError, MAX_PROTOCOL_BYTES)
    optional = ("description", "jitter", "clicks", "max_objects", "min_area_px")
    found = check.mapping(document, "", ("name", "version", "kind", "seed"), optional)
    if "description" in found:
        check.text(found["description"], "description", 2000)
    kind = check.text(found["kind"], "kind", 60)
    if kind not in KINDS:
        raise check.fail("kind", f"be one of {', '.join(KINDS)}", kind)
    jitter = check.array(found.get("jitter", [0, 0]), "jitter", 2)
    low = check.number(jitter[0], "jitter[0]", -0.49, 10)
    high = check.number(jitter[1], "jitter[1]", -0.49, 10)
    most = found.get("max_objects")
    try:
        return Protocol(
            name=check.text(found["name"], "name", 60),
            version=check.integer(found["version"], "version", 1, 10_000),
            kind=kind,
            jitter=(low, high),
            clicks=check.integer(found.get("clicks", 0), "clicks", 0, 1000),
            max_objects=None if most is None else check.integer(most, "max_objects", 1, 100_000),
            min_area_px=check.integer(found.get("min_area_px", 1), "min_area_px", 1, 10**9),
            seed=check.integer(found["seed"], "seed", 0, 2**53),
        )
    except PromptError as error:
        named = str(error).startswith(check.source)
        raise error if named else PromptError(f"{check.source}: {error}") from None


def rng_for(protocol: Protocol, case_name: str, label: int) -> np.random.Generator:
    """The random numbers for one object of one case, independent of the order in which cases are visited.

    They depend on the protocol's seed only, so that protocols with one seed differ in nothing but what they
    say: two jitters of one object are comparable.

    Args:
        protocol: Gives the seed.
        case_name: The case's name.
        label: The object's label value; 0 for draws about the case as a whole.
    """
    key = json.dumps([protocol.seed, case_name, int(label)]).encode()
    return np.random.default_rng(int.from_bytes(hashlib.sha256(key).digest()[:16], "big"))


def box_from_mask(mask: np.ndarray) -> tuple[float, float, float, float]:
    """The smallest box around a mask.

    Args:
        mask: (H, W) bool or integers, anything but 0 is inside.

    Returns:
        x0, y0, x1, y1 in pixels, last pixel inside.

    Raises:
        PromptError: If the mask is empty or not two-dimensional.
    """
    mask = np.asarray(mask)
    if mask.ndim != 2:
        raise PromptError(f"mask must be (H, W), got shape {mask.shape}")
    mask = mask.astype(bool, copy=False)
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    if len(columns) == 0:
        raise PromptError("mask must have at least one pixel inside, got an empty one; it has no box")
    return float(columns[0]), float(rows[0]), float(columns[-1]), float(rows[-1])


def simulate_box(mask: np.ndarray, protocol: Protocol, rng: np.random.Generator) -> tuple[float, float, float, float]:
    """The box that the protocol's user draws around an object.

    Args:
        mask: (H, W) bool.
        protocol: Its `jitter` moves the sides, as a fraction of the box's width (x0, x1) or height (y0, y1).
        rng: Four uniform draws are taken, for x0, y0, x1, y1.

    Returns:
        x0, y0, x1, y1 in pixels, last pixel inside, within the image; sides that would cross meet in the
        middle.

    Raises:
        PromptError: If the mask is empty.
    """
    x0, y0, x1, y1 = box_from_mask(mask)
    draws = rng.uniform(*protocol.jitter, size=4)
    width, height = x1 - x0 + 1, y1 - y0 + 1
    left, right = _side_pair(x0 - draws[0] * width, x1 + draws[2] * width, mask.shape[1])
    top, bottom = _side_pair(y0 - draws[1] * height, y1 + draws[3] * height, mask.shape[0])
    return left, top, right, bottom


def simulate_stroke(mask: np.ndarray, points: int, rng: np.random.Generator) -> np.ndarray:
    """The stroke that a user draws along an object: from one end towards the other, through its middle.

    The object's largest part is cut into `points` slabs across its long axis (the first principal component of its
    pixels); in each, the pixel farthest from the edge is taken. The stroke starts and ends a little before the ends.

    Args:
        mask: (H, W) bool.
        points: Number of points along the stroke.
        rng: Says where the stroke starts and ends, and which way it goes.

    Returns:
        (K, 2) float32 x, y, all on the object; K is `points`, fewer where slabs hold no pixel.

    Raises:
        PromptError: If the mask is empty.
    """
    box_from_mask(mask)
    part, _ = _largest_part(np.asarray(mask).astype(bool))
    depth = _squared_depth(part)
    ys, xs = np.nonzero(part)
    centred = np.stack([xs - xs.mean(), ys - ys.mean()])
    _, axes = np.linalg.eigh(centred @ centred.T)
    axis = axes[:, -1] * np.sign(axes[np.abs(axes[:, -1]).argmax(), -1])  # the sign must not depend on the machine
    along = axis @ centred
    start, end = rng.uniform(0.02, 0.25), rng.uniform(0.75, 0.98)
    edges = np.quantile(along, np.linspace(start, end, points + 1))
    slabs = np.clip(np.searchsorted(edges, along, side="right") - 1, -1, points)
    chosen = []
    for slab in range(points):
        members = np.flatnonzero(slabs == slab)
        if len(members):
            deepest = members[depth[ys[members], xs[members]].argmax()]
            chosen.append((xs[deepest], ys[deepest]))
    stroke = np.array(chosen or [(xs[depth[ys, xs].argmax()], ys[depth[ys, xs].argmax()])], np.float32)
    return stroke[::-1].copy() if rng.random() < 0.5 else stroke


def _side_pair(low: float, high: float, length: int) -> tuple[float, float]:
    if low > high:
        low = high = (low + high) / 2
    return float(np.clip(low, 0, length - 1)), float(np.clip(high, 0, length - 1))


def next_click(
    mask: np.ndarray, prediction: np.ndarray, rng: np.random.Generator | None = None
) -> tuple[int, int, int] | None:
    """The click that best corrects a prediction: the middle of its largest error.

    Missed and surplus pixels are split into 8-connected parts; of the largest part (a missed one where two
    are equally large), the pixel that lies farthest from the part's edge is taken, the image's border
    counting as edge. This is the user of the CVPR 2025 interactive challenge, in 2D.

    Args:
        mask: (H, W) bool, the truth.
        prediction: (H, W) bool, the segmentation so far; all False for the first click.
        rng: Chooses among equally central pixels; None takes the middle one of them in reading order.

    Returns:
        x, y, label (1: belongs to the object, 0: does not); None when the prediction has no error.

    Raises:
        PromptError: If the shapes differ or are not (H, W).
    """
    mask, prediction = np.asarray(mask).astype(bool), np.asarray(prediction).astype(bool)
    if mask.ndim != 2 or mask.shape != prediction.shape:
        raise PromptError(f"mask and prediction must share one shape (H, W), got {mask.shape} and {prediction.shape}")
    missed, missed_area = _largest_part(mask & ~prediction)
    surplus, surplus_area = _largest_part(prediction & ~mask)
    if missed_area == surplus_area == 0:
        return None
    label = int(missed_area >= surplus_area)
    x, y = _centre(missed if label else surplus, rng)
    return x, y, label


def _largest_part(error: np.ndarray) -> tuple[np.ndarray, int]:
    import cv2

    _, parts, stats, _ = cv2.connectedComponentsWithStats(error.astype(np.uint8), connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA]  # row 0 is the background
    if len(areas) == 0:
        return error, 0
    largest = int(areas.argmax())
    return parts == largest + 1, int(areas[largest])


def _centre(part: np.ndarray, rng: np.random.Generator | None) -> tuple[int, int]:
    x0, y0, x1, y1 = (int(v) for v in box_from_mask(part))
    depth = _squared_depth(part[y0 : y1 + 1, x0 : x1 + 1])
    rows, columns = np.nonzero(depth == depth.max())
    pick = len(rows) // 2 if rng is None else int(rng.integers(len(rows)))
    return int(columns[pick]) + x0, int(rows[pick]) + y0


def _squared_depth(part: np.ndarray) -> np.ndarray:
    """Squared distance of each pixel to the nearest one outside, (h, w) whole numbers; the array's border is an edge.

    Squares of distances between pixels are whole, so they are rounded to that: OpenCV's last bit depends on how its threads
    divide the image (seen with 5.0), which would decide between equally central pixels.
    """
    import cv2

    window = np.pad(part.astype(np.uint8), 1)  # zeros all round
    depth = cv2.distanceTransform(window, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    return np.rint(depth.astype(np.float64) ** 2)
