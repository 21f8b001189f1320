"""The canvas of the CT and MR phantoms: slices in millimetres, with tissue codes and exact labels."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lite_medsam.phantoms.shapes import fill, largest_part, random_blob, spline
from lite_medsam.phantoms.texture import smooth_stack


@dataclass(eq=False)
class Slab:
    """What has been drawn so far.

    Attributes:
        rng: Source of randomness for every shape.
        z_mm: (D,) height of each slice.
        px_per_mm: Pixels per millimetre, in the slice.
        codes: Tissue name to code.
        tissue: (D, H, W) uint8 tissue codes.
        label: (D, H, W) uint8 labels, 0 background.
        centre: Where x = y = 0 mm lies, as fractions of width and height.
    """

    rng: np.random.Generator
    z_mm: np.ndarray
    px_per_mm: float
    codes: dict[str, int]
    tissue: np.ndarray
    label: np.ndarray
    centre: tuple[float, float] = (0.5, 0.5)

    @property
    def hw(self) -> tuple[int, int]:
        """Height and width of a slice."""
        return self.tissue.shape[1:]

    @property
    def slice_mm(self) -> float:
        """Distance between slices, 1 for a single one."""
        return abs(float(self.z_mm[1] - self.z_mm[0])) if len(self.z_mm) > 1 else 1.0

    def px(self, points_mm: np.ndarray) -> np.ndarray:
        """(..., 2) x, y in mm from the centre to pixels."""
        origin = (self.hw[1] * self.centre[0], self.hw[0] * self.centre[1])
        return np.asarray(points_mm) * self.px_per_mm + origin

    def mm(self, row: int, column: int) -> tuple[float, float]:
        """x, y in mm of a pixel."""
        x, y = (np.array([column, row]) - self.px(np.zeros(2))) / self.px_per_mm
        return float(x), float(y)

    def blob(
        self,
        centre_mm: tuple,
        radii_mm: tuple,
        angle: float = 0.0,
        roughness: float = 0.06,
        squareness: float = 0.0,
    ) -> np.ndarray:
        """(D, H, W) bool of an organic ellipsoid; x, y, z and their radii in mm, as in `random_blob`."""
        x, y = self.px(np.array(centre_mm[:2]))
        rx, ry = np.array(radii_mm[:2]) * self.px_per_mm
        shape = random_blob(self.rng, (x, y, centre_mm[2]), (rx, ry, radii_mm[2]), angle, roughness, squareness)
        return np.stack([shape.mask(self.hw, z) for z in self.z_mm])

    def loft(self, points_mm: np.ndarray, centre_z: float, radius_z: float) -> np.ndarray:
        """(D, H, W) bool of a spline outline that shrinks away from `centre_z`, towards its first point."""
        anchor = (points_mm[0] + points_mm.mean(0)) / 2
        planes = []
        for z in self.z_mm:
            scale = np.sqrt(max(1 - ((z - centre_z) / radius_z) ** 2, 0.0))
            outline = anchor + (points_mm - anchor) * scale
            planes.append(fill(self.hw, spline(self.px(outline))) if scale > 0.1 else np.zeros(self.hw, bool))
        return np.stack(planes)

    def each(self, operation: Callable, masks: np.ndarray, size_mm: float) -> np.ndarray:
        """(D, H, W) `dilate` or `erode` of every slice."""
        return np.stack([operation(plane, size_mm * self.px_per_mm) for plane in masks])

    def noise(self, scale_mm: float, z_scale_mm: float = 16.0) -> np.ndarray:
        """(D, H, W) float32 smooth noise, standard deviation about 1."""
        scale = scale_mm * self.px_per_mm
        return smooth_stack(self.rng, self.tissue.shape, (z_scale_mm / self.slice_mm, scale, scale))

    def paint(self, mask: np.ndarray, tissue: str, label: int | None = 0) -> None:
        """Sets tissue and label inside a mask; None keeps the labels that are there."""
        self.tissue[mask] = self.codes[tissue]
        if label is not None:
            self.label[mask] = label

    def keep_largest(self, value: int, fallback: str) -> None:
        """Turns all but the largest part of a label into unlabelled `fallback` tissue."""
        organ = self.label == value
        self.paint(organ & ~largest_part(organ), fallback)

    def renumber(self, names: dict[int, str]) -> dict[int, str]:
        """Closes gaps left by labels that do not occur, in place; returns the names that remain."""
        present = [value for value in names if (self.label == value).any()]
        table = np.zeros(256, self.label.dtype)
        table[present] = np.arange(1, len(present) + 1)
        self.label[...] = table[self.label]
        return {new: names[old] for new, old in enumerate(present, 1)}


def new_slab(
    rng: np.random.Generator,
    dhw: tuple[int, int, int],
    px_per_mm: float,
    tissues: tuple[str, ...],
    z_mm: np.ndarray,
) -> Slab:
    """An empty slab, all of it the first of `tissues`."""
    codes = {name: code for code, name in enumerate(tissues)}
    return Slab(rng, z_mm, px_per_mm, codes, np.zeros(dhw, np.uint8), np.zeros(dhw, np.uint8))


def slice_heights(depth: int, span_mm: float, level_mm: float) -> np.ndarray:
    """(D,) heights in mm, the first slice highest; a single slice lies at `level_mm`, a slab around 0."""
    return (np.arange(depth) - (depth - 1) / 2) * -span_mm / depth + (level_mm if depth == 1 else 0.0)
