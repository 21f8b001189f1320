"""Seeded synthetic cases with exact ground truth: samples for `make segment`, the demo, tests and notebooks.

Each modality is a file that draws anatomy as masks first and renders the picture from them, so that the label
is exact by construction. Nothing here was copied from or fitted to real images; the pictures look like their
modality and are no substitute for it: never report a score on phantoms as accuracy.

- ct: CT: an axial slice, or a slab, through the upper abdomen in the portal venous phase, soft-tissue window
- dermoscopy: Dermoscopy: a pigmented lesion on skin, with pigment network, globules, hairs and a vignette
- endoscopy: Colonoscopy: a view down the folded colon with a polyp on its wall, in the processor's octagonal window
- fluid: Fluid in the retina for the OCT phantoms: cystoid oedema inside it, and a subretinal dome below it
- fundus: Colour fundus photograph: optic disc and cup, branching vessels, macula, exudates and haemorrhages
- mammography: Mammogram: an oblique view with pectoral muscle or a frontal one, glandular tissue and a dense mass
- microscopy: Microscopy: 40 to 80 cell nuclei as instances, in an H&E-stained section or under fluorescence
- mr: MR: an axial slice, or a slab, through a brain with a tumour, as T1 with contrast, T2 or FLAIR
- oct: Retinal OCT: a macular B-scan, or a slab of them, as a spectral-domain scanner shows it
- pet: FDG PET: a frontal maximum-intensity projection with hot lesions beside the organs that are always hot
- scene: Scenes of no modality: shapes x textures x contrast drawn at random, to train on
- shapes: Organic outlines and the drawing result that every modality returns
- slab: The canvas of the CT and MR phantoms: slices in millimetres, with tissue codes and exact labels
- texture: Random textures that the phantoms share: band-limited noise and multi-look speckle
- ultrasound: Ultrasound: breast tissue with a hypoechoic mass or a cyst, from a linear or a curved probe
- vendor_files: A phantom as a Heidelberg .vol file, by the published layout of that export
- xray: Chest film: the shadows that lungs, ribs, clavicles, heart, spine and diaphragm cast on one another
"""

import zlib
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from lite_medsam.cases.case import Case
from lite_medsam.phantoms import (
    ct,
    dermoscopy,
    endoscopy,
    fundus,
    mammography,
    microscopy,
    mr,
    oct,
    pet,
    scene,
    ultrasound,
    xray,
)
from lite_medsam.phantoms.shapes import Drawing, boxes_of

__all__ = ["KINDS", "MIN_SIDE_PX", "VOLUME_KINDS", "bundled_cases", "make_phantom", "make_phantom_volume"]

MIN_SIDE_PX = 96  # below this, lesions and layers have no room


class _Kind(NamedTuple):
    """A kind of phantom: its modality, how it is drawn, and the size when none is asked for."""

    modality: str | None
    draw: Callable[[np.random.Generator, Any], Drawing]  # of the shape in pixels, of two axes or three
    size: tuple[int, ...]


_VOLUMES = {
    "ct": _Kind("CT", ct.draw, (24, 256, 256)),
    "mr": _Kind("MR", mr.draw, (24, 256, 256)),
    "oct-healthy": _Kind("OCT", partial(oct.draw, "healthy"), (25, 248, 384)),
    "oct-cme": _Kind("OCT", partial(oct.draw, "cme"), (25, 248, 384)),
    "oct-srf": _Kind("OCT", partial(oct.draw, "srf"), (25, 248, 384)),
}


def _middle_slice(draw: Callable) -> Callable:
    """Draws a volume of one slice and returns it as a picture."""

    def draw_2d(rng: np.random.Generator, hw: tuple[int, int]) -> Drawing:
        drawn = draw(rng, (1, *hw))
        return Drawing(drawn.image[0], drawn.label[0], drawn.names, drawn.spacing_mm[1:])

    return draw_2d


_PICTURES = {
    "oct-healthy": _Kind("OCT", _middle_slice(partial(oct.draw, "healthy")), (496, 768)),
    "oct-cme": _Kind("OCT", _middle_slice(partial(oct.draw, "cme")), (496, 768)),
    "oct-srf": _Kind("OCT", _middle_slice(partial(oct.draw, "srf")), (496, 768)),
    "ct": _Kind("CT", _middle_slice(ct.draw), (512, 512)),
    "mr": _Kind("MR", _middle_slice(mr.draw), (512, 512)),
    "us": _Kind("US", ultrasound.draw, (512, 512)),
    "fundus": _Kind("Fundus", fundus.draw, (640, 640)),
    "fundus-vessels": _Kind("Fundus", fundus.draw_vessels, (640, 640)),
    "xray": _Kind("XRay", xray.draw, (512, 512)),
    "microscopy": _Kind("Microscopy", microscopy.draw, (512, 512)),
    "dermoscopy": _Kind("Dermoscopy", dermoscopy.draw, (512, 640)),
    "endoscopy": _Kind("Endoscopy", endoscopy.draw, (480, 560)),
    "mammography": _Kind("Mammography", mammography.draw, (640, 448)),
    "pet": _Kind("PET", pet.draw, (640, 320)),
}
# for training, not among the kinds that stand for a modality
_SCENES = {"scene": _Kind(None, scene.draw, (384, 384))}
KINDS = tuple(_PICTURES)
VOLUME_KINDS = tuple(_VOLUMES)
# (kind, seed): one per modality, and two OCT; the seeds were chosen by looking at the pictures.
_BUNDLED = (
    ("oct-cme", 0), ("oct-srf", 0), ("ct", 0), ("mr", 1), ("us", 2), ("fundus", 0), ("xray", 0),
    ("microscopy", 1), ("dermoscopy", 1), ("endoscopy", 3), ("mammography", 0), ("pet", 2),
)  # fmt: skip


def make_phantom(kind: str, seed: int = 0, size_hw: tuple[int, int] | None = None) -> Case:
    """A synthetic picture with exact labels.

    The same arguments give the same case; another platform or OpenCV may round a few pixels differently.

    Args:
        kind: One of `KINDS`; or "scene", things of no modality to train on.
        seed: Non-negative; varies anatomy, pathology, contrast and noise.
        size_hw: (H, W), each at least `MIN_SIDE_PX`; None for the kind's usual size.

    Returns:
        A case with `image`, `label` (values 1 .. N), `label_names`, `boxes` (the N tight boxes in the order
        of the values), `modality`, `group`, and `spacing_mm` where the modality has a physical pixel size.

    Raises:
        ValueError: If the kind is unknown, or seed or size are not as described.
    """
    return _make(_PICTURES | _SCENES, "2D", kind, seed, size_hw)


def make_phantom_volume(kind: str, seed: int = 0, size_dhw: tuple[int, int, int] | None = None) -> Case:
    """A synthetic volume with exact labels, as `make_phantom`; anatomy changes smoothly from slice to slice.

    The field of view does not depend on the size: more slices are thinner ones. The first slice of "ct" and
    "mr" is the highest; "oct-..." slices are B-scans through the macula.

    Args:
        kind: One of `VOLUME_KINDS`.
        seed: Non-negative.
        size_dhw: (D, H, W), D at least 3; None for the kind's usual size.

    Returns:
        A case with `is_volume`, `boxes` (N, 6) and `spacing_mm` (z, y, x).

    Raises:
        ValueError: If the kind is unknown, or seed or size are not as described.
    """
    return _make(_VOLUMES, "3D", kind, seed, size_dhw)


def bundled_cases() -> list[Case]:
    """The fixed small set, one 2D case per modality and two of OCT, in a fixed order."""
    return [make_phantom(kind, seed) for kind, seed in _BUNDLED]


def _make(kinds: dict[str, _Kind], dims: str, kind: str, seed: int, size: tuple[int, ...] | None) -> Case:
    if kind not in kinds:
        raise ValueError(f"kind must be one of {', '.join(kinds)}, got {kind!r}")
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ValueError(f"seed must be a non-negative integer, got {seed!r}")
    modality, draw, usual_size = kinds[kind]
    size = usual_size if size is None else _checked_size(size, len(usual_size))
    # never hash(): it differs from run to run. Kinds that share a picture share its randomness.
    picture = kind.removesuffix("-vessels")
    drawn = draw(np.random.default_rng([int(seed), zlib.crc32(picture.encode())]), size)
    return Case(
        image=drawn.image,
        label=drawn.label,
        boxes=boxes_of(drawn.label),
        spacing_mm=drawn.spacing_mm,
        name=f"{dims}_{modality}_{kind}-{seed:04d}" if modality else f"{kind}-{seed:04d}",
        modality=modality,
        group=f"phantom-{kind}-{seed}",
        is_volume=dims == "3D",
        label_names=drawn.names,
    )


def _checked_size(size: tuple[int, ...], count: int) -> tuple[int, ...]:
    """The size as a tuple of ints."""
    wanted = "(H, W)" if count == 2 else "(D, H, W), D at least 3,"
    try:
        numbers = tuple(int(n) for n in size)
    except (TypeError, ValueError):
        numbers = ()
    if len(numbers) != count or min(numbers[-2:]) < MIN_SIDE_PX or (count == 3 and numbers[0] < 3):
        raise ValueError(f"size must be {wanted} with sides of at least {MIN_SIDE_PX} pixels, got {size!r}")
    return numbers
