"""Outlines: masks come back from them exactly, whatever their shape."""

import numpy as np
import PIL
import pytest
from PIL import Image, ImageDraw
from scipy import ndimage

from lite_medsam.images.outlines import border_contours, edge_outlines, fill_contours, fill_outlines

# older ones leave out pixels of thin polygons
EXACT_PILLOW = tuple(map(int, PIL.__version__.split(".")[:2])) >= (11, 3)


def masks():
    rng = np.random.default_rng(3)
    for number in range(150):
        shape = rng.integers(1, 26, 2)
        field = ndimage.gaussian_filter(rng.random(shape), (0, 0.7, 1.5)[number % 3])
        yield field > np.quantile(field, rng.random())


def doubled_area(ring):
    x, y = ring.T
    return abs((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())


def test_masks_come_back_from_outlines_along_edges():
    for mask in masks():
        parts = edge_outlines(mask)
        rings = [ring for part in parts for ring in (part.outer, *part.holes)]
        assert np.array_equal(fill_outlines(rings, mask.shape), mask)
        assert len(parts) == ndimage.label(mask)[1]
        area = sum(doubled_area(p.outer) - sum(map(doubled_area, p.holes)) for p in parts) / 2
        assert area == mask.sum()
        assert all(len({*map(tuple, ring.tolist())}) == len(ring) for ring in rings)


def test_masks_without_holes_come_back_from_contours_as_opencv_and_pillow_fill_them():
    solid = [mask for mask in masks() if not any(part.holes for part in border_contours(mask))]
    assert len(solid) > 40
    for mask in solid:
        rings = [part.outer for part in border_contours(mask)]
        assert np.array_equal(fill_contours(rings, mask.shape), mask)
        if not EXACT_PILLOW:
            continue
        picture = Image.new("L", mask.shape[::-1])
        for ring in rings:
            corners = [tuple(corner) for corner in np.resize(ring, (max(3, len(ring)), 2)).tolist()]
            ImageDraw.Draw(picture).polygon(corners, fill=1, outline=1)
        assert np.array_equal(np.array(picture) > 0, mask)


def test_a_ring_by_hand():
    mask = np.ones((3, 3), bool)
    mask[1, 1] = False
    (part,) = edge_outlines(mask)
    assert {*map(tuple, part.outer.tolist())} == {(-0.5, -0.5), (2.5, -0.5), (2.5, 2.5), (-0.5, 2.5)}
    (hole,) = part.holes
    assert {*map(tuple, hole.tolist())} == {(0.5, 0.5), (1.5, 0.5), (1.5, 1.5), (0.5, 1.5)}
    (contour,) = border_contours(mask)
    assert {*map(tuple, contour.outer.tolist())} == {(0, 0), (2, 0), (2, 2), (0, 2)} and len(contour.holes) == 1


@pytest.mark.parametrize("find", [edge_outlines, border_contours])
def test_an_empty_mask_has_none(find):
    assert find(np.zeros((4, 5), bool)) == []
