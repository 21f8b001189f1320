"""Objects followed through a volume, with a backend that finds what is bright inside the box."""

import numpy as np
import pytest
from fakes import FakeBackend

from lite_medsam.cases.case import Case
from lite_medsam.errors import CaseError, PromptError
from lite_medsam.model.spec import Zoom
from lite_medsam.phantoms import make_phantom_volume
from lite_medsam.prompts.prompt_set import Prompt
from lite_medsam.segment.predictor import Predictor
from lite_medsam.volumes.paths import UP, Look, between, grown, look_of, paths_of, why_different
from lite_medsam.volumes.prediction import SliceMask
from lite_medsam.volumes.propagation import (
    PropagationLimits,
    VolumeObject,
    VolumePrediction,
    propagate,
    seeds_from_boxes,
)

HW = (64, 64)  # the model frame of the fake: one image pixel is one model pixel


class BrightBackend(FakeBackend):
    """The object is what is bright inside the box; `scores` by slice can be set."""

    score = 0.9

    def __init__(self, prompts=None):
        super().__init__(64, zoom=Zoom(enabled=False), prompts=prompts)

    def decode(self, features, coords, labels, previous, has_previous):
        box, scores = super().decode(features, coords, labels, previous, has_previous)
        bright = np.repeat(features[0], len(coords) // len(features[0]), axis=0) * 8 - 4
        return np.minimum(box, bright), np.full_like(scores, self.score)


@pytest.fixture
def backend():
    return BrightBackend()


@pytest.fixture
def predictor(backend):
    return Predictor(backend, zoom="off")


def squares(places, depth, side=12):
    """A dark volume with a bright square at (x, y) on each slice that has one, and the exact masks."""
    truth = np.zeros((depth, *HW), bool)
    for z, (x, y) in places.items():
        truth[z, y : y + side, x : x + side] = True
    volume = truth.astype(np.uint8) * np.uint8(255)
    volume[:, -1, -1] = np.arange(depth)  # no slice is the one before once more
    return volume, truth


def box_of(x, y, side=12):
    return Prompt(box=(x, y, x + side - 1, y + side - 1))


def test_a_moving_object_is_followed_both_ways_to_its_ends(predictor):
    volume, truth = squares({z: (10 + z, 20) for z in range(3, 12)}, 16)
    result = propagate(predictor, volume, [VolumeObject({7: box_of(17, 20)}, "block")])
    assert np.array_equal(result.mask(0), truth)
    assert np.array_equal(result.label_map(), truth.astype(np.uint8))
    assert result.extent(0) == (3, 11) and result.ends == (((3, "empty"), (11, "empty")),)
    assert result.names == ("block",) and not result.stopped
    found = np.flatnonzero(np.isfinite(result.scores[0]))
    assert found.tolist() == list(range(3, 12)) and np.allclose(result.scores[0, found], 0.9)


def test_an_object_that_ended_is_not_found_again(predictor):
    volume, _ = squares({z: (20, 20) for z in (2, 3, 4, 8, 9)}, 12)
    result = propagate(predictor, volume, [VolumeObject({3: box_of(20, 20)})])
    assert result.extent(0) == (2, 4)
    assert not result.mask(0)[5:].any()


def test_the_first_and_last_slice_of_a_range_are_inside(predictor):
    volume, truth = squares({z: (20, 20) for z in range(10)}, 10)
    result = propagate(predictor, volume, [VolumeObject({5: box_of(20, 20)}, z_range=(4, 6))])
    assert result.extent(0) == (4, 6) and result.ends == (((4, "limit"), (6, "limit")),)
    assert np.array_equal(result.mask(0)[4:7], truth[4:7])
    whole = propagate(predictor, volume, [VolumeObject({5: box_of(20, 20)})])
    assert whole.extent(0) == (0, 9) and whole.ends == (((0, "end of volume"), (9, "end of volume")),)


@pytest.mark.parametrize("z_range", [None, (0, 0)])
def test_a_volume_of_one_slice(predictor, z_range):
    volume, truth = squares({0: (20, 20)}, 1)
    result = propagate(predictor, volume, [VolumeObject({0: box_of(20, 20)}, z_range=z_range)])
    assert np.array_equal(result.mask(0), truth)


def test_an_object_of_one_slice(predictor, backend):
    volume, truth = squares({z: (20, 20) for z in range(5)}, 5)
    result = propagate(predictor, volume, [VolumeObject({2: box_of(20, 20)}, z_range=(2, 2))])
    assert result.extent(0) == (2, 2) and np.array_equal(result.mask(0)[2], truth[2])
    assert len(backend.encoded) == 1


def test_each_slice_is_encoded_once_for_all_objects_from_one_slice(predictor, backend):
    volume, truth = squares({z: (10, 10) for z in range(9)}, 9)
    volume[:, 40:50, 40:50] = 200
    seeds = [VolumeObject({4: box_of(10, 10)}), VolumeObject({4: box_of(40, 40, 10)})]
    result = propagate(predictor, volume, seeds)
    assert len(backend.encoded) == 9
    assert sum(len(coords) for coords, *_ in backend.decoded) == 2 * 9
    assert np.array_equal(result.mask(0), truth)
    assert (result.label_map()[:, 40:50, 40:50] == 2).all()


def test_objects_from_different_slices_encode_a_slice_at_most_twice(predictor, backend):
    volume, _ = squares({z: (10, 10) for z in range(9)}, 9)
    volume[:, 40:50, 40:50] = 200
    propagate(predictor, volume, [VolumeObject({1: box_of(10, 10)}), VolumeObject({7: box_of(40, 40, 10)})])
    # up: 1 to 8, down: 6 to 0
    assert len(backend.encoded) == 8 + 7
    assert sum(len(coords) for coords, *_ in backend.decoded) == 2 * 9


def test_a_low_score_ends_the_object_and_says_so(predictor, backend):
    volume, _ = squares({z: (20, 20) for z in range(6)}, 6)
    backend.score = 0.1
    result = propagate(predictor, volume, [VolumeObject({2: box_of(20, 20)})])
    assert result.extent(0) == (2, 2)  # what the user asked for is kept whatever its score
    assert [end.why for end in result.ends[0]] == ["score", "score"]
    assert np.isfinite(result.scores[0]).tolist() == [False, True, True, True, False, False]


def test_a_leak_ends_the_object(predictor):
    volume, truth = squares({z: (20, 20) for z in range(8)}, 8)
    volume[5:, 10:60, 10:60] = 255
    limits = PropagationLimits(margin_px=20, maximum_growth=2)
    result = propagate(predictor, volume, [VolumeObject({2: box_of(20, 20)})], limits=limits)
    assert result.extent(0) == (0, 4) and result.ends == (((0, "end of volume"), (4, "area")),)
    assert np.array_equal(result.mask(0)[:5], truth[:5])


def test_an_object_that_no_longer_stands_out_has_ended(predictor):
    volume, _ = squares({z: (20, 20) for z in range(5)}, 9)
    volume[5:, 8:56, 8:56] = 255  # all is bright around it
    result = propagate(predictor, volume, [VolumeObject({2: box_of(20, 20)})])
    assert result.extent(0) == (0, 4) and result.ends == (((0, "end of volume"), (4, "contrast")),)
    blind = PropagationLimits(relative_contrast=-np.inf, relative_strength=0)
    assert propagate(predictor, volume, [VolumeObject({2: box_of(20, 20)})], limits=blind).extent(0) == (0, 8)


@pytest.mark.parametrize(
    ("look", "before", "reason"),
    [
        (Look(0.9, 100, 50), Look(0.9, 100, 50), None),
        (Look(0.73, 60, 20), Look(0.9, 100, 50), None),  # just within all limits
        (Look(0.71, 100, 50), Look(0.9, 100, 50), "score"),
        (Look(0.29, 100, 50), Look(0.3, 100, 50), "score"),
        (Look(0.9, 59, 50), Look(0.9, 100, 50), "strength"),
        (Look(0.9, 100, 19), Look(0.9, 100, 50), "contrast"),
        (Look(0.9, 100, -50), Look(0.9, 100, 50), "contrast"),
        (Look(0.9, 100, -30), Look(0.9, 100, -50), None),  # dark objects count alike
        (Look(0.9, 100, -50), Look(0.9, 100, 3), None),  # it never stood out, so its contrast says nothing
    ],
)
def test_what_tells_that_it_is_not_the_object_any_more(look, before, reason):
    limits = PropagationLimits(minimum_score=0.3, relative_score=0.8, relative_strength=0.6, relative_contrast=0.4)
    assert why_different(look, before, limits) == reason


def test_the_look_of_an_object_by_hand():
    image = np.full((40, 40), 50, np.uint8)
    image[10:20, 10:30] = 90
    image[20:, :] = 200  # touches the object below: 4 rows of the surroundings, of their 18 x 34 pixels
    inside = np.zeros((40, 40), bool)
    inside[10:20, 10:30] = True
    mask = SliceMask.cut(inside, np.full((40, 40), 2, np.float32), (0, 0), 0.5)
    look = look_of(mask, image)
    ring = 18 * 34 - 200
    outside = (200 * 4 * 34 + 50 * (ring - 4 * 34)) / ring
    assert look == Look(0.5, 50, pytest.approx(90 - outside))
    assert look_of(mask, np.repeat(image[..., None], 3, 2)) == look
    assert look_of(SliceMask.cut(np.ones((4, 4), bool), None, (0, 0), 1), np.ones((4, 4), np.uint8)).contrast == 0


def test_bounds_cut_the_mask_and_the_box(predictor):
    volume, _ = squares({z: (20, 20) for z in range(5)}, 5)
    volume[3:, 20:32, 20:60] = 255
    result = propagate(predictor, volume, seeds_from_boxes([[20, 20, 0, 31, 31, 4]]))
    assert result.mask(0).any((0, 1)).nonzero()[0].tolist() == list(range(20, 32))
    assert result.mask(0)[4, 20:32, 20:32].all()


def test_between_two_prompts_the_object_is_found_where_following_would_lose_it(predictor):
    # it moves four pixels a slice, faster than the box of the slice before is enlarged
    volume, truth = squares({z: (4 + 4 * z, 20) for z in range(11)}, 11)
    one = propagate(predictor, volume, [VolumeObject({0: box_of(4, 20)})])
    two = propagate(predictor, volume, [VolumeObject({0: box_of(4, 20), 10: box_of(44, 20)})])
    assert one.mask(0).sum() < truth.sum() / 2
    overlap = 2 * (two.mask(0) & truth).sum() / (two.mask(0).sum() + truth.sum())
    assert overlap > 0.9
    assert two.extent(0) == (0, 10)


def test_a_mask_alone_is_the_answer_and_its_neighbours_follow_from_it(predictor, backend):
    volume, truth = squares({z: (20, 20) for z in range(7)}, 7)
    drawn = np.zeros(HW, bool)
    drawn[24:30, 24:30] = True
    result = propagate(predictor, volume, [VolumeObject({3: Prompt(mask=drawn)})])
    assert np.array_equal(result.mask(0)[3], drawn)
    assert result.scores[0, 3] == 1
    assert all(len(coords) == 1 for coords, *_ in backend.decoded) and len(backend.decoded) == 6
    assert truth[4][result.mask(0)[4]].all() and result.mask(0)[4].sum() > drawn.sum()


def test_an_empty_mask_says_that_the_object_is_not_there(predictor):
    volume, truth = squares({z: (20, 20) for z in range(9)}, 9)
    seeds = [VolumeObject({2: box_of(20, 20), 6: Prompt(mask=np.zeros(HW, bool))})]
    result = propagate(predictor, volume, seeds)
    assert result.extent(0) == (0, 5) and np.array_equal(result.mask(0)[:6], truth[:6])
    upwards = propagate(predictor, volume, [VolumeObject({6: box_of(20, 20), 2: Prompt(mask=np.zeros(HW, bool))})])
    assert upwards.extent(0) == (3, 8)


def test_stop_returns_what_is_finished(predictor):
    volume, truth = squares({z: (20, 20) for z in range(10)}, 10)
    done = []
    result = propagate(
        predictor,
        volume,
        [VolumeObject({4: box_of(20, 20)})],
        on_slice=lambda *counts: done.append(counts),
        stop=lambda: len(done) == 3,
    )
    assert result.stopped and done == [(1, 10), (2, 10), (3, 10)]
    assert result.extent(0) == (4, 6) and np.array_equal(result.mask(0)[4:7], truth[4:7])
    assert [end.why for end in result.ends[0]] == ["stopped", "stopped"]


def test_progress_reaches_the_total_also_when_objects_end_early(predictor):
    volume, _ = squares({4: (20, 20)}, 10)
    counts = []
    propagate(predictor, volume, [VolumeObject({4: box_of(20, 20)})], on_slice=lambda *c: counts.append(c))
    assert [done for done, _ in counts] == list(range(1, 11)) and {total for _, total in counts} == {10}


def test_no_objects_give_an_empty_answer(predictor):
    result = propagate(predictor, np.zeros((3, *HW), np.uint8), [])
    assert len(result) == 0 and not result.label_map().any() and result.scores.shape == (0, 3)


def test_volumes_in_colour(predictor):
    volume, truth = squares({z: (20, 20) for z in range(4)}, 4)
    result = propagate(predictor, np.repeat(volume[..., None], 3, 3), [VolumeObject({1: box_of(20, 20)})])
    assert np.array_equal(result.mask(0), truth)


def test_the_volume_and_the_prompts_are_not_changed(predictor):
    volume, _ = squares({z: (20, 20) for z in range(4)}, 4)
    before, seed = volume.copy(), VolumeObject({1: box_of(20, 20)})
    first = propagate(predictor, volume, [seed]).label_map()
    assert np.array_equal(volume, before) and list(seed.prompts) == [1]
    assert np.array_equal(propagate(predictor, volume, [seed]).label_map(), first)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (VolumeObject({}), "object 1 must have a prompt on one slice at least"),
        (VolumeObject({5: Prompt(box=(1, 1, 5, 5))}), "object 1: prompts must lie on slices 0 to 4, got slice 5"),
        (VolumeObject({-1: Prompt(box=(1, 1, 5, 5))}), "got slice -1"),
        (VolumeObject({True: Prompt(box=(1, 1, 5, 5))}), "got slice True"),
        (VolumeObject({1: (1, 1, 5, 5)}), "object 1, slice 1: must be a Prompt, got tuple"),
        (VolumeObject({1: Prompt(box=(90, 1, 95, 5))}), "object 1, slice 1: box must overlap the image"),
        (VolumeObject({1: Prompt()}), "object 1, slice 1: a prompt must have a box"),
        (VolumeObject({1: Prompt(mask=np.zeros((3, 3), bool))}), "mask must have the slice's shape"),
        (VolumeObject({1: Prompt(box=(1, 1, 5, 5))}, z_range=(2, 4)), "within its slices 2 to 4, got slice 1"),
        (VolumeObject({1: Prompt(box=(1, 1, 5, 5))}, z_range=(2, 1)), "z_range must be first <= last"),
        (VolumeObject({1: Prompt(box=(1, 1, 5, 5))}, z_range=(7, 9)), "z_range must be first <= last"),
        (VolumeObject({1: Prompt(box=(1, 1, 5, 5))}, z_range="a"), "z_range must be the first and the last"),
        (Prompt(box=(1, 1, 5, 5)), "object 1 must be a VolumeObject, got Prompt"),
    ],
)
def test_wrong_objects_are_refused(predictor, item, message):
    with pytest.raises(PromptError) as error:
        propagate(predictor, np.zeros((5, *HW), np.uint8), [item])
    assert message in str(error.value) and "\n" not in str(error.value)


def test_prompts_that_the_model_does_not_know_are_refused_before_any_work():
    backend = BrightBackend(prompts=("box",))
    click = VolumeObject({1: Prompt(points=[[5, 5]], point_labels=[1])})
    with pytest.raises(PromptError, match=r"object 1, slice 1: prompts must be of the kinds .* \(box\), got points"):
        propagate(Predictor(backend), np.zeros((3, *HW), np.uint8), [click])
    assert not backend.encoded


@pytest.mark.parametrize("volume", [np.zeros(HW, np.uint8), np.zeros((3, *HW)), np.zeros((0, 4, 4), np.uint8), None])
def test_wrong_volumes_are_refused(predictor, volume):
    with pytest.raises(CaseError, match="volume must be"):
        propagate(predictor, volume, [])


def test_objects_of_3d_boxes_start_in_the_middle_of_a_closed_interval():
    objects = seeds_from_boxes([[1, 2, 3, 11, 12, 8], [0, 0, 4, 5, 5, 4]], ["a", None])
    assert [list(item.prompts) for item in objects] == [[5], [4]]
    assert [item.z_range for item in objects] == [(3, 8), (4, 4)]
    assert objects[0].prompts[5].box == objects[0].bounds == (1, 2, 11, 12)
    assert [item.name for item in objects] == ["a", None]
    assert seeds_from_boxes(np.zeros((0, 6))) == []


@pytest.mark.parametrize(
    ("boxes", "names", "message"),
    [
        ([[1, 2, 3, 4]], None, r"boxes must be \(N, 6\)"),
        ([[1, 2, 5, 4, 5, 3]], None, "box 1 must be finite"),
        ([[1, 2, 3, 4, 5, np.nan]], None, "box 1 must be finite"),
        ([[1, 2, 3, 4, 5, 6]], ["a", "b"], "names must be one for each"),
    ],
)
def test_wrong_3d_boxes_are_refused(boxes, names, message):
    with pytest.raises(PromptError, match=message):
        seeds_from_boxes(boxes, names)


def test_a_case_is_segmented_from_its_own_boxes(predictor):
    volume, truth = squares({z: (20, 20) for z in range(1, 4)}, 5)
    case = Case(volume, boxes=np.array([[20, 20, 1, 31, 31, 3]], np.float32), is_volume=True, label_names={1: "block"})
    result = propagate(predictor, case.image, seeds_from_boxes(case.boxes, ["block"]))
    assert np.array_equal(result.label_map(), truth.astype(np.uint8)) and result.names == ("block",)


def cut(inside, logits=None):
    return SliceMask.cut(inside, logits, (0, 0), 0.5)


def test_a_slice_mask_keeps_the_mask_exactly_whatever_the_logits():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 20, (30, 40)).astype(np.float32)
    logits[rng.random((30, 40)) < 0.5] *= 1e-6
    inside = logits > 0
    mask = SliceMask.cut(inside, logits, (7, 3), 0.5)
    full = np.zeros((40, 60), bool)
    full[mask.window] = mask.strength > 0
    assert np.array_equal(full[3:33, 7:47], inside) and full.sum() == inside.sum() == mask.area_px
    empty = cut(np.zeros((4, 4), bool))
    assert empty.area_px == 0 and empty.box is None


def test_a_voxel_that_two_objects_claim_goes_to_the_higher_logit_and_masks_keep_both():
    inside = np.zeros((2, 8, 8), bool)
    inside[0, 1:5, 1:5], inside[1, 3:7, 3:7] = True, True
    weak, strong = np.full((8, 8), 1, np.float32), np.full((8, 8), 2, np.float32)
    found = ({0: cut(inside[0], weak)}, {0: cut(inside[1], strong)})
    result = VolumePrediction((1, 8, 8), found, np.zeros((2, 1), np.float32), (None, None))
    labels = result.label_map()
    assert (labels[0][inside[1]] == 2).all() and (labels[0][inside[0] & ~inside[1]] == 1).all()
    assert np.array_equal(result.mask(0)[0], inside[0])
    assert np.array_equal(result.slice_masks(0), inside)
    tied = VolumePrediction((1, 8, 8), (found[0], {0: cut(inside[1], weak)}), result.scores, (None, None))
    assert (tied.label_map()[0][inside[0]] == 1).all()


@pytest.mark.parametrize(("count", "dtype"), [(255, np.uint8), (256, np.uint16), (65536, np.uint32)])
def test_the_label_type_holds_all_objects(count, dtype):
    found = (*[{}] * (count - 1), {0: cut(np.ones((1, 1), bool))})
    labels = VolumePrediction((1, 1, 1), found, np.zeros((count, 1), np.float32), (None,) * count).label_map()
    assert labels.dtype == dtype and labels.item() == count


def test_paths_visit_every_slice_of_the_range_once():
    item = VolumeObject({3: Prompt(box=(0, 0, 1, 1)), 7: Prompt(box=(0, 0, 1, 1))}, z_range=(1, 9))
    paths = paths_of(item, 20)
    assert sorted(z for path in paths for z in path.slices) == list(range(1, 10))
    assert [(path.direction, list(path.slices)) for path in paths] == [
        (UP, [3, 7]),
        (UP, [8, 9]),
        (-UP, [2, 1]),
        (-UP, [6, 5, 4]),
    ]


def test_a_grown_box_stays_in_the_image_and_the_bounds():
    limits = PropagationLimits(margin=0.1, margin_px=1)
    assert grown((10, 20, 19, 29), limits, HW) == (8, 18, 21, 31)
    assert grown((0, 0, 63, 63), limits, HW) == (0, 0, 63, 63)
    assert grown((10, 20, 19, 29), limits, HW, (10, 19, 20, 29)) == (10, 19, 20, 29)


def test_between_two_slices_a_disc_grows_evenly():
    y, x = np.mgrid[:64, :64]
    small, large = (cut((x - 32) ** 2 + (y - 32) ** 2 <= r * r) for r in (6, 18))
    assert between(small, large, 0.5) == (20, 20, 44, 44)  # radius 12
    assert between(small, large, 0.0) == (26, 26, 38, 38)
    apart = cut((x - 55) ** 2 + (y - 32) ** 2 <= 4), cut((x - 5) ** 2 + (y - 32) ** 2 <= 4)
    assert between(*apart, 0.5) == (28, 30, 32, 34)
    empty = cut(np.zeros(HW, bool))
    assert between(empty, large, 0.5) == large.box and between(None, empty, 0.5) is None


def test_the_default_model_follows_the_kidneys_of_a_phantom():
    case = make_phantom_volume("ct", 0, (9, 160, 160))
    values = [value for value, name in case.label_names.items() if "kidney" in name]
    objects = []
    for value in values:
        mask = case.label == value
        z = int(mask.sum(axis=(1, 2)).argmax())
        rows, columns = np.flatnonzero(mask[z].any(1)), np.flatnonzero(mask[z].any(0))
        box = Prompt(box=(columns[0], rows[0], columns[-1], rows[-1]))
        slices = np.flatnonzero(mask.any(axis=(1, 2)))
        objects.append(VolumeObject({z: box}, z_range=(int(slices[0]), int(slices[-1]))))
    result = propagate(Predictor.open(), case.image, objects)
    for i, value in enumerate(values):
        truth = case.label == value
        assert 2 * (result.mask(i) & truth).sum() / (result.mask(i).sum() + truth.sum()) > 0.75


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_across_any_axis_of_the_array(predictor, axis):
    volume = np.zeros((20, 24, 28), np.uint8)
    volume[5:12, 6:15, 8:19] = 200
    cut = np.moveaxis(volume, axis, 0)
    z = int(np.flatnonzero(cut.any((1, 2)))[2])
    rows, columns = np.nonzero(cut[z])
    box = (columns.min(), rows.min(), columns.max(), rows.max())
    seeds = [VolumeObject({z: Prompt(box=box)}, "cube")]
    result, wanted = propagate(predictor, volume, seeds, axis=axis), propagate(predictor, cut.copy(), seeds)
    assert result.shape == cut.shape and result.ends == wanted.ends and result.extent(0) == wanted.extent(0)
    assert result.mask(0).shape == result.label_map().shape == volume.shape and result.mask(0).any()
    assert np.array_equal(np.moveaxis(result.mask(0), axis, 0), wanted.mask(0))
    assert np.array_equal(np.moveaxis(result.label_map(), axis, 0), wanted.label_map())


def test_an_axis_that_is_none(predictor):
    with pytest.raises(CaseError, match="axis must be 0, 1 or 2"):
        propagate(predictor, np.zeros((4, 5, 6), np.uint8), [], axis=3)


def test_repeated_slices_have_repeated_masks(predictor):
    volume = make_phantom_volume("ct", 1, (8, 128, 128)).image
    seed = {3: Prompt(box=(40, 45, 70, 80))}
    once = propagate(predictor, volume, [VolumeObject(seed)])
    for times, z in ((6, 3 * 6), (6, 3 * 6 + 2), (2, 7)):
        repeated = propagate(predictor, volume.repeat(times, axis=0), [VolumeObject({z: seed[3]})])
        assert once.mask(0).any() and np.array_equal(repeated.mask(0), once.mask(0).repeat(times, axis=0))
        assert [end.why for end in repeated.ends[0]] == [end.why for end in once.ends[0]]
