"""What the parts of a trained network around LiteMedSAM's trunk cost, and what is lost without each of them.

Every line is the same model with one thing changed, and not trained again: a part that adds something adds nothing, an MLP of
the mask decoder keeps its strongest hidden units alone, attention windows are narrower or wider, the mask decoder's work is
counted on another grid. Multiply-adds are those of torch's counter for one image and one box with one mask, as the code of
training is written; the exported decoder needs fewer for several prompts.

    python -m lite_medsam.learning.network.part_study MODEL CASES [EVERY] > parts.md

MODEL is a model directory, CASES a folder of validation cases; every n-th of them is segmented from the boxes of the protocol
`box`. Without CASES only work is counted.
"""

import copy
import dataclasses
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from lite_medsam.errors import WeightsError
from lite_medsam.evaluation.evaluate import evaluate
from lite_medsam.evaluation.scores import average
from lite_medsam.learning.network.backend import TorchBackend
from lite_medsam.learning.network.checkpoint import load_model
from lite_medsam.learning.network.model import PromptedSegmenter
from lite_medsam.learning.network.trunk_encoder import resized_windows
from lite_medsam.model.spec import Architecture, ModelSpec
from lite_medsam.prompts.prompt_set import load_protocol
from lite_medsam.segment.predictor import Predictor

Change = Callable[[PromptedSegmenter], PromptedSegmenter]
SIZES = (256, 384, 512)  # 64, 96 and 128 tokens along a side
WINDOWS = ((7, 7, 14, 7), (8, 8, 16, 8), (7, 7, 16, 8))
MLP_DIMS = (1024, 512, 256)
ADDED = {
    "without the path of full resolution into the first stage": "image_encoder.to_first_stage",
    "without the lateral of the second stage": "image_encoder.lateral",
    "without the skip at stride 4": "image_encoder.skip4",
    "without the skip at stride 2": "image_encoder.skip2",
}


def work(spec: ModelSpec) -> tuple[float, float, float]:
    """GMAC of the encoder, GMAC of the decoder for one box, and millions of parameters."""
    model = PromptedSegmenter(spec).eval().requires_grad_(False)
    size = spec.preprocessing.image_size
    pixels, coords = torch.zeros(1, 3, size, size), torch.zeros(1, 2, 2)
    with FlopCounterMode(display=False) as encoder:
        features = model.encode(pixels)
    with FlopCounterMode(display=False) as decoder:
        model.decode(features, coords, torch.tensor([[2.0, 3.0]]), mask_tokens=1)
    parameters = sum(p.numel() for p in model.parameters())
    return encoder.get_total_flops() / 2e9, decoder.get_total_flops() / 2e9, parameters / 1e6


def changed(spec: ModelSpec, **architecture) -> ModelSpec:
    """A spec with another architecture."""
    return dataclasses.replace(spec, architecture=dataclasses.replace(spec.architecture, **architecture))


def silenced(model: PromptedSegmenter, part: str) -> PromptedSegmenter:
    """The model with a part that adds nothing any more."""
    module = model.get_submodule(part)
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    return model


def without_reading_out(model: PromptedSegmenter) -> PromptedSegmenter:
    """The model without the linear read-out of full-resolution features."""
    mlps: Any = model.mask_decoder.detail_hypernetworks_mlps
    for mlp in mlps:
        last: Any = mlp.layers[-1]
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
    return model


def with_windows(model: PromptedSegmenter, windows: tuple[int, int, int, int]) -> PromptedSegmenter:
    """The model with other attention windows, the biases of the same offsets."""
    other = PromptedSegmenter(changed(model.spec, windows=windows)).eval()
    other.load_state_dict(resized_windows(other.state_dict(), model.state_dict()))
    return other


def with_mlps(model: PromptedSegmenter, dim: int) -> PromptedSegmenter:
    """The model whose mask decoder's MLPs keep so many hidden units: those that can change the most."""
    other = PromptedSegmenter(changed(model.spec, transformer_mlp_dim=dim)).eval()
    state = dict(model.state_dict())
    for i, layer in enumerate(model.mask_decoder.transformer.layers):
        first, second = layer.mlp.lin1, layer.mlp.lin2
        strength = first.weight.norm(dim=1) * second.weight.norm(dim=0)
        kept = strength.topk(dim).indices.sort().values
        name = f"mask_decoder.transformer.layers.{i}.mlp."
        state |= {
            f"{name}lin1.weight": first.weight[kept],
            f"{name}lin1.bias": first.bias[kept],
            f"{name}lin2.weight": second.weight[:, kept],
        }
    other.load_state_dict(state)
    return other


def changes(architecture: Architecture) -> dict[str, tuple[Change, dict]]:
    """What is changed, by what it is called, and how that changes the architecture."""
    found: dict[str, tuple[Change, dict]] = {"as it is": (lambda model: model, {})}
    for windows in WINDOWS:
        if windows != architecture.windows:
            name = f"windows {', '.join(map(str, windows))}"
            found[name] = partial(with_windows, windows=windows), {"windows": windows}
    for name, part in ADDED.items():
        found[name] = partial(silenced, part=part), {}
    found["without the read-out of full resolution"] = without_reading_out, {}
    for dim in MLP_DIMS:
        if dim < architecture.transformer_mlp_dim:
            name = f"MLPs of the mask decoder with {dim} hidden units"
            found[name] = partial(with_mlps, dim=dim), {"transformer_mlp_dim": dim}
    return found


def study(model: PromptedSegmenter, cases: Sequence[Path]) -> list[str]:
    """The lines of a Markdown table of what each change costs in Dice, one after the other."""
    lines = ["| the model | encoder, GMAC | decoder, GMAC | Dice | surface Dice |", "| --- | --- | --- | --- | --- |"]
    for name, (change, architecture) in changes(model.spec.architecture).items():
        encoder, decoder, _ = work(changed(model.spec, **architecture))
        predictor = Predictor(TorchBackend(change(copy.deepcopy(model))))
        rows = evaluate(predictor, cases, load_protocol("box")).rows
        dice, surface = (average(rows, score, True) for score in ("dice", "surface_dice"))
        lines.append(f"| {name} | {encoder:.2f} | {decoder:.2f} | {dice:.4f} | {surface:.4f} |")
    return lines


def sizes(spec: ModelSpec) -> list[str]:
    """The lines of a Markdown table of the work at other input sizes."""
    lines = ["| input, tokens | encoder, GMAC | decoder, GMAC | parameters, million |", "| --- | --- | --- | --- |"]
    for size in SIZES:
        preprocessing = dataclasses.replace(spec.preprocessing, image_size=size)
        encoder, decoder, parameters = work(dataclasses.replace(spec, preprocessing=preprocessing))
        lines.append(f"| {size} px, {size // 4} x {size // 4} | {encoder:.2f} | {decoder:.2f} | {parameters:.1f} |")
    return lines


def main(arguments: Sequence[str]) -> None:
    """Prints both tables."""
    if not 1 <= len(arguments) <= 3:
        sys.exit("usage: python -m lite_medsam.learning.network.part_study MODEL [CASES [EVERY]]")
    model = load_model(Path(arguments[0]))
    if not isinstance(model, PromptedSegmenter):
        raise WeightsError(f"MODEL must be of our own architecture, got {model.spec.architecture.family}")
    print("\n".join(sizes(model.spec)))
    if len(arguments) > 1:
        every = int(arguments[2]) if len(arguments) > 2 else 1
        cases = sorted(Path(arguments[1]).rglob("*.npz"))[::every]
        print("\n" + "\n".join(study(model, cases)))


if __name__ == "__main__":
    main(sys.argv[1:])
