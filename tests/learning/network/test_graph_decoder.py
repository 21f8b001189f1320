"""The decoder in the form that is exported, against the one that is trained."""

import numpy as np
import onnxruntime
import pytest
import torch
from tiny import tiny_model

from lite_medsam.learning.network.export import example_prompts, export_model
from lite_medsam.learning.network.graph_decoder import GraphDecoder, embed_tokens
from lite_medsam.model.engines import ANSWERS_INPUT
from lite_medsam.model.runtime import decode_first, open_backend
from lite_medsam.phantoms import make_phantom
from lite_medsam.prompts.prompt_set import box_from_mask
from lite_medsam.segment.predictor import Predictor
from lite_medsam.storage.bundled import DEFAULT_WEIGHTS

MODEL = tiny_model()
WITH = {"none": [0, 0, 0, 0, 0, 0], "all": [1] * 6, "mixed": [0, 1, 0, 0, 1, 1], "one": [0, 0, 0, 0, 0, 1]}


def inputs(images, has_previous, tokens=4):
    pixels = torch.randn(images, 3, 64, 64, generator=torch.Generator().manual_seed(images))
    prompts = [torch.from_numpy(part) for part in example_prompts(6, 64, 3)]
    repeats = -(-tokens // 4)
    coords, labels = (torch.cat([part] * repeats, dim=1)[:, :tokens] for part in prompts[:2])
    with torch.no_grad():
        return MODEL.encode(pixels), coords, labels, prompts[2], torch.tensor(has_previous, dtype=torch.float32)


@pytest.mark.parametrize("kind", WITH)
@pytest.mark.parametrize("images", [1, 2, 3, 6])
@pytest.mark.parametrize("tokens", [1, 2, 4, 9])
def test_it_is_the_same_function(images, kind, tokens):
    features, *prompts = inputs(images, WITH[kind], tokens)
    with torch.no_grad():
        expected = MODEL.decode(features, *prompts)
        actual = GraphDecoder(MODEL)(features, *prompts, torch.tensor(4))
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)
    decided = expected[0].abs() > 1e-4  # the logits of an untrained model lie around 0
    assert (actual[0] > 0)[decided].equal((expected[0] > 0)[decided])


def test_the_default_model_draws_the_same_label_maps():
    engines = [Predictor.open(DEFAULT_WEIGHTS, name, threads=1) for name in ("torch", "onnxruntime")]
    objects = 0
    for kind in ("ct", "us", "oct-cme", "microscopy"):
        case = make_phantom(kind, 4)
        boxes = [box_from_mask(case.label == value) for value in np.unique(case.label) if value]
        expected, actual = (predictor.segment(case.image, boxes).label_map() for predictor in engines)
        objects += len(boxes)
        # a pixel whose logit is 0 up to rounding may fall either way on some processor
        assert np.count_nonzero(expected != actual) <= 1e-5 * expected.size
    assert objects > 10


def test_an_absent_mask_is_not_a_mask_of_zeros():
    features, coords, labels, previous, _ = inputs(1, WITH["none"])
    decoder = GraphDecoder(MODEL)
    with torch.no_grad():
        absent = decoder(features, coords, labels, previous * 0, torch.zeros(6), torch.tensor(4))[0]
        zeros = decoder(features, coords, labels, previous * 0, torch.ones(6), torch.tensor(4))[0]
        other = decoder(features, coords, labels, previous, torch.zeros(6), torch.tensor(4))[0]
    assert (absent - zeros).abs().max() > 1e-3
    assert absent.equal(other)


def test_the_look_up_of_labels_is_the_prompt_encoder():
    _, coords, labels, _, _ = inputs(1, WITH["none"])
    labels[0] = torch.tensor([-1.0, 0, 1, 2])
    labels[1] = torch.tensor([3.0, -1, -1, -1])
    with torch.no_grad():
        expected, _ = MODEL.prompt_encoder(coords, labels, None, None)
        np.testing.assert_allclose(embed_tokens(MODEL.prompt_encoder, coords, labels), expected, atol=1e-6)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    export_model(tiny_model(), path)
    return path


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino", "torch"])
@pytest.mark.parametrize("kind", WITH)
def test_the_graph_in_every_engine_equals_torch(directory, engine, kind):
    if engine == "openvino":
        pytest.importorskip("openvino")
    reference, backend = open_backend(directory, "torch"), open_backend(directory, engine, threads=1)
    for images in (1, 2, 6):
        features, *prompts = ([f.numpy() for f in part] if isinstance(part, tuple) else part.numpy()
                              for part in inputs(images, WITH[kind]))  # fmt: skip
        expected = reference.decode(tuple(features), *prompts)
        for a, b in zip(backend.decode(tuple(features), *prompts), expected, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-4)
        for a, b in zip(decode_first(backend, tuple(features), *prompts), expected, strict=True):
            np.testing.assert_allclose(a, b[:, :1], atol=1e-4)


def test_the_number_of_answers_is_optional_and_honoured(directory):
    session = onnxruntime.InferenceSession(str(directory / "decoder.onnx"), providers=["CPUExecutionProvider"])
    assert ANSWERS_INPUT not in {i.name for i in session.get_inputs()}
    assert ANSWERS_INPUT in {i.name for i in session.get_overridable_initializers()}
    features, *prompts = inputs(1, WITH["none"])
    names = ("embedding", "skip4", "skip2", "detail", "coords", "labels", "previous", "has_previous")
    given = {n: t.numpy() for n, t in zip(names, (*features, *prompts), strict=True)}
    everything = session.run(None, given)
    assert everything[0].shape[1] == 4
    for count in (1, 3):
        logits, scores = session.run(None, given | {ANSWERS_INPUT: np.array(count)})
        np.testing.assert_array_equal(scores, everything[1][:, :count])
        np.testing.assert_allclose(logits, everything[0][:, :count], atol=1e-5)


def test_attention_leaves_no_denormal_numbers():
    """Pixels that a token is far from would get weights that a CPU multiplies slowly."""
    tokens = torch.tensor([[[300.0] * 32]])
    attention = MODEL.mask_decoder.transformer.final_attn_token_to_image
    from lite_medsam.learning.network import graph_decoder

    with torch.no_grad():
        pixels = torch.randn(1, 64, 32, generator=torch.Generator().manual_seed(0)) * 30
        found = graph_decoder._tokens_to_pixels(attention, tokens, pixels, pixels, False)
        np.testing.assert_allclose(found, attention(tokens, pixels, pixels), rtol=1e-4, atol=1e-4)
    assert found.isfinite().all()
