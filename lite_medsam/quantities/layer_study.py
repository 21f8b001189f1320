"""How well all layers are found from one box: mean Dice by layer, with and without order, over labelled B-scans.

    python -m lite_medsam.quantities.layer_study CASE.npz ...

Cases hold the seven layers of Duke DME as 1 to 7, from top to bottom.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lite_medsam.cases.case import Case, load_case
from lite_medsam.evaluation.metrics import dice
from lite_medsam.phantoms.shapes import boxes_of
from lite_medsam.prompts.prompt_object import Box, corners_of
from lite_medsam.quantities.layers import layer_logits, order_layers, segment_layers
from lite_medsam.quantities.run import DUKE_LAYERS
from lite_medsam.segment.predictor import Predictor

WAYS = ("one box, highest logit", "one box, ordered", "one box, second look, ordered", "true boxes, ordered")


def study(predictor: Predictor, cases: Sequence[Case]) -> np.ndarray:
    """Dice of each way and layer.

    Args:
        predictor: A model that knows the layers.
        cases: 2D cases with labels 1 to 7.

    Returns:
        (ways, layers), means over the cases in which a layer is there.
    """
    found = []
    for case in cases:
        label = case.truth
        box = _box(label > 0)
        if box is None:
            continue
        once = layer_logits(predictor, case.image, [box] * len(DUKE_LAYERS), DUKE_LAYERS)
        own = [_box(label == i) or box for i in range(1, len(DUKE_LAYERS) + 1)]
        true = layer_logits(predictor, case.image, own, DUKE_LAYERS)
        maps = (
            np.where(once.max(0) > 0, once.argmax(0) + 1, 0),
            order_layers(once, DUKE_LAYERS, 5).label_map(),
            segment_layers(predictor, case.image, box, DUKE_LAYERS).label_map(),
            order_layers(true, DUKE_LAYERS, 5).label_map(),
        )
        layers = range(1, len(DUKE_LAYERS) + 1)
        found.append(
            [[dice(label == i, labels == i) if (label == i).any() else np.nan for i in layers] for labels in maps]
        )
    return np.nanmean(np.array(found), axis=0)


def _box(mask: np.ndarray) -> Box | None:
    boxes = boxes_of(mask.astype(np.uint8))
    return corners_of(boxes[0]) if len(boxes) else None


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="How well all layers are found from one box.")
    parser.add_argument("cases", nargs="+", type=Path, help="npz cases with the seven layers of Duke DME")
    parser.add_argument("--weights", type=Path, help="model directory")
    arguments = parser.parse_args()
    table = study(Predictor.open(arguments.weights), [load_case(path) for path in arguments.cases])
    for way, scores in zip(WAYS, table, strict=True):
        print(f"{way:32}{scores.mean():.3f}  {' '.join(f'{score:.2f}' for score in scores)}")


if __name__ == "__main__":
    main()
