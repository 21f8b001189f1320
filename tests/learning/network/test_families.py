"""The published families against segment_anything's own classes."""

import numpy as np
import pytest
import tiny_models
import torch
from segment_anything import SamPredictor as OriginalPredictor
from segment_anything import sam_model_registry

from lite_medsam.errors import WeightsError
from lite_medsam.learning.network.backend import TorchBackend
from lite_medsam.learning.network.export import example_prompts
from lite_medsam.learning.network.families import (
    FAMILIES,
    PADDING_POINT,
    PublishedSegmenter,
    expected_shapes,
    family_spec,
    get_family,
)
from lite_medsam.model.spec import ModelSpec
from lite_medsam.prompts.prompt_set import Prompt
from lite_medsam.segment.predictor import Predictor
from lite_medsam.segment.sam_predictor import SamModel, SamPredictor

LIMIT = 1e-3
SHAPES = [(90, 128), (333, 201), (64, 64), (40, 257)]
PROMPTS = {
    "box": {"box": np.array([10.5, 8, 37, 33])},
    "point": {"point_coords": np.array([[20.0, 12.0]]), "point_labels": np.array([1])},
    "points": {"point_coords": np.array([[20.0, 12.0], [3.5, 30.0]]), "point_labels": np.array([1, 0])},
    "padding": {"point_coords": np.array([[20.0, 12.0], [0.0, 0.0]]), "point_labels": np.array([1, -1])},
    "box+points": {
        "box": np.array([10, 8, 37, 33]),
        "point_coords": np.array([[20, 12]]),
        "point_labels": np.array([1]),
    },
    "nothing": {},
    "box outside": {"box": np.array([-5, -3, 400, 420])},
}


@pytest.fixture
def tiny_sam(monkeypatch):
    tiny_models.register(monkeypatch)
    return tiny_models.published_model("sam_tiny")


def image_of(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), np.uint8)


def assert_same(ours, original):
    masks, scores, low_res = ours
    for mine, theirs in zip((scores, low_res), original[1:], strict=True):
        assert mine.shape == theirs.shape
        assert np.abs(mine - theirs).max() < LIMIT
    assert masks.shape == original[0].shape
    assert np.abs(masks - original[0]).max() < LIMIT


@pytest.mark.parametrize("shape", SHAPES)
def test_predictor_equals_the_original_for_every_image_shape(tiny_sam, shape):
    ours, original = SamPredictor(SamModel(TorchBackend(tiny_sam))), tiny_models.original_tiny_sam(tiny_sam)
    image = image_of(shape)
    ours.set_image(image)
    original.set_image(image)
    assert ours.original_size == original.original_size and ours.input_size == original.input_size
    assert np.abs(ours.get_image_embedding() - original.get_image_embedding().numpy()).max() < LIMIT
    assert_same(
        ours.predict(**PROMPTS["box"], return_logits=True), original.predict(**PROMPTS["box"], return_logits=True)
    )


@pytest.mark.parametrize("multimask", [True, False])
@pytest.mark.parametrize("kind", PROMPTS)
def test_predictor_equals_the_original_for_every_kind_of_prompt(tiny_sam, kind, multimask):
    ours, original = SamPredictor(SamModel(TorchBackend(tiny_sam))), tiny_models.original_tiny_sam(tiny_sam)
    image = image_of((90, 128))
    ours.set_image(image, "BGR")
    original.set_image(image, "BGR")
    options = {"multimask_output": multimask, "return_logits": True}
    first, expected = ours.predict(**PROMPTS[kind], **options), original.predict(**PROMPTS[kind], **options)
    assert_same(first, expected)
    assert np.ptp(expected[2]) > 0.1  # the comparison is of something
    again = {"mask_input": expected[2][:1], **options}
    assert_same(ours.predict(**PROMPTS[kind], **again), original.predict(**PROMPTS[kind], **again))


@pytest.mark.parametrize("shape", SHAPES)
def test_several_boxes_by_transform_and_tensors_equal_the_original(tiny_sam, shape):
    ours, original = SamPredictor(SamModel(TorchBackend(tiny_sam))), tiny_models.original_tiny_sam(tiny_sam)
    boxes = torch.tensor([[2, 3, 30, 40], [5, 5, 20, 12], [10, 1, 44, 33]])
    points, labels = torch.tensor([[[9, 9], [20, 30]]] * 3), torch.tensor([[1, 0]] * 3)
    answers = []
    for predictor in (ours, original):
        predictor.set_image(image_of(shape))
        moved = (
            predictor.transform.apply_boxes_torch(boxes, shape),
            predictor.transform.apply_coords_torch(points, shape),
        )
        answers.append((moved, predictor.predict_torch(moved[1], labels, moved[0], None, False, return_logits=True)))
    for mine, theirs in zip(answers[0][0], answers[1][0], strict=True):
        assert mine.dtype == theirs.dtype and torch.allclose(mine, theirs, atol=1e-4)
    assert_same(*(tuple(part.numpy() for part in answer) for _, answer in answers))
    # the original takes one box at a time as an array, and the first of several is the same
    many = ours.predict(box=boxes.numpy(), return_logits=True)
    assert_same(tuple(part[1] for part in many), original.predict(box=boxes.numpy()[1], return_logits=True))


def test_boolean_masks_equal_the_original(tiny_sam):
    ours, original = SamPredictor(SamModel(TorchBackend(tiny_sam))), tiny_models.original_tiny_sam(tiny_sam)
    ours.set_image(image_of((90, 128)))
    original.set_image(image_of((90, 128)))
    masks, expected = ours.predict(**PROMPTS["box"])[0], original.predict(**PROMPTS["box"])[0]
    assert masks.dtype == bool and (masks != expected).mean() < 1e-4


def test_a_batch_of_mixed_kinds_equals_each_prompt_alone(tiny_sam):
    coords, labels, previous, has_previous = example_prompts(7, 128, 0, 32)
    backend = TorchBackend(tiny_sam)
    features = backend.encode(np.random.default_rng(0).standard_normal((1, 3, 128, 128), np.float32))
    logits, scores = backend.decode(features, coords, labels, previous, has_previous)
    assert logits.shape == (7, 4, 32, 32)
    for i in range(7):
        used = labels[i] != -1
        single = (coords[i : i + 1, used], labels[i : i + 1, used], previous[i : i + 1], has_previous[i : i + 1])
        alone, score = backend.decode(features, *single)
        assert np.abs(alone[0] - logits[i]).max() < 1e-4
        assert np.abs(score[0] - scores[i]).max() < 1e-4


def test_prompts_of_several_images_see_their_own(tiny_sam):
    backend = TorchBackend(tiny_sam)
    pixels = np.random.default_rng(1).standard_normal((2, 3, 128, 128), np.float32)
    prompts = example_prompts(4, 128, 1, 32)
    both = backend.decode(backend.encode(pixels), *prompts)[0]
    for image in range(2):
        part = slice(2 * image, 2 * image + 2)
        alone = backend.decode(backend.encode(pixels[image : image + 1]), *(p[part] for p in prompts))[0]
        assert np.abs(alone - both[part]).max() < 1e-4


def test_padding_and_padding_points_are_different_things(tiny_sam):
    backend = TorchBackend(tiny_sam)
    features = backend.encode(np.zeros((1, 3, 128, 128), np.float32))
    coords = np.array([[[20, 30], [60, 70], [5, 5]]], np.float32)
    rest = (np.zeros((1, 1, 32, 32), np.float32), np.zeros(1, np.float32))
    plain, ignored, real = (
        backend.decode(features, coords[:, : len(marks)], np.array([marks], np.float32), *rest)[0]
        for marks in ([2, 3], [2, 3, -1], [2, 3, PADDING_POINT])
    )
    assert np.abs(plain - ignored).max() < 1e-4 < np.abs(plain - real).max()


def test_predictor_of_many_objects_equals_the_original_one_by_one(tiny_sam):
    image = image_of((90, 128))
    original = tiny_models.original_tiny_sam(tiny_sam)
    original.set_image(image)
    prompts = [
        Prompt(box=(10, 8, 37, 33)),
        Prompt(points=[[20, 12]], point_labels=[1]),
        Prompt(box=(1, 2, 120, 80), points=[[20, 12], [30, 30]], point_labels=[1, 0]),
    ]
    result = Predictor(TorchBackend(tiny_sam)).segment(image, prompts)
    assert result.logits.shape == (3, 32, 32)
    for i, prompt in enumerate(prompts):
        expected = original.predict(
            point_coords=prompt.points if len(prompt.points) else None,
            point_labels=prompt.point_labels if len(prompt.points) else None,
            box=np.array(prompt.box) if prompt.box else None,
            multimask_output=False,
            return_logits=True,
        )
        assert np.abs(result.window_logits(i) - expected[0][0]).max() < LIMIT
        assert abs(result.scores[i] - np.clip(expected[1][0], 0, 1)) < LIMIT


def test_no_crops_for_published_models(tiny_sam):
    result = Predictor(TorchBackend(tiny_sam)).segment(image_of((400, 400)), [[10, 10, 20, 20]])
    assert (result.frames[0].width, result.frames[0].height) == (400, 400)


def test_every_family_has_a_spec_that_survives_json():
    for name in FAMILIES:
        spec = family_spec(name)
        assert ModelSpec.from_json(spec.to_json()) == spec
        assert spec.licence and spec.training_data and get_family(name).source in spec.notes


def test_an_unknown_family_shows_the_choices():
    with pytest.raises(WeightsError, match="mobile_sam"):
        family_spec("sam3")


@pytest.mark.parametrize("size", ["b", "l", "h"])
def test_sam_layouts_equal_the_original_builders(size):
    with torch.device("meta"):
        expected = {k: tuple(v.shape) for k, v in sam_model_registry[f"vit_{size}"]().state_dict().items()}
    assert expected_shapes(f"sam_vit_{size}") == expected


def test_mobile_sam_parameters_are_those_of_the_published_model():
    # 10,130,092 with the classification head of 1000 classes that it carries along unused
    shapes = expected_shapes("mobile_sam")
    buffers = ("running_mean", "running_var", "num_batches_tracked", "gaussian_matrix")
    count = sum(int(np.prod(shape)) for name, shape in shapes.items() if not name.endswith(buffers))
    assert count == 10_130_092 - (320 * 1000 + 1000) - 2 * 320


@pytest.mark.slow
def test_vit_b_from_the_original_builder():
    sam = tiny_models.randomise(sam_model_registry["vit_b"](), 3)
    model = PublishedSegmenter(family_spec("sam_vit_b"))
    model.load_state_dict(sam.state_dict())
    ours, original = SamPredictor(SamModel(TorchBackend(model))), OriginalPredictor(sam)
    image = image_of((300, 500))
    ours.set_image(image)
    original.set_image(image)
    assert np.abs(ours.get_image_embedding() - original.get_image_embedding().numpy()).max() < LIMIT
    for kind in ("box", "points", "box+points"):
        options = {**PROMPTS[kind], "return_logits": True}
        assert_same(ours.predict(**options), original.predict(**options))
