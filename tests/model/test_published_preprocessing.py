"""What published models need of the pre-processing: other filters, ranges, a square stretch, segment_anything's geometry."""

import dataclasses

import cv2
import numpy as np
import pytest
from fakes import FakeBackend
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lite_medsam.errors import WeightsError
from lite_medsam.model.preprocessing import (
    Frame,
    boxes_to_image,
    boxes_to_model,
    logits_to_window,
    points_to_image,
    points_to_model,
    resample,
    to_model,
)
from lite_medsam.model.spec import ModelSpec, Preprocessing
from lite_medsam.segment.predictor import Predictor

PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
SAM = Preprocessing(128, value_range="uint8", resampling="bilinear", geometry="indices", mask_stride=4)
LITE = Preprocessing(64, value_range="resized", resampling="area", **PLAIN)
MEDSAM = Preprocessing(
    64, value_range="resized", resampling="cubic", fit="stretch", geometry="indices", mask_stride=4, **PLAIN
)
SIDES = st.integers(1, 300)


def image_of(height, width, channels=3, seed=0):
    shape = (height, width, channels) if channels == 3 else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def test_our_own_models_pre_processing_is_the_default():
    old = ModelSpec().to_json()
    for name in ("value_range", "resampling", "fit", "geometry", "mask_stride", "family", "enabled"):
        old = "\n".join(line for line in old.splitlines() if f'"{name}"' not in line)
    old = old.replace("],\n  },", "]\n  },").replace("1.0,\n  },", "1.0\n  },")
    assert ModelSpec.from_json(old) == ModelSpec()


@pytest.mark.parametrize("field", ["value_range", "resampling", "fit", "geometry"])
def test_an_unknown_choice_shows_the_choices(field):
    spec = ModelSpec(preprocessing=dataclasses.replace(Preprocessing(), **{field: "other"}))
    with pytest.raises(WeightsError, match=f"{field} must be one of .*, got 'other'"):
        ModelSpec.from_json(spec.to_json())


@given(SIDES, SIDES)
def test_sides_are_rounded_as_published_code_does(height, width):
    scale = 1024 * 1.0 / max(height, width)
    expected = max(1, int(height * scale + 0.5)), max(1, int(width * scale + 0.5))
    assert Frame.whole((height, width), 1024).scaled_hw == expected


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("shape", [(40, 70), (200, 300), (128, 90)])
def test_sam_sees_pillows_filter_and_fixed_statistics(shape, channels):
    image = image_of(*shape, channels)
    frame = Frame.for_model(shape, SAM)
    height, width = frame.scaled_hw
    scaled = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR), np.float64)
    colours = scaled if channels == 3 else np.repeat(scaled[..., None], 3, axis=2)
    expected = np.zeros((128, 128, 3))
    expected[:height, :width] = (colours - (123.675, 116.28, 103.53)) / (58.395, 57.12, 57.375)
    assert np.abs(to_model(image, frame, SAM) - expected.transpose(2, 0, 1)).max() < 1e-5


@pytest.mark.parametrize("shape", [(40, 30), (200, 300), (64, 64)])
def test_litemedsam_takes_the_range_after_the_area_resize(shape):
    image = image_of(*shape)
    frame = Frame.for_model(shape, LITE)
    height, width = frame.scaled_hw
    scaled = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA).astype(np.float64)
    expected = np.zeros((64, 64, 3))
    expected[:height, :width] = (scaled - scaled.min()) / (scaled.max() - scaled.min())
    assert np.abs(to_model(image, frame, LITE) - expected.transpose(2, 0, 1)).max() < 1e-6


@pytest.mark.parametrize("settings", [SAM, LITE, MEDSAM])
def test_a_flat_image_gives_finite_numbers(settings):
    image = np.full((30, 50, 3), 77, np.uint8)
    assert np.isfinite(to_model(image, Frame.for_model((30, 50), settings), settings)).all()


def test_medsam_fills_the_square():
    frame = Frame.for_model((30, 50), MEDSAM)
    assert frame.scaled_hw == (64, 64)
    pixels = to_model(image_of(30, 50), frame, MEDSAM)
    assert pixels.shape == (3, 64, 64) and pixels.min() == 0 and pixels.max() == 1
    assert boxes_to_model([5, 3, 25, 15], frame) == pytest.approx([5 * 1.28, 3 * 64 / 30, 32, 32])


@pytest.mark.parametrize("shape", [(40, 30), (200, 300), (64, 64), (30, 200)])
@pytest.mark.parametrize("channels", [1, 3])
def test_medsams_resize_is_scikit_images(shape, channels):
    transform = pytest.importorskip("skimage.transform", reason="needs scikit-image to compare with")
    image = image_of(*shape, channels)
    colours = image if channels == 3 else np.repeat(image[..., None], 3, axis=2)
    expected = transform.resize(colours, (64, 64), order=3, preserve_range=True, anti_aliasing=True).astype(np.uint8)
    assert np.array_equal(resample(image, Frame.for_model(shape, MEDSAM), "cubic"), expected)


def test_a_cubic_resize_keeps_a_smooth_image():
    y, x = np.mgrid[:40, :60]
    image = (2 * x + 3 * y).astype(np.uint8)
    scaled = resample(image, Frame.for_model((40, 60), MEDSAM), "cubic")[..., 0]
    rows, columns = np.mgrid[:64, :64]
    expected = 2 * ((columns + 0.5) * 60 / 64 - 0.5) + 3 * ((rows + 0.5) * 40 / 64 - 0.5)
    assert np.abs(scaled - expected)[4:-4, 4:-4].max() <= 1.01  # cut to whole numbers


@given(SIDES, SIDES, st.sampled_from([SAM, LITE, MEDSAM]))
def test_coordinates_come_back(height, width, settings):
    frame = Frame.for_model((height, width), settings)
    boxes = np.array([[0, 0, width - 1, height - 1], [0.25, 0.5, width / 2, height / 3]])
    assert boxes_to_image(boxes_to_model(boxes, frame), frame) == pytest.approx(boxes, abs=1e-3)
    assert points_to_image(points_to_model(boxes[:, :2], frame), frame) == pytest.approx(boxes[:, :2], abs=1e-3)


def test_indices_are_multiplied_by_the_scale():
    frame = Frame.for_model((60, 100), SAM)  # 77 x 128
    assert points_to_model([50, 30], frame) == pytest.approx([64, 30 * 77 / 60])
    assert boxes_to_model([10, 20, 30, 40], frame) == pytest.approx([12.8, 20 * 77 / 60, 38.4, 40 * 77 / 60])


def test_coarse_logits_are_brought_to_the_frame_first():
    frame = Frame.for_model((60, 100), SAM)
    coarse = np.random.default_rng(0).standard_normal((32, 32)).astype(np.float32)
    fine = cv2.resize(coarse, (128, 128), interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(logits_to_window(coarse, frame), logits_to_window(fine, frame))


def test_stretched_logits_are_resized_in_one_step():
    coarse = np.random.default_rng(0).standard_normal((16, 16)).astype(np.float32)
    expected = cv2.resize(coarse, (50, 30), interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(logits_to_window(coarse, Frame.for_model((30, 50), MEDSAM)), expected)


class CoarseBackend(FakeBackend):
    """A fake whose logits are a quarter of its frame a side."""

    def __init__(self):
        super().__init__(size=64)
        self.spec = dataclasses.replace(self.spec, preprocessing=dataclasses.replace(SAM, image_size=64))

    def decode(self, features, coords, labels, previous, has_previous):
        assert previous.shape == (len(coords), 1, 16, 16)
        self.decoded.append((coords, labels, previous, has_previous))
        logits = np.stack([self._answer(c, k) for c, k in zip(coords, labels, strict=True)])[:, ::4, ::4]
        return logits[:, None].astype(np.float32), np.full((len(coords), 1), 0.9, np.float32)


def test_predictor_handles_coarse_logits_and_masks():
    from lite_medsam.prompts.prompt_set import Prompt

    backend = CoarseBackend()
    predictor = Predictor(backend, zoom="off")
    image = image_of(64, 64)
    result = predictor.segment(image, [[8, 8, 40, 40]])
    assert result.logits.shape == (1, 16, 16) and result.mask(0).shape == (64, 64)
    assert result.mask(0)[14:34, 14:34].all() and not result.mask(0)[50:, 50:].any()
    mask = np.zeros((64, 64), bool)
    mask[:, 32:] = True
    predictor.segment(image, [Prompt(box=(8, 8, 40, 40), mask=mask)])
    previous = backend.decoded[-1][2]
    assert (previous[0, 0, :, :8] < 0).all() and (previous[0, 0, :, 8:] > 0).all()


def test_crops_can_be_switched_off_in_the_spec():
    backend = FakeBackend(size=64)
    assert Predictor(backend).segment(image_of(300, 300), [[10, 10, 20, 20]]).frames[0].width < 300
    backend.spec = dataclasses.replace(backend.spec, zoom=dataclasses.replace(backend.spec.zoom, enabled=False))
    assert Predictor(backend).segment(image_of(300, 300), [[10, 10, 20, 20]]).frames[0].width == 300
