"""The SAM-shaped class over a fake backend; its equality with the original is tested in learning/test_families.py."""

import subprocess
import sys

import numpy as np
import pytest
from fakes import FakeBackend

from lite_medsam.errors import CaseError, PromptError, WeightsError
from lite_medsam.segment.predictor import Predictor
from lite_medsam.segment.sam_predictor import SamModel, SamPredictor, open_sam_model, sam_model_registry

IMAGE = np.zeros((60, 100, 3), np.uint8)


class ManyMasks(FakeBackend):
    """Four masks per prompt, the alternatives with lower logits."""

    def decode(self, *inputs):
        logits, scores = super().decode(*inputs)
        steps = np.arange(4, dtype=np.float32)
        return logits - steps[:, None, None], scores - steps / 10


@pytest.fixture
def backend():
    return ManyMasks(size=64)


@pytest.fixture
def predictor(backend):
    predictor = SamPredictor(SamModel(backend))
    predictor.set_image(IMAGE)
    return predictor


def test_a_box_gives_its_mask(predictor):
    masks, scores, low_res = predictor.predict(box=np.array([20, 10, 59, 39]), multimask_output=False)
    expected = np.zeros((60, 100), bool)
    expected[10:40, 20:60] = True
    assert masks.shape == (1, 60, 100) and masks.dtype == bool
    assert (masks[0] != expected).mean() < 0.03
    assert scores.tolist() == pytest.approx([0.9]) and low_res.shape == (1, 64, 64)


def test_a_box_may_have_a_leading_axis(predictor):
    flat = predictor.predict(box=np.array([20, 10, 59, 39]), multimask_output=False)[2]
    assert np.array_equal(predictor.predict(box=np.array([[20, 10, 59, 39]]), multimask_output=False)[2], flat)


def test_alternatives_are_the_masks_after_the_first(predictor):
    masks, scores, _ = predictor.predict(box=np.array([20, 10, 59, 39]))
    assert masks.shape == (3, 60, 100) and scores.tolist() == pytest.approx([0.8, 0.7, 0.6])
    assert masks[0].sum() > masks[1].sum() > masks[2].sum()


def test_points_come_with_their_labels(predictor, backend):
    predictor.predict(point_coords=np.array([[50, 30], [0, 0], [9, 9]]), point_labels=np.array([1, 0, -1]))
    coords, labels, _, has_previous = backend.decoded[-1]
    assert labels.tolist() == [[1, 0, -1, -1, -1]] and has_previous.tolist() == [0]  # padded as in training
    assert coords[0, 0] == pytest.approx([(50.5 * 0.64) - 0.5, (30.5 * 38 / 60) - 0.5])


def test_a_mask_goes_back_in(predictor, backend):
    low_res = predictor.predict(box=np.array([20, 10, 59, 39]), multimask_output=False)[2]
    predictor.predict(box=np.array([20, 10, 59, 39]), mask_input=low_res)
    _, _, previous, has_previous = backend.decoded[-1]
    assert np.array_equal(previous[0], low_res) and has_previous.tolist() == [1]


def test_logits_on_request(predictor):
    masks = predictor.predict(box=np.array([20, 10, 59, 39]), return_logits=False)[0]
    logits = predictor.predict(box=np.array([20, 10, 59, 39]), return_logits=True)[0]
    assert logits.dtype == np.float32 and np.array_equal(logits > 0, masks)


def test_the_image_is_encoded_once(predictor, backend):
    for _ in range(3):
        predictor.predict(box=np.array([20, 10, 59, 39]))
    assert len(backend.encoded) == 1
    assert predictor.get_image_embedding().shape == (1, 1, 64, 64)
    assert predictor.is_image_set and predictor.original_size == (60, 100) and predictor.input_size == (38, 64)


def test_bgr_is_turned_round(backend):
    image = np.random.default_rng(0).integers(0, 256, (60, 100, 3), np.uint8)
    predictor = SamPredictor(SamModel(backend))
    predictor.set_image(image)
    predictor.set_image(np.ascontiguousarray(image[..., ::-1]), "BGR")
    assert np.array_equal(backend.encoded[0], backend.encoded[1])


def test_reset_forgets_the_image(predictor):
    predictor.reset_image()
    assert not predictor.is_image_set
    for call in (predictor.get_image_embedding, lambda: predictor.predict(box=np.array([0, 0, 1, 1]))):
        with pytest.raises(RuntimeError, match="set_image"):
            call()


def test_grey_images_are_taken(predictor):
    predictor.set_image(IMAGE[..., 0])
    assert predictor.is_image_set


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ({"point_coords": [[1, 2]]}, "together"),
        ({"point_coords": [1, 2], "point_labels": [1]}, r"point_coords must be \(K, 2\).*shape \(2,\)"),
        ({"point_coords": [[1, 2]], "point_labels": [1, 0]}, r"point_labels must be \(1\)"),
        ({"point_coords": [[1, 2]], "point_labels": [5]}, "point_labels must be 1"),
        ({"point_coords": [[1, np.nan]], "point_labels": [1]}, "finite"),
        ({"box": [1, 2, 3]}, r"box must be \(4\)"),
        ({"box": "a"}, "box must be numbers"),
        ({"box": [1, 2, 3, 4], "mask_input": np.zeros((64, 64))}, r"mask_input must be \(1, 64, 64\)"),
    ],
)
def test_wrong_prompts_say_what_they_must_be(predictor, prompt, message):
    with pytest.raises(PromptError, match=message):
        predictor.predict(**prompt)


def test_untrained_prompts_are_refused_unless_allowed():
    backend = ManyMasks(size=64, prompts=("box",))
    predictor = SamPredictor(SamModel(backend))
    predictor.set_image(IMAGE)
    prompt = {"point_coords": np.array([[50, 30]]), "point_labels": np.array([1])}
    with pytest.raises(PromptError, match=r"trained on \(box\), got points; pass allow_untrained"):
        predictor.predict(**prompt)
    with pytest.raises(PromptError, match=r"got box\+points"):
        predictor.predict(**prompt, box=np.array([20, 10, 59, 39]))
    allowed = SamPredictor(SamModel(backend), allow_untrained=True)
    allowed.set_image(IMAGE)
    assert allowed.predict(**prompt)[0].shape == (3, 60, 100)


def test_wrong_images_and_formats(predictor):
    with pytest.raises(CaseError):
        predictor.set_image(IMAGE.astype(float))
    with pytest.raises(ValueError, match="RGB, BGR"):
        predictor.set_image(IMAGE, "GBR")


def test_a_predictor_or_model_serves_as_sam(backend):
    assert SamPredictor(Predictor(backend)).model.backend is backend
    model = SamModel(backend)
    assert model.to(device="cuda").eval() is model and SamPredictor(model).device == "cpu"


def test_registry_names_open_directories(tmp_path):
    assert set(sam_model_registry) == {"default", "vit_h", "vit_l", "vit_b", "vit_t"}
    with pytest.raises(WeightsError, match=r"spec\.json"):
        sam_model_registry["vit_b"](checkpoint=tmp_path)
    file = tmp_path / "sam_vit_b_01ec64.pth"
    file.write_bytes(b"x")
    with pytest.raises(WeightsError, match="lite-medsam convert"):
        open_sam_model(file)


def test_no_torch_is_needed():
    code = "import sys, lite_medsam.segment.sam_predictor as m; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


BOXES = np.array([[20, 10, 59, 39], [0, 0, 30, 20], [40.5, 5.25, 90, 55]])


def same(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("multimask", [True, False])
def test_several_boxes_are_answered_as_one_by_one(predictor, backend, multimask):
    boxes = np.concatenate([BOXES, BOXES + 1, BOXES + 2, BOXES + 3])  # more than one call of the decoder takes
    masks, scores, low_res = predictor.predict(box=boxes, multimask_output=multimask)
    count = 3 if multimask else 1
    assert masks.shape == (12, count, 60, 100) and scores.shape == (12, count) and low_res.shape == (12, count, 64, 64)
    for i, box in enumerate(boxes):
        assert same((masks[i], scores[i], low_res[i]), predictor.predict(box=box, multimask_output=multimask))
    assert len(backend.encoded) == 1


def test_several_lists_of_points_with_boxes_and_masks(predictor):
    points = np.array([[[40, 20], [5, 5]], [[10, 10], [90, 50]], [[60, 30], [1, 1]]])
    labels = np.array([[1, 0], [1, 1], [1, -1]])
    low_res = predictor.predict(box=BOXES, multimask_output=False)[2]
    for masks in (low_res, low_res[:, 0]):
        answer = predictor.predict(points, labels, BOXES, masks, multimask_output=False)
        for i in range(3):
            one = predictor.predict(points[i], labels[i], BOXES[i], low_res[i], multimask_output=False)
            assert same([part[i] for part in answer], one)


def test_no_boxes_give_no_masks(predictor, backend):
    masks, scores, low_res = predictor.predict(box=np.zeros((0, 4)), multimask_output=False)
    assert masks.shape == (0, 1, 60, 100) and scores.shape == (0, 1) and low_res.shape == (0, 1, 64, 64)
    assert not backend.decoded


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ({"box": np.zeros((2, 3))}, r"box must be \(K, 4\)"),
        ({"box": np.zeros((1, 2, 4))}, r"box must be \(4\)"),
        ({"box": BOXES, "point_coords": [[1, 2]], "point_labels": [1]}, "equally many objects, got 1 and 3"),
        ({"box": BOXES, "mask_input": np.zeros((1, 64, 64))}, r"mask_input must be \(3, 64, 64\)"),
        ({"point_coords": np.zeros((2, 3, 2)), "point_labels": [1, 1, 1]}, r"point_labels must be \(2, 3\)"),
    ],
)
def test_several_objects_have_prompts_of_the_same_number(predictor, prompt, message):
    with pytest.raises(PromptError, match=message):
        predictor.predict(**prompt)


def test_transform_brings_prompts_to_the_model_frame(predictor):
    transform = predictor.transform
    assert transform.target_length == 64 and transform.get_preprocess_shape(60, 100, 64) == (38, 64)
    assert transform.apply_image(IMAGE).shape == (38, 64, 3)
    points = np.array([[[50.0, 30], [0, 0]]])
    # a box keeps its outer edges, a point the middle of its pixel
    assert transform.apply_boxes(np.array([0, 0, 99, 59]), (60, 100))[0] == pytest.approx([-0.5, -0.5, 63.5, 37.5])
    moved = transform.apply_coords(points, (60, 100))
    assert moved[0, 0] == pytest.approx([(50.5 * 0.64) - 0.5, (30.5 * 38 / 60) - 0.5])
    assert points[0, 0].tolist() == [50, 30]
    boxes = transform.apply_boxes(BOXES, predictor.original_size)
    marks = np.ones((1, 2))
    assert same(
        predictor.predict_torch(None, None, boxes, None, False), predictor.predict(box=BOXES, multimask_output=False)
    )
    one = predictor.predict(points[0], marks[0], return_logits=True)
    assert same([part[0] for part in predictor.predict_torch(moved, marks, return_logits=True)], one)


def test_tensors_are_answered_with_tensors(predictor):
    torch = pytest.importorskip("torch")
    boxes = predictor.transform.apply_boxes_torch(torch.from_numpy(BOXES), IMAGE.shape[:2])
    points = predictor.transform.apply_coords_torch(torch.tensor([[[50, 30]]] * 3), IMAGE.shape[:2])
    assert boxes.dtype == points.dtype == torch.float32
    labels = torch.ones(3, 1, dtype=torch.int)
    answer = predictor.predict_torch(points, labels, boxes, multimask_output=False)
    assert [part.dtype for part in answer] == [torch.bool, torch.float32, torch.float32]
    expected = predictor.predict(np.array([[[50, 30]]] * 3), np.ones((3, 1)), BOXES, multimask_output=False)
    assert same([part.numpy() for part in answer], expected)
    again = predictor.predict_torch(None, None, boxes, mask_input=answer[2], return_logits=True)
    assert again[0].shape == (3, 3, 60, 100) and again[0].dtype == torch.float32


def test_an_image_of_the_transform_is_encoded_as_the_image(backend):
    image = np.random.default_rng(0).integers(0, 256, (60, 100, 3), np.uint8)
    predictor = SamPredictor(SamModel(backend))
    predictor.set_image(image)
    small = predictor.transform.apply_image(image)
    predictor.set_torch_image(small.transpose(2, 0, 1)[None], image.shape[:2])
    assert predictor.original_size == (60, 100) and predictor.input_size == (38, 64)
    # the range of the small image is a little narrower
    assert np.abs(backend.encoded[0] - backend.encoded[1]).max() < 0.6
    with pytest.raises(CaseError, match=r"must be \(1, 3, 38, 64\)"):
        predictor.set_torch_image(small[None], image.shape[:2])
    torch = pytest.importorskip("torch")
    batch = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None].float()
    predictor.set_torch_image(predictor.transform.apply_image_torch(batch), image.shape[:2])
    assert predictor.is_image_set and predictor.predict(box=BOXES)[0].any()
