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
