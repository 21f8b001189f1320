"""Small pictures of the samples, for the page that has nothing open: by specialty, with the box that is worth a try."""

import base64
from functools import lru_cache

import cv2
import numpy as np

from lite_medsam.images.intensity import to_uint8
from lite_medsam.phantoms import make_phantom, make_phantom_volume

CARD_HW = (120, 160)
# name of the sample, specialty, what is seen; kind and seed of the phantom; the object that the dotted box is around.
# The first is one that succeeds at once: the mask covers the lesion but for its edge.
_CARDS = (
    ("2D_US_us-0002", "Breast imaging", "ultrasound", "us", 2, 1),
    ("2D_OCT_oct-cme-0000", "Ophthalmology", "OCT with oedema", "oct-cme", 0, 1),
    ("2D_Fundus_fundus-0000", "Ophthalmology", "fundus photograph", "fundus", 0, 1),
    ("3D_ct", "Radiology", "CT, 24 slices", "ct", None, 4),
    ("2D_MR_mr-0001", "Neurology", "MR with tumour", "mr", 1, 1),
    ("2D_XRay_xray-0000", "Chest", "X-ray", "xray", 0, 1),
    ("2D_Microscopy_microscopy-0001", "Pathology", "nuclei", "microscopy", 1, 2),
    ("2D_Dermoscopy_dermoscopy-0001", "Dermatology", "dermoscopy", "dermoscopy", 1, 1),
)


@lru_cache(maxsize=1)
def sample_cards() -> tuple[dict, ...]:
    """For each card: name of the sample, specialty, title, picture as a data URL (JPEG), and of the first the box to try."""
    cards = []
    for i, (name, specialty, title, kind, seed, value) in enumerate(_CARDS):
        image, inside, slice_index = _seen(kind, seed, value)
        ys, xs = np.nonzero(inside)
        box = [int(xs.min()), int(ys.min()), int(xs.max()), int(ys.max())]
        card = {
            "name": name,
            "specialty": specialty,
            "title": title,
            "picture": _picture(image, box if i == 0 else None),
        }
        cards.append(card | ({"box": box, "slice": slice_index} if i == 0 else {}))
    return tuple(cards)


def _seen(kind: str, seed: int | None, value: int) -> tuple[np.ndarray, np.ndarray, int]:
    """A picture, or the slice of a volume that opens first, as uint8; where the object is on it; which slice."""
    case = make_phantom_volume(kind) if seed is None else make_phantom(kind, seed)
    assert case.label is not None
    if case.is_volume:
        middle = len(case.image) // 2
        return to_uint8(case.image[middle]), np.asarray(case.label[middle] == value), middle
    return to_uint8(case.image), np.asarray(case.label == value), 0


def _picture(image: np.ndarray, box: list[int] | None) -> str:
    """The middle of a picture in the shape of a card, with a dotted box."""
    shown = np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image.copy()
    scale = max(CARD_HW[0] / shown.shape[0], CARD_HW[1] / shown.shape[1])
    size = (max(CARD_HW[1], round(shown.shape[1] * scale)), max(CARD_HW[0], round(shown.shape[0] * scale)))
    shown = np.ascontiguousarray(cv2.resize(shown, size, interpolation=cv2.INTER_AREA))
    if box is not None:
        x0, y0, x1, y1 = (round(v * scale) for v in box)
        for x in range(x0, x1 + 1, 6):
            _dots(shown, [(x, y0), (x, y1)])
        for y in range(y0, y1 + 1, 6):
            _dots(shown, [(x0, y), (x1, y)])
    top, left = (size[1] - CARD_HW[0]) // 2, (size[0] - CARD_HW[1]) // 2
    cut = shown[top : top + CARD_HW[0], left : left + CARD_HW[1]]
    _, data = cv2.imencode(".jpg", cut[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 82])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()


def _dots(image: np.ndarray, places: list[tuple[int, int]]) -> None:
    for place in places:
        cv2.circle(image, place, 2, (0, 0, 0), -1)
        cv2.circle(image, place, 1, (255, 200, 0), -1)


def _cards(desk, seat, request: dict) -> dict:
    return {"cards": list(sample_cards())}


SAMPLE_OPERATIONS = {"cards": _cards}
