import json

import numpy as np
import pytest
from fakes import FakeBackend

from lite_medsam.cases.case import Case, save_case
from lite_medsam.challenge.reference_quirks import (
    label_map_with_quirks,
    segment_volume_with_quirks,
    segment_with_quirks,
)
from lite_medsam.errors import PromptError, WeightsError
from lite_medsam.jobs.batch import Job, SegmentOptions, run_job
from lite_medsam.model.spec import Architecture, ModelSpec, Preprocessing, Zoom
from lite_medsam.segment.predictor import Predictor


class FakeLite(FakeBackend):
    """Fills the box it is given; empty on slices whose pixels are all 0."""

    def __init__(self, size=64):
        super().__init__(size)
        settings = Preprocessing(size, (0, 0, 0), (1, 1, 1), value_range="resized", resampling="area")
        self.spec = ModelSpec("lite", Architecture(family="litemedsam"), settings, Zoom(enabled=False), ("box",))

    def decode(self, features, coords, labels, previous, has_previous):
        logits, scores = super().decode(features, coords, labels, previous, has_previous)
        return (logits if features[0].any() else np.full_like(logits, -5)), scores

    def boxes(self):
        return [coords.reshape(4).tolist() for coords, *_ in self.decoded]


def volume(depth=7, side=128):
    return np.random.default_rng(0).integers(1, 256, (depth, side, side), np.uint8)


def test_a_volume_is_followed_from_the_middle_to_both_ends():
    backend = FakeLite()
    segs = segment_volume_with_quirks(backend, volume(), [[20, 30, 1, 61, 71, 5]])
    assert segs.dtype == np.uint8 and segs.any(axis=(1, 2)).tolist() == [False, True, True, True, True, True, False]
    middle, first, second, below, last = backend.boxes()  # z = 3, 4, 5, then 2, 1
    assert middle == [10, 15, 30, 35]  # 71 / 2 = 35.5 is cut
    # the mask of the slice before, 3 model pixels wider; the fake's mask ends inside its box
    for before, after in ((middle, first), (first, second), (middle, below), (below, last)):
        assert after[0] < before[0] and after[1] < before[1] and after[2] > before[2] and after[3] > before[3]


def test_the_last_slice_is_inside_and_the_volume_ends_the_walk():
    segs = segment_volume_with_quirks(FakeLite(), volume(4), [[20, 30, 0, 61, 71, 6]])
    assert segs.any(axis=(1, 2)).all()


def test_after_an_empty_slice_the_object_starts_again_with_the_first_box():
    backend, slices = FakeLite(), volume(9)
    slices[5] = 0
    segs = segment_volume_with_quirks(backend, slices, [[20, 30, 1, 61, 71, 7]])
    assert not segs[5].any() and segs[6].any()
    middle, _, after_empty = backend.boxes()[:3]  # z = 4, 5, 6
    assert after_empty == middle


def test_thin_masks_are_lost_for_the_first_object_only():
    # 2 px of 1024 shrink to nothing when the mask holds 1, and stay when it holds a larger number
    backend = FakeLite(64)
    line = [[100, 500, 0, 900, 501, 2]] * 3
    segment_volume_with_quirks(backend, volume(3, 1024), line)
    boxes = backend.boxes()
    per_object = [boxes[i : i + 3] for i in (0, 3, 6)]
    assert per_object[0][1] == per_object[0][0]  # started again with the box of the middle slice


def test_later_boxes_win():
    boxes = [[10, 10, 0, 90, 90, 2], [50, 50, 0, 120, 120, 2]]
    segs = segment_volume_with_quirks(FakeLite(), volume(3), boxes)
    assert segs[1, 20, 20] == 1 and segs[1, 60, 60] == 2 and segs[1, 100, 100] == 2


def test_wrong_input():
    with pytest.raises(PromptError, match=r"\(N, 6\)"):
        segment_volume_with_quirks(FakeLite(), volume(), [[1, 2, 3, 4]])
    with pytest.raises(PromptError, match="several slices"):
        segment_volume_with_quirks(FakeLite(), volume(), [[1, 1, 2, 9, 9, 2]])
    with pytest.raises(PromptError, match="of the 7"):
        segment_volume_with_quirks(FakeLite(), volume(), [[1, 1, 9, 9, 9, 12]])
    with pytest.raises(WeightsError, match="converted LiteMedSAM"):
        segment_volume_with_quirks(FakeBackend(), volume(), [[1, 1, 2, 9, 9, 4]])


def test_flat_images_cut_boxes_and_wrap_labels():
    backend = FakeLite()
    image = np.random.default_rng(0).integers(1, 256, (128, 128, 3), np.uint8)
    segs = segment_with_quirks(backend, image, [[20, 30, 61, 71]] * 257)
    assert backend.boxes()[0] == [10, 15, 30, 35] and len(backend.boxes()) == 257
    labels = label_map_with_quirks(segs)
    assert set(np.unique(labels)) == {0, 1}  # 257 wraps to 1, over 256, which had wrapped to 0


def test_the_command_writes_the_volume(tmp_path):
    path = tmp_path / "3D_CT_a.npz"
    boxes = np.array([[20, 30, 1, 61, 71, 3]], np.float32)
    save_case(path, Case(image=volume(5), boxes=boxes, name="3D_CT_a", is_volume=True))
    job = Job(path, tmp_path / "out" / "a")
    record = run_job(Predictor(FakeLite()), job, SegmentOptions(reference_quirks=True))
    segs = np.load(tmp_path / "out" / "a.npz")["segs"]
    assert segs.shape == (5, 128, 128) and record["objects"][0]["voxels"] == np.count_nonzero(segs) > 0
    assert json.loads((tmp_path / "out" / "a.json").read_text()) == record
    assert run_job(Predictor(FakeLite()), job, SegmentOptions(reference_quirks=True))["skipped"]
