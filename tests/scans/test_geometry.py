"""Voxel coordinates of a file and display coordinates: the ways between them over all orientations."""

import itertools

import numpy as np
import pytest

from lite_medsam.scans.geometry import PLANES, Geometry, orient

hypothesis = pytest.importorskip("hypothesis")
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

ORIENTATIONS = [
    np.column_stack([axes, signs])
    for axes in itertools.permutations(range(3))
    for signs in itertools.product((-1, 1), repeat=3)
]
SHAPES = st.tuples(*[st.integers(1, 7)] * 3)


def geometry_of(orientation, shape, plane="auto", spacing=(1.0, 1.0, 1.0)):
    axes, flipped, name = orient(orientation, shape, np.array(spacing), plane)
    return Geometry(np.eye(4), shape, axes, flipped, plane=name)


def marked(shape, ijk):
    voxels = np.zeros(shape, np.int16)
    voxels[tuple(ijk)] = 1
    return voxels


@pytest.mark.parametrize("orientation", ORIENTATIONS, ids=str)
@pytest.mark.parametrize("plane", ["auto", *PLANES])
def test_a_voxel_is_where_its_array_says(orientation, plane):
    """The mapping of coordinates against the mapping of arrays, for each of the 48 orientations."""
    shape = (3, 4, 5)
    geometry = geometry_of(orientation, shape, plane)
    for ijk in ((0, 0, 0), (2, 3, 4), (1, 3, 0), (2, 0, 3)):
        x, y, z = geometry.to_display(np.array(ijk)).astype(int)
        assert geometry.from_file(marked(shape, ijk))[z, y, x] == 1
        assert geometry.to_voxel(np.array([x, y, z])).tolist() == list(ijk)
        index = geometry.slice_to_display(ijk[geometry.axes[0]])
        assert index == z and geometry.slice_to_display(index) == ijk[geometry.axes[0]]
    box = np.array([0, 1, 2, 1, 3, 4])
    filled = np.zeros(shape, bool)
    filled[0:2, 1:4, 2:5] = True
    x0, y0, z0, x1, y1, z1 = geometry.box_to_display(box).astype(int)
    shown = np.zeros(geometry.shape, bool)
    shown[z0 : z1 + 1, y0 : y1 + 1, x0 : x1 + 1] = True
    assert np.array_equal(shown, geometry.from_file(filled))


@pytest.mark.parametrize("orientation", ORIENTATIONS, ids=str)
def test_cutting_along_another_axis_shows_the_plane_as_radiology_does(orientation):
    shape = (3, 4, 5)
    natural = geometry_of(orientation, shape)
    for axis in range(3):
        turned = natural.across(axis)
        world = int(orientation[axis, 0])
        plane = {2: "axial", 1: "coronal", 0: "sagittal"}[world]
        direct = geometry_of(orientation, shape, plane)
        assert turned.axes == direct.axes and turned.flipped == direct.flipped and turned.plane == plane
        assert turned.across(natural.axes[0]).axes == natural.axes


def test_without_directions_the_order_of_the_file_is_kept():
    geometry = geometry_of(np.full((3, 2), np.nan), (3, 4, 5))
    assert geometry.is_file_order and geometry.plane is None
    assert geometry.across(0).axes == (0, 2, 1) and not any(geometry.across(0).flipped)


@settings(deadline=None, max_examples=200)
@given(
    st.sampled_from(ORIENTATIONS), SHAPES, st.sampled_from([*PLANES, "auto"]),
    st.lists(st.floats(-50, 50, allow_nan=False), min_size=6, max_size=6),
)  # fmt: skip
def test_round_trips(orientation, shape, plane, numbers):
    geometry = geometry_of(orientation, shape, plane)
    points = np.array(numbers).reshape(2, 3)
    assert np.allclose(geometry.to_voxel(geometry.to_display(points)), points, atol=1e-9)
    assert np.allclose(geometry.to_display(geometry.to_voxel(points)), points, atol=1e-9)
    box = np.concatenate([points.min(0), points.max(0)])
    there = geometry.box_to_display(box)
    assert (there[:3] <= there[3:]).all() and np.allclose(geometry.box_to_voxel(there), box, atol=1e-9)
    assert np.allclose(np.prod(there[3:] - there[:3]), np.prod(box[3:] - box[:3]))
    reversed_box = np.concatenate([box[3:], box[:3]])
    back = geometry.box_to_display(reversed_box)
    assert (back[:3] >= back[3:]).all()
    voxels = np.arange(np.prod(shape)).reshape(shape)
    assert np.array_equal(geometry.uncut(geometry.cut(voxels)), voxels)


@settings(deadline=None, max_examples=50)
@given(st.sampled_from(ORIENTATIONS), SHAPES, st.sampled_from([*PLANES]))
def test_a_picture_of_a_slice_turns_with_it(orientation, shape, plane):
    geometry = geometry_of(orientation, shape, plane)
    voxels = np.arange(np.prod(shape)).reshape(shape)
    axis = geometry.axes[0]
    for index in range(shape[axis]):
        picture = voxels.take(index, axis).T  # rows along the later axis of the file, columns along the earlier one
        assert np.array_equal(
            geometry.picture_to_display(picture), geometry.from_file(voxels)[geometry.slice_to_display(index)]
        )
