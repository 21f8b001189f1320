"""Views, their features on disk, and the prompts of a batch."""

import dataclasses

import numpy as np
import pytest
import torch
from tiny import TINY, disc_case, tiny_model

from lite_medsam.learning.data.labelled_image import LabelledImage
from lite_medsam.learning.finetuning import views as views_module
from lite_medsam.learning.finetuning.kept_features import pack_features, unpack_features
from lite_medsam.learning.finetuning.prompt_batch import PromptBatch, PromptSource, _empty_box, correct
from lite_medsam.learning.finetuning.settings import FinetuneSettings
from lite_medsam.learning.finetuning.views import DrawnView, FreshViews, KeptViews, signature
from lite_medsam.model.spec import Zoom
from lite_medsam.storage.signed_cache import SignedCache

SETTINGS = FinetuneSettings(
    steps=5,
    batch_size=4,
    objects_per_image=2,
    views=3,
    protocols=("box-jitter", "clicks", "scribble"),
    accelerator="cpu",
)


def images(count=3):
    return [LabelledImage.from_case(disc_case(i)) for i in range(count)]


@pytest.fixture(scope="module")
def fresh():
    return FreshViews(images(), TINY, SETTINGS)


def tensors(batch):
    return [batch.pixels, batch.targets, batch.valid, batch.coords, batch.labels, batch.ambiguous, batch.corrects]


def test_a_view_depends_on_seed_step_and_number_and_not_on_who_computes_it(fresh):
    (whole,) = PromptSource(fresh, TINY, SETTINGS).parts(7)
    assert len(whole) == 4 and whole.numbers == (0, 1, 2, 3)
    for cut in (dataclasses.replace(SETTINGS, memory="4GB"), dataclasses.replace(SETTINGS, memory="2GB")):
        parts = [part for rank in range(2) for part in PromptSource(fresh, TINY, cut, rank, 2).parts(7)]
        assert len(parts) == 4 // cut.preset().views
        assert torch.equal(torch.cat([p.pixels for p in parts]), whole.pixels)
        assert torch.equal(torch.cat([p.targets for p in parts]), whole.targets)
        assert [n for p in parts for n in p.names] == list(whole.names)
    (other,) = PromptSource(fresh, TINY, SETTINGS).parts(8)
    assert not torch.equal(whole.pixels, other.pixels)
    ahead = PromptSource(fresh, TINY, SETTINGS).from_step(7)
    for expected in ([whole], [other]):
        for a, b in zip(tensors(next(ahead)[0]), tensors(expected[0]), strict=True):
            assert torch.equal(a, b)


def test_more_processes_than_views_are_refused(fresh):
    with pytest.raises(ValueError, match="batch_size must be a multiple of the number of processes 3"):
        PromptSource(fresh, TINY, SETTINGS, 0, 3)


def test_every_protocol_prompts_and_clicks_lie_on_the_object(fresh):
    source = PromptSource(fresh, TINY, SETTINGS)
    seen = set()
    for step in range(12):
        (batch,) = source.parts(step)
        assert batch.targets.shape == batch.valid.shape == (8, 64, 64)
        for target, coords, labels in zip(batch.targets, batch.coords, batch.labels, strict=True):
            kinds = tuple(sorted({int(v) for v in labels} - {-1}))
            seen.add(kinds)
            for (x, y), label in zip(coords.tolist(), labels.tolist(), strict=True):
                if label == 1:
                    assert target[int(y), int(x)] > min(0.5, 0.5 * target.max())
            if kinds == (1,) and (labels == 1).sum() == 1:
                assert batch.corrects.any()
    assert seen == {(1,), (2, 3)}
    assert source.parts(0)[0].corrects.tolist() == [
        (labels == 1).sum() == 1 for labels in source.parts(0)[0].labels[::2]
    ]


def test_negatives_are_boxes_around_nothing(fresh):
    settings = dataclasses.replace(SETTINGS, protocols=("box",), negative_share=1.0)
    source = PromptSource(fresh, TINY, settings)
    empty = 0
    for step in range(6):
        (batch,) = source.parts(step)
        for i in range(0, 8, 2):
            assert batch.targets[i].any()  # the first object is always a real one
            if batch.targets[i + 1].any():
                continue
            empty += 1
            (x0, y0), (x1, y1) = (batch.coords[i + 1] + 0.5).long().tolist()
            assert batch.valid[i + 1, y0:y1, x0:x1].all() and not batch.targets[i, y0:y1, x0:x1].any()
    assert empty > 12


def test_no_negative_where_there_is_no_room():
    full = np.ones((64, 64), bool)
    view = DrawnView(None, None, np.ones((1, 64, 64), np.float32), full, full, "full")
    assert _empty_box(view, np.random.default_rng(0)) is None


def test_a_correction_is_a_click_on_the_error_of_that_view():
    (batch,) = PromptSource(FreshViews(images(), TINY, SETTINGS), TINY, SETTINGS).parts(0)
    answers = torch.full((4, 64, 64), -5.0)  # nothing found: the click lies on the object
    members = torch.tensor([1, 3])
    coords, kinds, previous = correct(answers, batch, members, 0, 0, 0, 1)
    assert (kinds == 1).all() and previous.shape == (4, 1, 64, 64)
    for (x, y), row in zip(coords[:, 0].long().tolist(), [2, 3, 6, 7], strict=True):
        assert batch.targets[row, y, x] > 0.3
    again = correct(answers, batch, members, 0, 0, 0, 1)
    assert torch.equal(coords, again[0]) and torch.equal(previous, again[2])
    alone = correct(answers[2:], batch, members[1:], 0, 0, 0, 1)  # views do not depend on one another
    assert torch.equal(coords[2:], alone[0]) and torch.equal(previous[2:], alone[2])


def kept(folder, model, settings=SETTINGS, count=3):
    views = KeptViews(images(count), model, settings, SignedCache(folder, signature(model, settings)))
    views.prepare(0, 1, lambda: None)
    return views


def test_features_on_disk_are_those_of_the_encoder(tmp_path):
    model = tiny_model()
    views = kept(tmp_path, model)
    drawn = [views.draw(np.random.default_rng(i)) for i in range(6)]
    shapes = [f.shape[1:] for f in model.encode(torch.zeros(1, 3, 64, 64))]
    assert [f.shape for f in drawn[0].features] == [tuple(s) for s in shapes]
    assert drawn[0].pixels is None and drawn[0].features[0].dtype == np.float32
    stored = views.cache.get(views._key(0, 0))
    pixels_free = views._make(0, 0)
    assert stored["feature0"].dtype == np.float16 and np.array_equal(stored["feature0"], pixels_free["feature0"])


def test_what_is_kept_answers_as_the_encoder_does(tmp_path, monkeypatch):
    model, seen = tiny_model(), []
    views = kept(tmp_path, model)
    monkeypatch.setattr(
        views_module, "pack_features", lambda features: seen.append(features) or pack_features(features)
    )
    box = torch.tensor([[[5.0, 5.0], [40.0, 40.0]]]), torch.tensor([[2.0, 3.0]])
    for number in range(3):
        rough = unpack_features(views._make(1, number))
        with torch.no_grad():
            a, b = (model.decode(tuple(torch.from_numpy(f)[None] for f in fs), *box)[0] for fs in (seen[-1], rough))
        assert (a - b).abs().mean() < 0.01 * a.std() and ((a > 0) != (b > 0)).float().mean() < 0.01


def test_deleted_features_come_back_to_the_bit(tmp_path):
    model = tiny_model()
    views = kept(tmp_path, model)
    before = [views.draw(np.random.default_rng(i)) for i in range(4)]
    views.cache.clear()
    for i, old in enumerate(before):
        new = views.draw(np.random.default_rng(i))
        assert new.name == old.name and np.array_equal(new.masks, old.masks)
        assert all(np.array_equal(a, b) for a, b in zip(old.features, new.features, strict=True))


def test_other_weights_or_settings_sign_differently():
    model = tiny_model()
    first = signature(model, SETTINGS)
    assert first == signature(tiny_model(), SETTINGS)
    assert first == signature(model, dataclasses.replace(SETTINGS, learning_rate=1.0, protocols=("box",)))
    assert first != signature(tiny_model(1), SETTINGS)
    assert first != signature(model, dataclasses.replace(SETTINGS, crop_share=0.1))
    with torch.no_grad():
        model.mask_decoder.iou_token.weight.add_(1)  # the decoder does not matter
    assert first == signature(model, SETTINGS)


def test_fewer_views_are_kept_where_they_do_not_fit(tmp_path):
    settings = dataclasses.replace(SETTINGS, views=50, cache_gb=1e-3)
    views = kept(tmp_path, tiny_model(), settings)
    assert 1 <= views.views < 50
    kept_bytes = sum(path.stat().st_size for path in tmp_path.glob("*.npz"))
    assert kept_bytes < 1.3e6


def test_objects_too_small_for_a_model_without_crops_are_left_out():
    spec = dataclasses.replace(TINY, zoom=Zoom(enabled=False))
    small = disc_case(0)
    label = np.zeros_like(small.label)
    label[4, 4] = 1
    tiny_object = LabelledImage.from_case(dataclasses.replace(small, label=label, name="speck"))
    views = FreshViews([*images(), tiny_object], spec, SETTINGS)
    assert "speck" not in {image.name for image in views.images} and len(views.images) == 3
    assert len(FreshViews([tiny_object], TINY, SETTINGS).images) == 1  # a crop makes it large
    with pytest.raises(ValueError, match="images with visible objects, got none of 1"):
        FreshViews([tiny_object], spec, SETTINGS)


def test_kept_features_make_batches(tmp_path):
    (batch,) = PromptSource(kept(tmp_path, tiny_model()), TINY, SETTINGS).parts(3)
    assert batch.pixels is None and [len(f) for f in batch.features] == [4, 4, 4, 4]
    assert isinstance(batch.to(torch.device("cpu")), PromptBatch)
