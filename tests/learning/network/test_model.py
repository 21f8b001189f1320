import pytest
import torch
from segment_anything.modeling import MaskDecoder, PromptEncoder, TwoWayTransformer
from tiny import tiny_model
from torch.utils.flop_counter import FlopCounterMode

from lite_medsam.learning.network.encoder import load_folded_mobilenetv2
from lite_medsam.learning.network.model import PADDING, BatchPromptEncoder, PromptedSegmenter
from lite_medsam.model.spec import ModelSpec, Preprocessing


@pytest.fixture(scope="module")
def encoders():
    arguments = {"embed_dim": 32, "image_embedding_size": (8, 8), "input_image_size": (64, 64), "mask_in_chans": 4}
    torch.manual_seed(0)
    original, ours = PromptEncoder(**arguments), BatchPromptEncoder(**arguments)
    ours.load_state_dict(original.state_dict())
    return original.eval(), ours.eval()


@torch.no_grad()
@pytest.mark.parametrize("count", [1, 3])
def test_boxes_are_encoded_as_by_segment_anything(encoders, count):
    original, ours = encoders
    boxes = torch.rand(count, 4) * 63
    sparse, dense = original(points=None, boxes=boxes, masks=None)
    labels = torch.tensor([[2.0, 3.0]]).expand(count, 2)
    for previous in (None, torch.zeros(count, 1, 64, 64)):
        mine, my_dense = ours(boxes.reshape(count, 2, 2), labels, previous, torch.zeros(count))
        torch.testing.assert_close(mine, sparse)
        torch.testing.assert_close(my_dense, dense)


@torch.no_grad()
def test_points_and_masks_are_encoded_as_by_segment_anything(encoders):
    original, ours = encoders
    points, labels = torch.rand(3, 2, 2) * 63, torch.tensor([[1, 0], [1, 1], [0, 1]])
    mask = torch.randn(3, 1, 64, 64)
    smaller = torch.nn.functional.avg_pool2d(mask, 2)  # the original takes the mask at half our size
    sparse, dense = original(points=(points, labels), boxes=None, masks=smaller)
    padded = torch.cat([points, torch.zeros(3, 1, 2)], 1), torch.cat([labels.float(), torch.full((3, 1), PADDING)], 1)
    mine, my_dense = ours(*padded, mask, torch.ones(3))
    torch.testing.assert_close(mine, sparse)
    torch.testing.assert_close(my_dense, dense)


@torch.no_grad()
def test_mixed_prompts_equal_each_on_its_own(encoders):
    _, ours = encoders
    coords = torch.rand(4, 3, 2) * 63
    labels = torch.tensor([[2.0, 3, -1], [1, -1, -1], [1, 0, 1], [2, 3, 1]])
    previous, has_previous = torch.randn(4, 1, 64, 64), torch.tensor([0.0, 1, 0, 1])
    sparse, dense = ours(coords, labels, previous, has_previous)
    for i in range(4):
        one = slice(i, i + 1)
        alone, alone_dense = ours(coords[one], labels[one], previous[one], has_previous[one])
        torch.testing.assert_close(sparse[one], alone)
        torch.testing.assert_close(dense[one], alone_dense)


@torch.no_grad()
def test_the_transformer_sees_what_the_original_decoder_shows_it():
    # same weights, one image: our tokens and keys must be those of segment_anything's MaskDecoder
    model = tiny_model()
    ours = model.mask_decoder
    torch.manual_seed(1)
    original = MaskDecoder(
        transformer_dim=32, transformer=TwoWayTransformer(depth=2, embedding_dim=32, mlp_dim=32, num_heads=4),
        num_multimask_outputs=3, iou_head_hidden_dim=32,
    ).eval()  # fmt: skip
    shared = {k: v for k, v in ours.state_dict().items() if k in original.state_dict()}
    shared = {k: v for k, v in shared.items() if v.shape == original.state_dict()[k].shape}
    original.load_state_dict(shared, strict=False)
    features = model.encode(torch.randn(1, 3, 64, 64))
    sparse, dense = torch.randn(5, 2, 32), torch.randn(5, 32, 8, 8)
    image_pe = model.prompt_encoder.get_dense_pe()
    _, scores = ours(features, image_pe, sparse, dense)
    _, expected = original.predict_masks(features[0], image_pe, sparse, dense)
    torch.testing.assert_close(scores, expected)


@torch.no_grad()
@pytest.mark.parametrize("images", [1, 2, 6])
def test_prompts_of_several_images_equal_image_by_image(images):
    model = tiny_model()
    features = model.encode(torch.randn(images, 3, 64, 64))
    coords = torch.rand(6, 2, 2) * 63
    labels = torch.tensor([[2.0, 3.0]]).expand(6, 2)
    logits, scores = model.decode(features, coords, labels)
    assert logits.shape == (6, 4, 64, 64) and scores.shape == (6, 4)
    for i in range(6):
        mine = tuple(f[i * images // 6 : i * images // 6 + 1] for f in features)
        alone, alone_scores = model.decode(mine, coords[i : i + 1], labels[i : i + 1])
        torch.testing.assert_close(logits[i : i + 1], alone, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(scores[i : i + 1], alone_scores, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_drawing_fewer_masks_changes_none_of_them():
    model = tiny_model()
    features = model.encode(torch.randn(1, 3, 64, 64))
    prompts = torch.rand(2, 2, 2) * 63, torch.tensor([[2.0, 3.0]]).expand(2, 2)
    every, _ = model.decode(features, *prompts)
    first, _ = model.decode(features, *prompts, mask_tokens=1)
    torch.testing.assert_close(every[:, :1], first)


@torch.no_grad()
@pytest.mark.parametrize("size", [256, 512])
def test_the_default_model_is_as_small_as_promised(size):
    model = PromptedSegmenter(ModelSpec(preprocessing=Preprocessing(image_size=size))).eval()
    assert sum(p.numel() for p in model.parameters()) < 10e6
    with FlopCounterMode(display=False) as counter:
        features = model.encode(torch.randn(1, 3, size, size))
    scale = (size / 256) ** 2
    assert counter.get_total_flops() / 2 < 2.5e9 * scale
    with FlopCounterMode(display=False) as counter:
        logits, _ = model.decode(
            features,
            torch.rand(1, 2, 2) * size,
            torch.tensor([[2.0, 3.0]]),
            torch.zeros(1, 1, size, size),
            torch.zeros(1),
        )
    assert counter.get_total_flops() / 2 < 0.6e9 * scale
    assert logits.shape[2:] == (size, size)


def test_image_size_must_fit_the_strides():
    with pytest.raises(ValueError, match="multiple of 32"):
        PromptedSegmenter(ModelSpec(preprocessing=Preprocessing(image_size=100)))


@torch.no_grad()
def test_folded_imagenet_weights_keep_their_function():
    model = PromptedSegmenter(ModelSpec())
    backbone = model.image_encoder.backbone
    convs = [m for m in backbone.modules() if isinstance(m, torch.nn.Conv2d)]
    torch.manual_seed(0)
    tensors = {}
    for i, conv in enumerate(convs):
        name = "stem.0" if i == 0 else f"blocks.{i - 1}.conv"
        tensors[f"{name}.weight"] = torch.randn_like(conv.weight) * (2 / conv.weight[0].numel()) ** 0.5
        tensors[f"{name}.bias"] = torch.randn(len(conv.weight)) * 0.1
    tensors["head.0.weight"], tensors["head.0.bias"] = torch.randn(1280, 320, 1, 1), torch.zeros(1280)
    images = torch.randn(4, 3, 64, 64)
    load_folded_mobilenetv2(backbone, dict(sorted(tensors.items())), images)
    # the same network with plain convolutions and biases
    bare = PromptedSegmenter(ModelSpec()).image_encoder.backbone.eval()
    for (name, module), norm in zip(
        [(n, m) for n, m in bare.named_modules() if isinstance(m, torch.nn.Conv2d)],
        [m for m in bare.modules() if isinstance(m, torch.nn.BatchNorm2d)],
        strict=True,
    ):
        assert name
        index = [m for m in bare.modules() if isinstance(m, torch.nn.Conv2d)].index(module)
        key = "stem.0" if index == 0 else f"blocks.{index - 1}.conv"
        module.weight.copy_(tensors[f"{key}.weight"])
        norm.running_var.fill_(1 - norm.eps)
        norm.bias.copy_(tensors[f"{key}.bias"])
    other = torch.randn(2, 3, 64, 64)
    for ours, plain in zip(backbone.eval()(other), bare(other), strict=True):
        torch.testing.assert_close(ours, plain, atol=1e-3, rtol=1e-3)
