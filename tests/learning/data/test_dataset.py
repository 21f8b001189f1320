import numpy as np
import pytest
import torch
from tiny import disc_case

from lite_medsam.cases.case import Case, save_case
from lite_medsam.learning.data.augmentation import BY_MODALITY, Augmentation, augment_geometry, augment_intensity
from lite_medsam.learning.data.dataset import BatchSource
from lite_medsam.learning.data.labelled_image import LabelledImage, load_images
from lite_medsam.learning.data.prompting import error_click, simulate_tokens
from lite_medsam.learning.data.sampling import Sampling
from lite_medsam.model.spec import Preprocessing

SETTINGS = Preprocessing(image_size=64)


@pytest.fixture(scope="module")
def source():
    images = [LabelledImage.from_case(disc_case(i, m)) for i, m in enumerate(["CT", "CT", "OCT", "XRay"])]
    return BatchSource(images, SETTINGS, Sampling(), batch_size=4, seed=3)


def test_a_batch_depends_on_its_number_alone(source):
    fresh = BatchSource(source.images, SETTINGS, Sampling(), batch_size=4, seed=3)
    later = fresh.from_number(5)
    for a, b in ((source.batch(5), next(later)), (source.batch(6), next(later))):
        assert torch.equal(a.pixels, b.pixels) and torch.equal(a.coords, b.coords) and torch.equal(a.targets, b.targets)
    assert not torch.equal(source.batch(5).pixels, source.batch(7).pixels)


def test_shapes_and_ranges(source):
    for number in range(12):
        batch = source.batch(number)
        count = 4 * Sampling().objects_per_image
        assert batch.pixels.shape == (4, 3, 64, 64) and batch.pixels.dtype == torch.float32
        assert batch.targets.shape == batch.valid.shape == (count, 64, 64)
        assert batch.coords.shape[:2] == batch.labels.shape and batch.coords.shape[1] in (2, 5)
        assert batch.targets.min() >= 0 and batch.targets.max() <= 1
        assert (batch.targets.sum((1, 2)) >= Sampling().minimum_area_px).all()
        assert (batch.coords >= -0.5).all() and (batch.coords <= 63.5).all()
        assert not batch.targets[~batch.valid].any()
        for labels, ambiguous in zip(batch.labels.tolist(), batch.ambiguous.tolist(), strict=True):
            assert ambiguous == ({int(v) for v in labels} - {-1} == {1})


def test_the_pixels_show_the_object_that_is_asked_for(source):
    # the discs are brighter than the ground in every view
    for number in range(8):
        batch = source.batch(number)
        images = batch.pixels.mean(1).repeat_interleave(Sampling().objects_per_image, 0)
        for image, target, valid in zip(images, batch.targets, batch.valid, strict=True):
            inside, outside = image[target > 0.9], image[(target == 0) & valid]
            if len(inside) > 20 and len(outside) > 20:
                assert inside.mean() > outside.mean() + 0.3


def test_strokes_run_along_the_object_and_change_nothing_where_there_are_none():
    mask = np.zeros((64, 64), np.float32)
    mask[20:24, 5:60] = 1
    counts = set()
    for seed in range(20):
        coords, labels = simulate_tokens(mask, (0, 0), True, np.random.default_rng(seed), stroke_share=1.0)
        points = coords[labels == 1]
        assert set(labels.tolist()) <= {1, -1} and len(points) >= 2
        assert all(mask[round(y), round(x)] == 1 for x, y in points.tolist())
        first, last = points[0], points[-1]
        for point in points:  # on the straight line from the first to the last
            off = np.cross([*(last - first), 0], [*(point - first), 0])[2] / max(1, np.linalg.norm(last - first))
            assert abs(off) < 1e-3
        counts.add(len(points))
    assert max(counts) == 5
    plain = simulate_tokens(mask, (0, 0), True, np.random.default_rng(1))
    never = simulate_tokens(mask, (0, 0), True, np.random.default_rng(1), stroke_share=0.0)
    assert all(np.array_equal(a, b) for a, b in zip(plain, never, strict=True))


def test_labels_that_are_missing_are_no_objects(tmp_path):
    save_case(tmp_path / "2D_CT_a_1.npz", disc_case(1))
    empty = Case(image=np.zeros((20, 20), np.uint8), label=np.zeros((20, 20), np.uint8), boxes=None, spacing_mm=None,
                 name="2D_CT_a_2")  # fmt: skip
    save_case(tmp_path / "2D_CT_a_2.npz", empty)
    images = load_images(sorted(tmp_path.iterdir()), 6)
    assert [list(image.ids) for image in images] == [[1, 3]]
    with pytest.raises(ValueError, match="at least one labelled image"):
        BatchSource([], SETTINGS, Sampling(), 1, 0)


def test_boxes_are_jittered_within_the_limits():
    mask = np.zeros((64, 64), np.float32)
    mask[20:40, 10:50] = 1
    rng = np.random.default_rng(0)
    boxes = np.stack([simulate_tokens(mask, (-0.1, 0.2), False, rng)[0] for _ in range(200)]) + 0.5
    assert boxes[:, 0, 0].min() >= 10 - 8 - 1e-4 and boxes[:, 0, 0].max() <= 10 + 4 + 1e-4
    assert boxes[:, 1, 1].min() >= 40 - 2 - 1e-4 and boxes[:, 1, 1].max() <= 40 + 4 + 1e-4
    assert boxes[:, 0, 0].std() > 1


def test_clicks_lie_where_their_label_says():
    mask = np.zeros((64, 64), np.float32)
    mask[20:40, 10:50] = 1
    rng = np.random.default_rng(0)
    kinds = set()
    for _ in range(200):
        coords, labels = simulate_tokens(mask, (0, 0), True, rng)
        kinds.add(tuple(sorted({int(v) for v in labels})))
        assert (labels >= 0).any()
        for (x, y), label in zip(coords, labels, strict=True):
            if label in (0, 1):
                assert mask[int(y), int(x)] == label
    assert len(kinds) >= 5


def test_error_clicks_lie_on_the_largest_error():
    target = np.zeros((1, 64, 64), np.float32)
    target[0, 20:40, 20:40] = 1
    logits = np.where(target > 0, 5.0, -5.0).astype(np.float32)
    logits[0, 20:40, 30:40] = -5  # missed
    logits[0, 2:5, 2:5] = 5  # a smaller false part
    valid = np.ones_like(target, bool)
    for seed in range(10):
        coords, kinds = error_click(logits, target, valid, np.random.default_rng(seed))
        x, y = coords[0, 0]
        assert 30 <= x < 40 and 20 <= y < 40 and kinds[0, 0] == 1


def test_flips_and_turns_move_image_and_mask_alike():
    mask = np.zeros((64, 64), np.float32)
    mask[10:20, 30:60] = 1
    image = (mask * 200).astype(np.uint8)
    valid = np.ones((64, 64), np.uint8)
    for seed in range(20):
        settings = Augmentation(upend=0.5, turn_degrees=30)
        moved, masks, _ = augment_geometry(image, mask[None], valid, settings, np.random.default_rng(seed))
        assert np.abs(moved / 200 - masks[0]).max() < 0.02


def test_what_is_up_stays_up_where_it_matters():
    assert BY_MODALITY["OCT"].upend == BY_MODALITY["XRay"].upend == 0
    top = np.zeros((64, 64), np.uint8)
    top[:10] = 200
    for seed in range(30):
        moved, _, _ = augment_geometry(
            top, np.zeros((1, 64, 64), np.float32), top, BY_MODALITY["OCT"], np.random.default_rng(seed)
        )
        assert moved[:32].sum() > moved[32:].sum()


def test_intensity_changes_stay_within_the_range_of_values():
    image = np.random.default_rng(0).integers(50, 200, (32, 32, 3), np.uint8)
    changed = 0
    for seed in range(20):
        out = augment_intensity(image, (50, 199), BY_MODALITY["US"], np.random.default_rng(seed))
        assert out.dtype == np.uint8 and out.shape == image.shape
        changed += not np.array_equal(out, image)
    assert changed > 10
