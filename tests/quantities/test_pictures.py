"""Maps seen from the front: turned as the fundus picture, whatever way the B-scans run."""

import numpy as np
import pytest

from lite_medsam.quantities.grid import fundus_directions
from lite_medsam.quantities.pictures import coloured, turned_en_face


def test_maps_are_turned_as_the_fundus_picture(grid):
    values = np.arange(6.0).reshape(2, 3)  # B-scan 0: 0 1 2, B-scan 1: 3 4 5
    below = turned_en_face(
        values, grid((2, 4, 3), (100.0, 4.0, 10.0), (0.0, 2.0), to_fundus=fundus_directions("inferior"))
    )
    assert below.values.tolist() == [[3, 4, 5], [0, 1, 2]] and below.fovea_yx == (1, 2) and below.step_yx == (100, 10)
    above = turned_en_face(
        values, grid((2, 4, 3), (100.0, 4.0, 10.0), (0.0, 2.0), to_fundus=fundus_directions("superior"))
    )
    assert above.values.tolist() == values.tolist() and above.fovea_yx == (0, 2)


def test_b_scans_that_run_upwards(grid):
    lines = np.array([[[10, 90], [10, 20]], [[80, 90], [80, 20]]], float)  # A-scans upwards, B-scans to the right
    there = grid((2, 4, 3), (100.0, 4.0, 10.0), (0.0, 2.0), to_fundus=fundus_directions(None, lines))
    turned = turned_en_face(np.arange(6.0).reshape(2, 3), there)
    assert turned.values.tolist() == [[2, 5], [1, 4], [0, 3]]
    assert turned.values[tuple(int(v) for v in turned.fovea_yx)] == 2 and turned.step_yx == (10, 100)


def test_what_was_not_measured_is_grey():
    picture = coloured(np.array([[0.0, np.nan, 1.0]]), (0.0, 1.0))
    assert picture.shape == (1, 3, 3) and len(set(picture[0, 1].tolist())) == 1
    assert picture[0, 0].tolist() != picture[0, 2].tolist()
    with pytest.raises(KeyError):
        coloured(np.zeros((1, 1)), (0, 1), "jet")
