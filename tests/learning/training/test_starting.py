"""The network around LiteMedSAM's trunk: at step 0 it computes what LiteMedSAM computes on that grid."""

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from places import SHARED

from lite_medsam.errors import WeightsError
from lite_medsam.learning.network.backend import TorchBackend
from lite_medsam.learning.network.export import example_prompts, export_model
from lite_medsam.learning.network.families import PublishedMaskDecoder
from lite_medsam.learning.network.litemedsam_encoder import TinyVitEncoder
from lite_medsam.learning.network.model import PADDING, BatchPromptEncoder, PromptedSegmenter
from lite_medsam.learning.network.trunk_encoder import resize_window, trunk_shape
from lite_medsam.learning.training.starting import start_trunk
from lite_medsam.learning.training.trainable import last_modules
from lite_medsam.model.engines import OnnxBackend
from lite_medsam.model.spec import LITEMEDSAM_TRUNK, Architecture, ModelSpec, Preprocessing

REFERENCE = SHARED / "reference" / "lite_medsam_random.pth"
ARCHITECTURE = Architecture(
    backbone=LITEMEDSAM_TRUNK, embedding_dim=256, skip_dims=(64, 32, 16), transformer_mlp_dim=2048
)


def trunk_spec(size: int = 64, **changes) -> ModelSpec:
    settings = Preprocessing(image_size=size, mean=(0.0,) * 3, std=(1.0,) * 3)
    return ModelSpec(name="trunk", architecture=dataclasses.replace(ARCHITECTURE, **changes), preprocessing=settings)


class Reference(torch.nn.Module):
    """LiteMedSAM on a quarter of the pixels, its embedding doubled; the parts have the published names."""

    def __init__(self, size: int):
        super().__init__()
        self.image_encoder = TinyVitEncoder()
        self.prompt_encoder = BatchPromptEncoder(
            embed_dim=256, image_embedding_size=(size // 8, size // 8), input_image_size=(size, size), mask_in_chans=16
        )
        self.mask_decoder = PublishedMaskDecoder()

    def forward(self, pixels, coords, labels):
        embedding = self.image_encoder(F.avg_pool2d(pixels, 4))
        embedding = F.interpolate(embedding, scale_factor=2, mode="bilinear", align_corners=False)
        sparse, dense = self.prompt_encoder(coords, labels, None, None)
        valid = labels != PADDING
        return self.mask_decoder(embedding, self.prompt_encoder.get_dense_pe(), sparse, valid, dense)


def random_reference(size: int) -> Reference:
    torch.manual_seed(3)
    model = Reference(size).eval()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):  # statistics of its own, so that a lost one is seen
                module.running_mean.normal_(std=0.1)
                module.running_var.uniform_(0.5, 2)
        for name, parameter in model.named_parameters():
            if name.endswith("attention_biases"):
                parameter.normal_()
    return model


def started(reference: Reference, spec: ModelSpec) -> PromptedSegmenter:
    model = PromptedSegmenter(spec)
    state = {k: v for k, v in reference.state_dict().items() if not k.endswith("num_batches_tracked")}
    start_trunk(model, state, "the reference")
    return model.eval()


def answers(reference: Reference, model: PromptedSegmenter, pixels: torch.Tensor) -> tuple:
    size = pixels.shape[-1]
    coords = torch.tensor([[[5.0, 9.0], [40.0, 50.0]], [[20.0, 3.0], [60.0, 33.0]]]) * size / 64
    labels = torch.tensor([[2.0, 3.0], [2.0, 3.0]])
    with torch.no_grad():
        expected = reference(pixels, coords, labels)
        return expected, model.decode(model.encode(pixels), coords, labels)


@pytest.mark.parametrize("size", [64, 96])
def test_at_step_0_it_is_litemedsam_on_a_quarter_of_the_pixels(size):
    reference = random_reference(size)
    model = started(reference, trunk_spec(size))
    expected, found = answers(reference, model, torch.rand(1, 3, size, size, generator=torch.manual_seed(1)))
    logits = F.interpolate(expected[0], scale_factor=2, mode="bilinear", align_corners=False)
    assert logits.std() > 0.01
    torch.testing.assert_close(found[0], logits, rtol=0, atol=1e-4)
    torch.testing.assert_close(found[1], expected[1], rtol=0, atol=1e-4)


@pytest.mark.skipif(not REFERENCE.is_file(), reason="needs ../shared/reference")
def test_the_published_file_starts_it():
    from lite_medsam.learning.published.reading import load_published

    state = load_published(REFERENCE, "litemedsam").state
    reference = Reference(256).eval()
    reference.load_state_dict(state, strict=False)
    model = PromptedSegmenter(trunk_spec(256))
    start_trunk(model, state, REFERENCE.name)
    expected, found = answers(reference, model.eval(), torch.rand(1, 3, 256, 256, generator=torch.manual_seed(1)))
    logits = F.interpolate(expected[0], scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(found[0], logits, rtol=0, atol=2e-3 * float(logits.abs().max()))


def test_every_addition_learns():
    model = started(random_reference(64), trunk_spec())
    pixels = torch.rand(1, 3, 64, 64)
    logits, _ = model.decode(
        model.encode(pixels), torch.tensor([[[5.0, 9.0], [40.0, 50.0]]]), torch.tensor([[2.0, 3.0]])
    )
    logits.square().mean().backward()
    silent = [name for name, p in model.image_encoder.named_parameters() if p.grad is None or not p.grad.any()]
    # behind a silent layer nothing learns before that layer has taken its first step
    assert all(name.startswith(("detail", "backbone")) for name in silent), silent
    for part in (model.image_encoder.to_first_stage, model.image_encoder.lateral, model.image_encoder.skip4):
        assert part.weight.grad.any()


def test_larger_windows_keep_the_bias_of_every_offset():
    biases = torch.arange(2 * 9.0).reshape(2, 9)
    wide = resize_window(biases, 4).reshape(2, 4, 4)
    assert torch.equal(wide[:, :3, :3], biases.reshape(2, 3, 3))
    assert torch.equal(wide[:, 3, :3], wide[:, 2, :3]) and torch.equal(wide[:, :, 3], wide[:, :, 2])
    reference = random_reference(64)
    model = started(reference, trunk_spec(windows=(8, 8, 16, 8)))
    attention = model.image_encoder.backbone.layers[2].blocks[0].attn
    old = reference.image_encoder.layers[2].blocks[0].attn.attention_biases.reshape(5, 14, 14)
    assert torch.equal(attention.attention_biases.reshape(5, 16, 16)[:, :14, :14], old)
    assert trunk_shape(model.spec.architecture).windows == (8, 8, 16, 8)


def test_the_graphs_equal_torch(tmp_path):
    model = started(random_reference(64), trunk_spec())
    with torch.no_grad():  # as after some training: the additions speak
        for parameter in model.parameters():
            if not parameter.any():
                parameter.normal_(std=0.02)
    assert export_model(model, tmp_path) < 1e-3
    prompts = example_prompts(3, 64, 0)
    backend = OnnxBackend(tmp_path, model.spec, threads=1)
    pixels = np.random.default_rng(0).random((1, 3, 64, 64), np.float32)
    expected = TorchBackend(model)
    logits, _ = expected.decode(expected.encode(pixels), *prompts)
    assert np.abs(backend.decode(backend.encode(pixels), *prompts)[0] - logits).max() < 1e-3


def test_other_recipes_do_not_start_from_it():
    state = random_reference(64).state_dict()
    with pytest.raises(WeightsError, match="backbone"):
        start_trunk(PromptedSegmenter(ModelSpec(preprocessing=Preprocessing(image_size=64))), state, "x.pth")
    with pytest.raises(WeightsError, match="must fit"):
        start_trunk(PromptedSegmenter(trunk_spec(transformer_mlp_dim=512)), state, "x.pth")


def test_the_last_part_of_the_encoder_is_the_trunks_end():
    model = PromptedSegmenter(trunk_spec())
    backbone = model.image_encoder.backbone
    last = last_modules(model)
    assert backbone.neck in last and backbone.layers[3] in last and backbone.layers[0] not in last
