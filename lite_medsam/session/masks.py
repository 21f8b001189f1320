"""The masks of a session as one array of bits, with places in JSON."""

from typing import Any

import numpy as np

from lite_medsam.segment.region import Region
from lite_medsam.storage.strict_json import Checker


class PackedMasks:
    """Masks on their way out: a mask that several things share is packed once."""

    def __init__(self) -> None:
        self._pieces: list[np.ndarray] = []
        self._places: dict[int, dict] = {}
        self._kept: list[Region] = []  # so that no id is used twice
        self._bytes = 0

    def put(self, region: Region) -> dict:
        """Packs a mask: {"at": first byte, "x", "y", "w", "h"} of the rectangle whose pixels lie there row by row."""
        if id(region) not in self._places:
            height, width = region.inside.shape
            place = {"at": self._bytes, "x": int(region.x0), "y": int(region.y0), "w": int(width), "h": int(height)}
            bits = np.packbits(region.inside.ravel())
            self._pieces.append(bits)
            self._kept.append(region)
            self._bytes += len(bits)
            self._places[id(region)] = place
        return self._places[id(region)]

    @property
    def nbytes(self) -> int:
        """Bytes of all of them."""
        return self._bytes

    def array(self) -> np.ndarray:
        """All of them, uint8."""
        return np.concatenate([np.zeros(0, np.uint8), *self._pieces])


class UnpackedMasks:
    """Masks on their way in.

    Args:
        check: Names the document in messages.
        packed: What `PackedMasks.array` gave.
        image_hw: (H, W) of the picture that they are for.
    """

    def __init__(self, check: Checker, packed: Any, image_hw: tuple[int, int]):
        if not isinstance(packed, np.ndarray) or packed.dtype != np.uint8 or packed.ndim != 1:
            raise check.fail("masks", "be a row of bytes (uint8)")
        self._check, self._packed, self._image_hw = check, packed, image_hw
        self._found: dict[tuple[int, ...], Region] = {}

    def get(self, item: Any, place: str, image_hw: tuple[int, int] | None = None) -> Region:
        """The mask of a place.

        Args:
            item: What `put` gave.
            place: Where it was named, for messages.
            image_hw: Of its picture, where that is another one.

        Raises:
            The checker's error: If it does not lie in the picture or the bytes.
        """
        check, (height, width) = self._check, image_hw or self._image_hw
        item = check.mapping(item, place, ("at", "x", "y", "w", "h"))
        x = check.integer(item["x"], f"{place}.x", 0, width)
        y = check.integer(item["y"], f"{place}.y", 0, height)
        w = check.integer(item["w"], f"{place}.w", 0, width - x)
        h = check.integer(item["h"], f"{place}.h", 0, height - y)
        at = check.integer(item["at"], f"{place}.at", 0, max(0, len(self._packed) - -(-w * h // 8)))
        key = at, x, y, w, h, height, width
        if key not in self._found:
            bits = np.unpackbits(self._packed[at : at + -(-w * h // 8)], count=w * h)
            if len(bits) != w * h:
                raise check.fail(place, "lie within the masks")
            # cut anew: whatever the bytes say, a region's rectangle fits its mask
            mask = Region(x, y, bits.reshape(h, w).astype(bool), (height, width)).full()
            self._found[key] = Region.of(mask)
        return self._found[key]
