import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lite_medsam.model.preprocessing import Frame, logits_to_window
from lite_medsam.segment.compact_logits import MARGIN, CompactLogits
from lite_medsam.segment.pasting import mask_part, mask_place, support
from lite_medsam.segment.prediction import Prediction


def disc(side, x, y, radius):
    rows, columns = np.mgrid[:side, :side]
    return (radius - np.hypot(columns - x, rows - y)).astype(np.float32)


@settings(max_examples=80, deadline=None)
@given(
    st.integers(3, 700), st.integers(3, 700), st.floats(0, 63), st.floats(0, 63), st.floats(0.3, 40),
    st.sampled_from([(64, "pad"), (64, "stretch"), (128, "pad")]),
)  # fmt: skip
def test_the_part_is_the_whole_where_it_lies(height, width, x, y, radius, kind):
    size, fit = kind
    frame = Frame(7, 11, width, height, size, fit=fit)
    logits = disc(64, x, y, radius)
    whole = logits_to_window(logits, frame)
    (rows, columns), part = mask_part(logits, frame, 0.0)
    rest = whole.copy()
    if part.size:
        inner = slice(rows.start - 11, rows.stop - 11), slice(columns.start - 7, columns.stop - 7)
        np.testing.assert_allclose(part, whole[inner], atol=1e-4)
        rest[inner] = -1
    assert (rest <= 0).all()
    assert mask_place(logits, frame, 0.0) == (rows, columns)


def test_a_small_mask_costs_little_of_a_large_image():
    _, part = mask_part(disc(256, 100, 60, 5), Frame(0, 0, 4096, 4096, 256), 0.0)
    assert part.size < 300 * 300


def test_support_by_hand():
    logits = np.full((6, 8), -1.0)
    logits[2, 3] = logits[4, 6] = 1
    logits[0, 0] = 0  # at the threshold is not above it
    assert support(logits, 0.0) == (2, 3, 4, 6)
    assert support(logits, 1.0) is None


def test_compact_maps_give_the_same_masks_and_little_memory():
    rng = np.random.default_rng(0)
    maps = np.stack([disc(64, *rng.uniform(0, 64, 2), rng.uniform(-2, 9)) for _ in range(40)])
    compact = CompactLogits(40, 64, 0.0)
    for i, logits in enumerate(maps):
        compact[i] = logits
    assert len(compact) == 40 and compact.shape == maps.shape and compact.nbytes < maps.nbytes / 2
    frames = tuple(Frame(int(x), 5, 200, 180, 64) for x in rng.integers(0, 90, 40))
    rest = np.zeros(40, np.float32), frames, (190, 300), 0.0, (None,) * 40
    small, full = Prediction(compact, *rest), Prediction(maps, *rest)
    np.testing.assert_array_equal(small.masks(), full.masks())
    for overlap in ("best", "first", "last"):
        np.testing.assert_array_equal(small.label_map(overlap), full.label_map(overlap))
    near = slice(21 - MARGIN, 40 + MARGIN)  # logits of 0 on the circle are not above the threshold
    compact[0] = disc(64, 30, 30, 10)
    np.testing.assert_array_equal(compact[0][near, near], disc(64, 30, 30, 10)[near, near])
    np.testing.assert_array_equal(np.asarray(compact)[3], compact[3])


def test_an_empty_mask_stays_empty():
    compact = CompactLogits(1, 8, 0.0)
    compact[0] = np.full((8, 8), -2.0, np.float32)
    prediction = Prediction(compact, np.zeros(1), (Frame(0, 0, 20, 10, 8),), (10, 20), 0.0, (None,))
    assert not prediction.mask(0).any() and prediction.mask_part(0)[1].shape == (0, 0)
    assert prediction.image_logits(0).max() == pytest.approx(-2)
