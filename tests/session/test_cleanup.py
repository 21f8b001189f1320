"""Clean-up of masks: what each action does to pixels, in px and mm, on a slice and through a volume; undone in one step."""

import numpy as np
import pytest
from fakes import FakeBackend

from lite_medsam.errors import PromptError
from lite_medsam.scans.geometry import Geometry
from lite_medsam.scans.scan import Scan
from lite_medsam.segment.predictor import Predictor
from lite_medsam.session.cleanup import CleanUp, Done, clean_up
from lite_medsam.session.interactive import Session
from lite_medsam.session.mask_shapes import fill_holes, grow, keep_largest, remove_islands, shrink, smooth


def mask_of(text):
    return np.array([[letter == "#" for letter in line] for line in text.split()])


def opened(masks, spacing_mm=None):
    """A session with these masks as painted objects: (H, W), or (D, H, W) with the empty slices left out."""
    shape = masks[0].shape
    geometry = Geometry.from_spacing(shape, spacing_mm)
    scan = Scan(np.zeros(shape, np.uint8), spacing_mm, None, geometry, "a", is_volume=len(shape) == 3)
    session = Session(Predictor(FakeBackend(64)), scan)
    for mask in masks:
        item = session.add_object()
        for z, part in enumerate(mask if mask.ndim == 3 else [mask]):
            for y in np.flatnonzero(part.any(1)):
                for x in np.flatnonzero(part[y]):
                    session.paint([[int(x), int(y)]], 0, True, z, item.id)
    return session


def seen(session, number=0, index=0):
    region = session.now.objects[number].region(index)
    return region.full()


def test_largest_part_islands_and_holes():
    mask = mask_of("##..... ##...#. ..#.... ....... ##.###. ...#.#. #..###.")
    assert keep_largest(mask).sum() == 8 and keep_largest(mask)[4, 3]
    assert not keep_largest(mask)[0, 0] and not keep_largest(np.zeros((3, 3), bool)).any()
    assert remove_islands(mask, 2).sum() == mask.sum() - 2 and remove_islands(mask, 1).sum() == mask.sum()
    assert remove_islands(mask, 1.0, (0.5, 0.5)).sum() == 13  # four pixels are 1 mm2
    filled = fill_holes(mask)
    assert filled[5, 4] and filled.sum() == mask.sum() + 1
    ring = np.pad(np.zeros((3, 3), bool), 1, constant_values=True)
    assert not fill_holes(ring, 8).all() and fill_holes(ring, 9).all() and fill_holes(ring, 2.25, (0.5, 0.5)).all()


def test_an_edge_of_the_picture_is_no_edge_of_an_object():
    half = np.zeros((20, 20), bool)
    half[:, :8] = True
    assert shrink(half, 2).sum() == 20 * 6 and grow(half, 2).sum() == 20 * 10
    assert smooth(half, 4).sum() == half.sum()


def test_a_radius_in_mm_follows_the_pixel_size_and_goes_through_slices():
    dot = np.zeros((7, 9, 9), bool)
    dot[3, 4, 4] = True
    inside_slices = grow(dot, 2)
    assert inside_slices[3].sum() == 13 and not inside_slices[[0, 1, 2, 4, 5, 6]].any()
    ball = grow(dot, 2, (2, 1, 0.5))
    assert ball[3, 4].sum() == 9 and ball[3, :, 4].sum() == 5 and ball[:, 4, 4].sum() == 3
    assert np.array_equal(
        shrink(grow(np.pad(np.ones((3, 5, 5), bool), 6), 2, (1, 1, 1)), 2, (1, 1, 1))[6:-6, 6:-6, 6:-6],
        np.ones((3, 5, 5), bool),
    )


def test_smoothing_takes_spikes_and_dents_and_keeps_the_size():
    rng = np.random.default_rng(0)
    y, x = np.ogrid[:80, :80]
    disc = (y - 40) ** 2 + (x - 40) ** 2 < 25**2
    ragged = disc ^ (rng.random(disc.shape) < 0.1) & grow(disc, 4)
    found = smooth(ragged, 5)
    assert (found ^ disc).sum() < 0.25 * (ragged ^ disc).sum() and abs(found.sum() / disc.sum() - 1) < 0.03


def test_a_clean_up_is_one_step_and_stays_under_a_new_click():
    mask = np.zeros((40, 50), bool)
    mask[5:20, 5:20] = True
    mask[30, 40] = True
    session = opened([mask])
    assert clean_up(session, CleanUp("islands", 5)) == Done((1,), ())
    assert seen(session).sum() == 225
    session.click(10, 10, True)
    assert not seen(session)[30, 40]  # what was cleaned away is like erased pixels
    session.undo()
    session.undo()
    assert seen(session).sum() == 226
    before = session.now
    assert (
        clean_up(session, CleanUp("islands", 1)) == Done((), ()) and session.now is before
    )  # nothing to do is no step


def test_what_would_vanish_is_spared_and_said():
    masks = [np.zeros((40, 50), bool) for _ in range(2)]
    masks[0][5:9, 5:9] = True
    masks[1][20:35, 20:35] = True
    session = opened(masks)
    assert clean_up(session, CleanUp("shrink", 3), every=True) == Done((2,), (1,))
    assert seen(session, 0).sum() == 16 and seen(session, 1).sum() == 81


def test_hidden_and_locked_objects_are_left_alone():
    masks = [np.zeros((40, 50), bool) for _ in range(3)]
    for k, mask in enumerate(masks):
        mask[10 * k + 1 : 10 * k + 6, 10:15] = True
    session = opened(masks)
    session.hide(True, session.now.objects[0].id)
    session.lock(True, session.now.objects[1].id)
    assert clean_up(session, CleanUp("grow", 1), every=True) == Done((3,), ())
    with pytest.raises(PromptError, match="locked"):
        clean_up(session, CleanUp("grow", 1), object_id=session.now.objects[1].id)


@pytest.mark.parametrize(("winner", "first", "second"), [("smaller", 0, 1), ("later", 2, 1), ("selected", 1, 0)])
def test_who_wins_where_objects_overlap(winner, first, second):
    masks = [np.zeros((30, 30), bool) for _ in range(3)]
    masks[0][0:4, 0:4] = True
    masks[1][2:7, 2:8] = True
    masks[2][3:11, 3:13] = True
    session = opened(masks)
    session.select(session.now.objects[1].id)
    everything = masks[0] | masks[1] | masks[2]
    clean_up(session, CleanUp("overlaps", winner=winner))
    found = [seen(session, k) for k in range(3)]
    assert sum(mask.astype(int) for mask in found).max() == 1 and np.array_equal(
        np.logical_or.reduce(found), everything
    )
    assert np.array_equal(found[first], masks[first])
    assert np.array_equal(found[second], masks[second] & ~masks[first])
    session.undo()
    assert all(np.array_equal(seen(session, k), masks[k]) for k in range(3))


def test_a_locked_object_keeps_what_another_claims():
    masks = [np.zeros((30, 30), bool) for _ in range(2)]
    masks[0][0:20, 0:20] = True
    masks[1][5:8, 5:8] = True
    masks[1][25, 25] = True
    session = opened(masks)
    session.lock(True, session.now.objects[0].id)
    assert clean_up(session, CleanUp("overlaps")) == Done((2,), ())
    assert seen(session, 0).sum() == 400 and seen(session, 1).sum() == 1


def test_through_a_volume():
    mask = np.zeros((6, 30, 30), bool)
    mask[1:5, 5:15, 5:15] = True
    mask[2, 8, 8] = False
    mask[2, 25, 25] = True  # an island on a slice of its own
    session = opened([mask], (2.0, 0.5, 0.5))
    assert clean_up(session, CleanUp("largest"), index=None) == Done((1,), ())
    assert not seen(session, 0, 2)[25, 25]
    clean_up(session, CleanUp("holes"), index=None)
    assert seen(session, 0, 2)[8, 8]
    clean_up(session, CleanUp("grow", 2.0, "mm"), index=None)
    item = session.now.objects[0]
    assert sorted(item.regions()) == [0, 1, 2, 3, 4, 5] and item.region(0).area_px == 100
    assert item.region(2).box == (1, 1, 18, 18)
    clean_up(session, CleanUp("shrink", 1), index=2)
    assert item.region(2).box == (1, 1, 18, 18) and session.now.objects[0].region(2).box == (2, 2, 17, 17)
    assert session.now.objects[0].region(3).box == (1, 1, 18, 18)


def test_mm_need_to_be_known():
    mask = np.zeros((30, 30), bool)
    mask[5:15, 5:15] = True
    session = opened([mask])
    with pytest.raises(
        PromptError, match="must know the size of a pixel, which this file does not say; type it in, or use px"
    ):
        clean_up(session, CleanUp("grow", 1, "mm"))
    volume = opened([np.stack([mask] * 3)], (0.5, 0.5))
    with pytest.raises(PromptError, match="the distance of the slices"):
        clean_up(volume, CleanUp("grow", 1, "mm"), index=None)
    assert clean_up(volume, CleanUp("grow", 1, "mm"), index=1) == Done((1,), ())
    assert volume.now.objects[0].region(1).box == (3, 3, 16, 16)


@pytest.mark.parametrize(
    "wrong",
    [
        {"action": "polish"},
        {"action": "grow"},
        {"action": "grow", "amount": 0},
        {"action": "smooth", "amount": -1},
        {"action": "islands", "amount": float("nan")},
        {"action": "shrink", "amount": 1e9},
        {"action": "holes", "unit": "inch"},
        {"action": "overlaps", "winner": "me"},
    ],
)
def test_what_cannot_be_done_is_refused(wrong):
    with pytest.raises(PromptError):
        CleanUp(**wrong)


def test_without_a_mask_there_is_nothing_to_clean():
    session = opened([np.zeros((30, 30), bool)])
    with pytest.raises(PromptError, match="got none here; draw a box first"):
        clean_up(session, CleanUp("largest"))
