import numpy as np
import pytest
import tiny_models
import torch
from places import SHARED
from tiny_models import TINY_VIT

from lite_medsam.learning.network.litemedsam_encoder import (
    MOBILE_SAM,
    ConvNorm,
    TinyVitEncoder,
    TinyVitShape,
    WindowAttention,
    fuse_conv_norm,
)

REFERENCE = SHARED / "reference"


def tiny(seed=0, shape=TINY_VIT):
    return tiny_models.randomise(TinyVitEncoder(shape), seed)


@torch.no_grad()
def test_resolution_falls_twice_and_the_last_merge_keeps_it():
    sides = []
    model = tiny()
    for stage in model.layers:
        stage.blocks[0].register_forward_hook(lambda module, inputs, output: sides.append(output.shape[-1]))
    assert model(torch.zeros(2, 3, 40, 40)).shape == (2, 256, 10, 10)
    assert sides == [40, 20, 10, 10]


@torch.no_grad()
def test_mobile_sams_stem_divides_by_four():
    shape = TinyVitShape(3, 2, TINY_VIT.widths, TINY_VIT.depths, TINY_VIT.heads, TINY_VIT.windows)
    assert (MOBILE_SAM.stem_kernel, MOBILE_SAM.stem_stride) == (3, 2)
    assert tiny(shape=shape)(torch.zeros(1, 3, 64, 64)).shape == (1, 256, 4, 4)


@torch.no_grad()
def test_images_of_a_batch_do_not_mix():
    model = tiny()
    pixels = torch.randn(3, 3, 40, 40, generator=torch.Generator().manual_seed(1))
    apart = torch.cat([model(pixels[i : i + 1]) for i in range(3)])
    assert torch.allclose(model(pixels), apart, atol=1e-4)


@torch.no_grad()
def test_fused_convolutions_compute_the_same():
    model = tiny()
    fused = fuse_conv_norm(model)
    assert not any(isinstance(m, (ConvNorm, torch.nn.BatchNorm2d)) for m in fused.modules())
    assert any(isinstance(m, ConvNorm) for m in model.modules())
    pixels = torch.randn(1, 3, 40, 40, generator=torch.Generator().manual_seed(1))
    expected = model(pixels)
    assert torch.allclose(fused(pixels), expected, atol=1e-4) and expected.std() > 0.1


def test_the_attention_bias_depends_on_the_absolute_offset_only():
    offset = WindowAttention(4, 1, 3).offset
    for i in range(9):
        for j in range(9):
            rows, columns = abs(i // 3 - j // 3), abs(i % 3 - j % 3)
            assert offset[i, j] == rows * 3 + columns


@torch.no_grad()
def test_window_attention_equals_the_definition():
    attention = tiny_models.randomise(WindowAttention(4, 2, 3), 0)
    tokens = torch.randn(2, 9, 4, generator=torch.Generator().manual_seed(0))
    normal = attention.norm(tokens)
    expected = torch.zeros(2, 9, 4)
    for head in range(2):
        rows = slice(6 * head, 6 * head + 6)  # of the projection: two for queries, keys and values of each head
        q, k, v = (normal @ attention.qkv.weight[rows].T + attention.qkv.bias[rows]).split(2, dim=-1)
        scores = q @ k.transpose(1, 2) / 2**0.5 + attention.attention_biases[head][attention.offset]
        expected[..., 2 * head : 2 * head + 2] = torch.softmax(scores, -1) @ v
    assert torch.allclose(attention(tokens), attention.proj(expected), atol=1e-5)


@pytest.mark.skipif(not REFERENCE.is_dir(), reason="needs ../shared/reference")
@torch.no_grad()
def test_the_embedding_is_that_of_the_original():
    state = torch.load(REFERENCE / "lite_medsam_random.pth", weights_only=True)
    prefix = "image_encoder."
    model = TinyVitEncoder()
    model.load_state_dict({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})
    case = np.load(REFERENCE / "case1.npz")
    embedding = fuse_conv_norm(model)(torch.from_numpy(case["pixels"])[None])[0, :, ::4, ::4].numpy()
    assert np.abs(embedding - case["embedding"]).max() < 1e-3
