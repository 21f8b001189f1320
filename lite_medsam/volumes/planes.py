"""The three planes of a volume: pictures, masks and prompts across its slices, its rows and its columns."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from lite_medsam.prompts.prompt_object import Prompt
from lite_medsam.scans.geometry import Geometry
from lite_medsam.segment.predictor import Predictor
from lite_medsam.segment.region import Region
from lite_medsam.volumes.propagation import VolumeObject, propagate

_LONG = 1.2  # pixels that are longer one way than the other by more than this are made square for the model
_MOST = 16.0


@dataclass(frozen=True)
class Plane:
    """One way to look at a (D, H, W) array.

    Attributes:
        name: "axial", "coronal", "sagittal"; "B-scan", "en face", "across B-scans"; else "slices", "rows", "columns".
        axis: Of the array, which its pictures lie across.
        rows: Axis that runs down its pictures.
        columns: Axis that runs across them.
        upside_down: Whether rows run against the array.
        mirrored: Whether columns do.
    """

    name: str
    axis: int
    rows: int
    columns: int
    upside_down: bool = False
    mirrored: bool = False

    def turned(self, volume: np.ndarray) -> np.ndarray:
        """All pictures of the plane of a (D, H, W) or (D, H, W, 3) array; a view."""
        order = (self.axis, self.rows, self.columns, *range(3, volume.ndim))
        return volume.transpose(order)[:, :: self._down, :: self._across]

    def picture(self, volume: np.ndarray, index: int) -> np.ndarray:
        """The picture at an index along the axis of the array; a view."""
        return self.turned(volume)[index]

    def unturned(self, pictures: np.ndarray) -> np.ndarray:
        """Pictures (N, rows, columns) of the plane back in the order of the array; a view, the way back of `turned`."""
        return pictures[:, :: self._down, :: self._across].transpose(np.argsort((self.axis, self.rows, self.columns)))

    def shape_hw(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """(H, W) of its pictures of an array of this shape."""
        return shape[self.rows], shape[self.columns]

    def region(self, regions: Mapping[int, Region], index: int, shape: tuple[int, int, int]) -> Region:
        """An object on a picture of this plane.

        Args:
            regions: Its masks by slice.
            index: Along the axis.
            shape: (D, H, W).
        """
        if self.axis == 0:
            return regions.get(index) or Region.of(np.zeros(shape[1:], bool))
        cut = np.zeros((shape[0], shape[3 - self.axis]), bool)
        for z, region in regions.items():
            height, width = region.inside.shape
            if self.axis == 1 and region.y0 <= index < region.y0 + height:
                cut[z, region.x0 : region.x0 + width] = region.inside[index - region.y0]
            elif self.axis == 2 and region.x0 <= index < region.x0 + width:
                cut[z, region.y0 : region.y0 + height] = region.inside[:, index - region.x0]
        return Region.of(self._oriented(cut))

    def drawn(
        self, regions: Mapping[int, Region], index: int, mask: np.ndarray, image_hw: tuple[int, int]
    ) -> dict[int, Region]:
        """The masks of an object by slice after its mask on one picture of this plane was replaced.

        Args:
            regions: Its masks by slice.
            index: Along the axis, which is not that of the slices.
            mask: (rows, columns) bool of the picture.
            image_hw: (H, W) of a slice.
        """
        found = dict(regions)
        for z, wanted in enumerate(self._oriented(mask, back=True)):
            old = regions.get(z)
            if old is None and not wanted.any():
                continue
            full = np.zeros(image_hw, bool) if old is None else old.full()
            line = full[index] if self.axis == 1 else full[:, index]
            if not np.array_equal(line, wanted):
                line[:] = wanted
                found[z] = Region.of(full)
        return {z: region for z, region in sorted(found.items()) if region.area_px}

    def _oriented(self, cut: np.ndarray, back: bool = False) -> np.ndarray:
        """A cut in the order of the array's axes as a picture of the plane, or the way back."""
        turns = self.rows > self.columns
        if back:
            cut = cut[:: self._down, :: self._across]
            return cut.T if turns else cut
        return (cut.T if turns else cut)[:: self._down, :: self._across]

    @property
    def _down(self) -> int:
        return -1 if self.upside_down else 1

    @property
    def _across(self) -> int:
        return -1 if self.mirrored else 1


def planes_of(geometry: Geometry, modality: str | None = None) -> tuple[Plane, Plane, Plane]:
    """The planes of a volume, that of its slices first, turned as radiology shows them; OCT with depth downwards.

    Args:
        geometry: Of the volume.
        modality: What it was made with.
    """
    if modality == "OCT":
        return Plane("B-scan", 0, 1, 2), Plane("en face", 1, 0, 2), Plane("across B-scans", 2, 1, 0)
    found = [Plane(geometry.plane or "slices", 0, 1, 2)]
    for axis, name in ((1, "rows"), (2, "columns")):
        turned = geometry.across(geometry.axes[axis])
        rows, columns = (geometry.axes.index(turned.axes[k]) for k in (1, 2))
        flips = [turned.flipped[k] != geometry.flipped[own] for k, own in ((1, rows), (2, columns))]
        found.append(Plane(turned.plane or name, axis, rows, columns, flips[0], flips[1]))
    return found[0], found[1], found[2]


@dataclass(frozen=True)
class Squared:
    """A picture of long pixels with square ones, as the model knows pictures, and the way back.

    Attributes:
        down: New rows for each row.
        across: New columns for each column.
    """

    down: float = 1.0
    across: float = 1.0

    @classmethod
    def of(cls, plane: Plane, spacing_mm: tuple[float, ...] | None) -> "Squared":
        """For the pictures of a plane.

        Args:
            plane: The plane.
            spacing_mm: (z, y, x); nothing is changed where that is not known.
        """
        if spacing_mm is None or len(spacing_mm) != 3:
            return cls()
        high, wide = spacing_mm[plane.rows], spacing_mm[plane.columns]
        ratio = min(_MOST, max(high / wide, wide / high))
        if ratio < _LONG:
            return cls()
        return cls(down=ratio) if high > wide else cls(across=ratio)

    def picture(self, picture: np.ndarray) -> np.ndarray:
        """The picture with square pixels; between its rows and columns, linear."""
        height, width = picture.shape[:2]
        size = round(width * self.across), round(height * self.down)
        kind = cv2.INTER_NEAREST_EXACT if picture.dtype == bool else cv2.INTER_LINEAR
        shown = cv2.resize(np.ascontiguousarray(picture).view(np.uint8), size, interpolation=kind)
        return shown.astype(bool) if picture.dtype == bool else shown

    def mask(self, mask: np.ndarray, image_hw: tuple[int, int]) -> np.ndarray:
        """A mask of the new picture on the pixels of the old one: what lies at the middle of each."""
        rows, columns = (
            np.minimum(((np.arange(count) + 0.5) * have / count).astype(int), have - 1)
            for count, have in zip(image_hw, mask.shape, strict=True)
        )
        return mask[np.ix_(rows, columns)]

    def box(self, box: tuple[float, ...]) -> tuple[float, float, float, float]:
        """A box, last pixel inside, on the new picture."""
        x0, y0, x1, y1 = box
        return x0 * self.across, y0 * self.down, (x1 + 1) * self.across - 1, (y1 + 1) * self.down - 1

    def point(self, x: float, y: float) -> tuple[float, float]:
        """The middle of a pixel on the new picture."""
        return (x + 0.5) * self.across - 0.5, (y + 0.5) * self.down - 0.5


def follow_across(
    predictor: Predictor,
    volume: np.ndarray,
    plane: Plane,
    squared: Squared,
    seeds: list[dict[int, np.ndarray]],
    targets: list[str | None],
    on_slice: Callable[[int, int], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> list[dict[int, np.ndarray]]:
    """Follows objects from masks on pictures of a plane into its other pictures.

    Args:
        predictor: The model.
        volume: (D, H, W) or (D, H, W, 3) uint8.
        plane: The plane.
        squared: How its pictures are shown to the model.
        seeds: For each object its settled masks (rows, columns), by index along the axis of the plane.
        targets: What each is.
        on_slice: Called with pictures done, and how many there are at most.
        stop: Asked before each picture.

    Returns:
        For each object its masks (rows, columns) by index, settled ones unchanged.
    """
    turned = plane.turned(volume)
    image_hw = turned.shape[1:3]
    shown = np.stack([squared.picture(picture) for picture in turned])
    asked = [
        VolumeObject({i: Prompt(mask=squared.picture(mask), final=True) for i, mask in given.items()}, target=target)
        for given, target in zip(seeds, targets, strict=True)
    ]
    found = propagate(predictor, shown, asked, on_slice=on_slice, stop=stop)
    masks: list[dict[int, np.ndarray]] = []
    for number, given in enumerate(seeds):
        own = dict(given)
        for i, piece in found.found[number].items():
            if i not in own:
                full = np.zeros(shown.shape[1:3], bool)
                full[piece.window] = piece.strength > 0
                own[i] = squared.mask(full, image_hw)
        masks.append(own)
    return masks
