"""Numbers that mark where nothing was measured never squeeze the grey values; pictures without them come out as ever."""

import numpy as np
import pytest

from lite_medsam.images.intensity import stretch_to_uint8, to_uint8
from lite_medsam.images.no_data import no_data_values, without_ground
from lite_medsam.phantoms import make_phantom_volume

Y, X = np.mgrid[:120, :140]
OUTSIDE = (X - 70) ** 2 + (Y - 60) ** 2 > 58**2
SCENE = np.where(((X - 70) / 30) ** 2 + ((Y - 60) / 20) ** 2 <= 1, 170, 60) + np.random.default_rng(0).normal(
    0, 6, X.shape
)


def before(array):
    """The mapping as it was without any rule for marks."""
    low, high = np.percentile(array, (0.5, 99.5), method="inverted_cdf")
    low, high = (array.min(), array.max()) if low == high else (low, high)
    return np.rint(np.clip((array.astype(float) - low) / (float(high) - low), 0, 1) * 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("dtype", "mark", "dark"),
    [
        (np.int16, -32768, True), (np.int16, 32767, False), (np.int16, -9999, True), (np.int16, -5000, True),
        (np.uint16, 65535, False), (np.int32, -9999, True), (np.int32, 10**6, True), (np.int32, 30000, False),
        (np.float32, -9999, True), (np.float32, 1e6, True), (np.float32, -3.4028235e38, True), (np.float32, 1e20, True),
        (np.float64, -32768, True), (np.float64, 99999, True), (np.int64, -(2**31), True), (np.float32, -999, True),
    ],
)  # fmt: skip
@pytest.mark.parametrize("share", ["disc", "one percent"])
def test_a_far_ground_keeps_the_contrast(dtype, mark, dark, share):
    where = OUTSIDE if share == "disc" else np.arange(X.size).reshape(X.shape) % 97 == 0
    scale = 1.0 if mark == -999 else 4.0
    values = (SCENE * scale).astype(dtype)
    values[where] = mark
    shown = stretch_to_uint8(values)
    expected = before(values[~where])
    if dtype == np.int32 or dtype == np.int64 or dtype in (np.float32, np.float64):
        assert np.abs(shown[~where].astype(int) - expected).max() <= 1
    else:
        assert np.array_equal(shown[~where], expected)
    assert (shown[where] == (0 if dark else 255)).all()
    assert np.array_equal(to_uint8(values), shown)
    cleaned, count, note = without_ground(values)
    if not dark:  # saturated values stay, and are bright
        assert cleaned is values and count == 0 and note is None
        return
    assert f"{mark:g}" in note and count == where.sum() and cleaned.dtype == dtype
    assert cleaned.min() == values[~where].min() and np.array_equal(cleaned[~where], values[~where])
    assert (cleaned[where] == cleaned.min()).all() and np.array_equal(stretch_to_uint8(cleaned, padded=count), shown)


def test_both_ends_at_once_and_eight_bit_values():
    values = (SCENE * 4).astype(np.int16)
    values[OUTSIDE], values[:, :9] = -32768, 32767
    inside = ~OUTSIDE & (X >= 9)
    assert np.ptp(stretch_to_uint8(values)[inside].astype(int)) > 200 and set(no_data_values(values)) == {-32768, 32767}
    whole = np.rint(SCENE).clip(0, 255)
    whole[OUTSIDE] = -9999  # 8-bit values in a wide type are kept as they are
    shown = stretch_to_uint8(whole.astype(np.float32))
    assert np.array_equal(shown[~OUTSIDE], whole[~OUTSIDE].astype(np.uint8)) and not shown[OUTSIDE].any()


@pytest.mark.parametrize(
    "values",
    [
        np.where(OUTSIDE, 0, SCENE * 4), np.where(OUTSIDE, 0, 1000 + SCENE), np.where(OUTSIDE, 0, 60000 + SCENE),
        np.where(OUTSIDE, -1024, SCENE * 4 - 500), np.where(OUTSIDE, 65535, SCENE * 200), np.where(OUTSIDE, 4095, SCENE * 16),
        np.where(OUTSIDE, -100, SCENE), np.where(OUTSIDE, 1000, 2000), np.where(OUTSIDE, -5000, 7.0), SCENE * 100 - 9999,
        np.where((X == 3) & (Y < 60), -32768, SCENE * 4),
    ],
    ids=["zero", "zero, far", "zero, very far", "air", "white", "12 bit white", "near", "two values", "two far values",
         "offset", "few"],
)  # fmt: skip
def test_pictures_without_marks_come_out_as_before(values):
    for dtype in (np.int32, np.float64):
        array = np.rint(values).astype(dtype)
        assert no_data_values(array) == {} and without_ground(array)[0] is array
        assert np.array_equal(stretch_to_uint8(array), before(array))


def test_phantoms_and_eight_bits_are_left_alone():
    for kind in ("ct", "mr", "oct-cme"):
        volume = make_phantom_volume(kind, 1, (4, 96, 96)).image
        assert stretch_to_uint8(volume) is volume and no_data_values(volume) == {}
        for dtype, factor, offset in ((np.int16, 7, -1000), (np.uint16, 200, 0), (np.float32, 0.01, -1)):
            wide = (volume * float(factor) + offset).astype(dtype)
            assert np.array_equal(stretch_to_uint8(wide), before(wide)) or dtype == np.float32
            assert no_data_values(wide) == {}
    for values in ([], [5], [5, 5], [-9999, -9999], [-9999, 1]):
        assert no_data_values(np.array(values, np.int16)) == {}


def test_transparent_pixels_and_volumes():
    values = (np.stack([SCENE, SCENE * 1.1]) * 4).astype(np.int16)
    values[:, OUTSIDE] = -32768
    assert np.array_equal(stretch_to_uint8(values).reshape(-1, 140), stretch_to_uint8(values.reshape(-1, 140)))
    picture = np.dstack([np.where(OUTSIDE, 65535, SCENE * 4), np.full(X.shape, 65535)]).astype(np.uint16)
    assert np.ptp(to_uint8(picture)[~OUTSIDE].astype(int)) > 200


def test_a_large_picture_of_a_wide_type():
    large = np.tile((SCENE * 4).astype(np.float32), (10, 12))
    large[:, :700] = -9999
    assert list(no_data_values(large)) == [-9999] and np.ptp(stretch_to_uint8(large)[:, 700:].astype(int)) == 255
