"""Sheets of phantoms for a card: the bundled ones as examples, and those that a model gets most wrong."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from lite_medsam.cases.case import Case
from lite_medsam.evaluation.metrics import dice
from lite_medsam.images.png_writing import png_bytes
from lite_medsam.phantoms import KINDS, bundled_cases, make_phantom
from lite_medsam.prompts.first_prompts import simulate_prompts
from lite_medsam.prompts.prompt_object import as_prompts
from lite_medsam.prompts.prompt_set import Prompt, load_protocol
from lite_medsam.results.overlay import draw_masks, draw_prompts
from lite_medsam.segment.predictor import Predictor

FIRST_SEED = 100_000  # far from the seeds that training and the bundled phantoms use
TRUTH, ANSWER, BOX = (0, 220, 90), (255, 0, 200), (255, 255, 255)
_TILE_PX, _CAPTION_PX, _GAP_PX = 200, 34, 4


@dataclass(frozen=True, eq=False)
class Failure:
    """One object of a phantom and what the model made of it.

    Attributes:
        case: The phantom.
        kind: Its kind.
        seed: Its seed.
        name: What the object is called.
        prompt: Its box.
        truth: (H, W) bool.
        answer: (H, W) bool.
        dice: Of the answer.
    """

    case: Case
    kind: str
    seed: int
    name: str
    prompt: Prompt
    truth: np.ndarray
    answer: np.ndarray
    dice: float


def find_failures(
    predictor: Predictor, seeds: Iterable[int], most: int = 12, per_kind: int = 3, kinds: Sequence[str] = KINDS
) -> list[Failure]:
    """The objects with the lowest Dice over many phantoms, the worst first; one for each kind and name.

    Args:
        predictor: The model.
        seeds: Each seed makes one phantom of each kind.
        most: How many to return.
        per_kind: At most so many of a kind, or one kind would fill the sheet.
        kinds: Out of `phantoms.KINDS`.
    """
    protocol = load_protocol("box")
    worst: dict[tuple[str, str], Failure] = {}
    for kind in kinds:
        for seed in seeds:
            case = make_phantom(kind, seed)
            objects = simulate_prompts(case.truth, protocol, case.name).objects
            prediction = predictor.segment(case.image, [prompt for _, prompt in objects])
            for index, (label, prompt) in enumerate(objects):
                truth, answer = case.truth == label, prediction.mask(index)
                # "lesion 2" and "lesion 5" are one thing
                name = (case.label_names or {}).get(label, str(label)).rstrip("0123456789 ")
                found = Failure(case, kind, seed, name, prompt, truth, answer, dice(truth, answer))
                known = worst.get((kind, name))
                if known is None or found.dice < known.dice:
                    worst[kind, name] = found
    chosen: list[Failure] = []
    for failure in sorted(worst.values(), key=lambda failure: failure.dice):
        if sum(other.kind == failure.kind for other in chosen) < per_kind:
            chosen.append(failure)
    return chosen[:most]


def draw_failures(failures: Sequence[Failure], columns: int = 4) -> np.ndarray:
    """The failures as tiles with truth, answer and box, each cut to its surroundings, with a caption.

    Args:
        failures: At least one.
        columns: Tiles in a row.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    tiles = [_tile(failure) for failure in failures]
    blank = np.full_like(tiles[0], 255)
    tiles += [blank] * (-len(tiles) % columns)
    return np.concatenate([np.concatenate(tiles[i : i + columns], axis=1) for i in range(0, len(tiles), columns)])


def _tile(failure: Failure) -> np.ndarray:
    """One failure, (caption + tile, tile, 3) uint8 on white."""
    image = failure.case.image
    rgb = image if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2)
    assert failure.prompt.box is not None  # the protocol gives one
    x0, y0, x1, y1 = failure.prompt.box
    side = int(max(48, 1.5 * max(x1 - x0 + 1, y1 - y0 + 1)))
    side = min(side, *image.shape[:2])
    left, top = (
        int(np.clip((low + high + 1) / 2 - side / 2, 0, length - side))
        for low, high, length in ((x0, x1, image.shape[1]), (y0, y1, image.shape[0]))
    )
    window = slice(top, top + side), slice(left, left + side)
    inner = _TILE_PX - _GAP_PX
    picture = cv2.resize(np.ascontiguousarray(rgb[window]), (inner, inner), interpolation=cv2.INTER_AREA)
    scale = inner / side
    for mask, colour in ((failure.truth, TRUTH), (failure.answer, ANSWER)):
        large = cv2.resize(mask[window].astype(np.float32), (inner, inner), interpolation=cv2.INTER_LINEAR) >= 0.5
        outlines, _ = cv2.findContours(large.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, outlines, -1, colour, 1)
    corners = [round((value + shift - start) * scale) for value, shift, start in
               ((x0, 0, left), (y0, 0, top), (x1, 1, left), (y1, 1, top))]  # fmt: skip
    cv2.rectangle(picture, corners[:2], corners[2:], BOX, 1)
    tile = np.full((_TILE_PX + _CAPTION_PX, _TILE_PX, 3), 255, np.uint8)
    tile[_CAPTION_PX : _CAPTION_PX + inner, :inner] = picture
    for row, text in enumerate((f"{failure.name}", f"{failure.kind} {failure.seed}: Dice {failure.dice:.2f}")):
        cv2.putText(tile, text[:36], (1, 12 + 15 * row), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (0, 0, 0), 1, cv2.LINE_AA)
    return tile


def draw_examples(predictor: Predictor, height_px: int = 230, width_px: int = 1230) -> np.ndarray:
    """The bundled phantoms as the model sees them: boxes and masks over each, on one sheet.

    Args:
        predictor: The model.
        height_px: Height of a picture.
        width_px: A row holds as many pictures as fit into this.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    rows: list[list[np.ndarray]] = [[]]
    for case in bundled_cases():
        assert case.boxes is not None  # phantoms have them
        prompts = as_prompts(case.boxes)
        labels = predictor.segment(case.image, prompts).label_map()
        picture = draw_prompts(draw_masks(case.image, labels), prompts)
        width = round(picture.shape[1] * height_px / picture.shape[0])
        picture = cv2.resize(picture, (width, height_px), interpolation=cv2.INTER_AREA)
        if sum(p.shape[1] for p in rows[-1]) + width > width_px and rows[-1]:
            rows.append([])
        rows[-1].append(picture)
    strips = [np.concatenate(row, axis=1) for row in rows]
    width = max(strip.shape[1] for strip in strips)
    return np.concatenate([np.pad(s, ((0, 4), (0, width - s.shape[1]), (0, 0))) for s in strips])


def small_png(picture: np.ndarray, limit_bytes: int) -> bytes:
    """A PNG that is no larger than asked: the lowest bits go first (noise does not compress), then pixels.

    Args:
        picture: (H, W, 3) uint8 RGB.
        limit_bytes: Upper bound, at least a few kilobytes.
    """
    while True:
        for bits in range(5):
            # to the middle of the step, so that nothing gets darker; black and white stay
            rounded = (np.rint(picture / 2**bits) * 2**bits).clip(0, 255).astype(np.uint8)
            data = png_bytes(rounded, 9)
            if len(data) <= limit_bytes or max(picture.shape[:2]) <= 16:
                return data
        height, width = (max(1, round(side * 0.85)) for side in picture.shape[:2])
        picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
