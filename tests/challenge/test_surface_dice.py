"""The challenge's NSD: its published inflation, MONAI's marching cubes on the same slab, and its gate."""

import warnings

import numpy as np
import pytest

from lite_medsam.challenge.surface_dice import challenge_nsd
from lite_medsam.evaluation.metrics import dice, surface_dice


def disc(radius: int, shift: int = 0, side: int = 260) -> np.ndarray:
    y, x = np.mgrid[:side, :side]
    return (y - side // 2) ** 2 + (x - side // 2 - shift) ** 2 <= radius**2


# measured with the challenge's own script, and with MONAI and surface-distance for the contour
@pytest.mark.parametrize(
    ("radius", "shift", "overlap", "challenge", "contour"),
    [(60, 4, 0.958, 0.987, 0.375), (100, 20, 0.873, 0.893, 0.096), (8, 4, 0.685, 0.901, 0.409)],
)
def test_a_shifted_disc_has_the_challenges_number_and_not_the_contours(radius, shift, overlap, challenge, contour):
    truth, moved = disc(radius), disc(radius, shift)
    assert dice(truth, moved) == pytest.approx(overlap, abs=5e-4)
    assert challenge_nsd(truth, moved) == pytest.approx(challenge, abs=5e-4)
    assert surface_dice(truth, moved, 2) == pytest.approx(contour, abs=5e-4)


def test_two_pixels_by_hand():
    # one pixel has four corner cells of area c; its neighbour's are one further: two cells of each at distance 0, two at 1
    truth, moved = np.zeros((5, 6), bool), np.zeros((5, 6), bool)
    truth[2, 2:4] = True
    moved[2, 3:5] = True
    corner, edge = np.sqrt(3) / 8, np.sqrt(0.5)
    total = 4 * corner + 2 * edge  # a row of two pixels: corners at the ends, an edge cell above and below the middle
    assert challenge_nsd(truth, moved, 1) == 1
    assert challenge_nsd(truth, moved, 0) == pytest.approx(1 - 2 * corner / total)


@pytest.mark.parametrize("tolerance", [1.0, 2.0])
@pytest.mark.parametrize("seed", range(4))
def test_monai_agrees_on_the_slab(seed, tolerance):
    torch, metrics = pytest.importorskip("torch"), pytest.importorskip("monai.metrics")
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(seed)
    truth = gaussian_filter(rng.normal(size=(50, 61)), 3) > 0
    other = np.roll(truth, 2, axis=seed % 2) ^ (rng.random(truth.shape) < 0.03)
    first, second = (torch.tensor(mask[None, None, :, :, None].astype(np.float32)) for mask in (truth, other))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = metrics.compute_surface_dice(
            second, first, [tolerance], include_background=True, use_subvoxels=True, spacing=(1, 1, 1)
        )
    assert challenge_nsd(truth, other, tolerance) == pytest.approx(float(expected), abs=1e-6)


def test_nothing_counts_at_a_dice_of_a_fifth():
    truth, other = np.zeros((1, 20), bool), np.zeros((1, 20), bool)
    truth[0, :10] = True
    other[0, 8:18] = True  # 2 of 10: Dice 0.2
    assert dice(truth, other) == pytest.approx(0.2) and challenge_nsd(truth, other, 20) == 0
    other[0, 7] = True
    assert challenge_nsd(truth, other, 20) == 1


def test_empty_masks_and_volumes():
    nothing, one = np.zeros((4, 4), bool), np.eye(4, dtype=bool)
    assert np.isnan(challenge_nsd(nothing, nothing))
    assert challenge_nsd(one, nothing) == challenge_nsd(nothing, one) == 0
    assert challenge_nsd(one, one) == 1
    with pytest.raises(ValueError, match=r"must be \(H, W\)"):
        challenge_nsd(np.ones((2, 3, 4), bool), np.ones((2, 3, 4), bool))
