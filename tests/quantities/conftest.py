"""Grids of analytic shapes: sizes are known without the code that is tested."""

import numpy as np
import pytest

from lite_medsam.quantities.grid import EyeGrid
from lite_medsam.scans.scale import Step


def make_grid(shape, um, fovea=None, laterality=None, to_fundus=None) -> EyeGrid:
    """A grid of three step sizes in um, None for unknown ones."""
    names = ("B-scans", "depth", "A-scans")
    steps = tuple(Step(n, size, None if size is None else "user") for n, size in zip(names, um, strict=True))
    middle = ((shape[0] - 1) / 2, (shape[2] - 1) / 2)
    return EyeGrid(shape, steps, fovea or middle, "user", laterality, to_fundus)


@pytest.fixture
def grid():
    return make_grid


@pytest.fixture
def ellipsoid():
    """A function: (D, H, W) bool, the ellipsoid of semi-axes in um about a voxel."""

    def make(shape, um, centre, radii_um):
        axes = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
        parts = [((a - c) * s / r) ** 2 for a, c, s, r in zip(axes, centre, um, radii_um, strict=True)]
        return sum(parts) <= 1

    return make
