"""A trained specialist (U-Net, ReLayNet-style) as a segmenter: its files, and the box as one more channel of the image.

What a specialist sees is what the promptable model sees: `Preprocessing` and `Zoom` are the same code, so that a comparison is
one of networks and of what they have learned, not of resolutions.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from lite_medsam.errors import PromptError, WeightsError
from lite_medsam.evaluation.baselines import BaselinePrediction
from lite_medsam.model.preprocessing import Frame, boxes_to_model, intensity_range, logits_to_window, to_model
from lite_medsam.model.spec import Preprocessing, Zoom, build_dataclass, sha256_of
from lite_medsam.segment.zoom import zoom_frame
from lite_medsam.storage.files import atomic_write

SPEC_FILE, GRAPH_FILE = "specialist.json", "network.onnx"
FORMAT = "lite-medsam-specialist"
NETWORKS = ("unet", "relaynet")
_AT_ONCE = 8  # crops that the network sees in one call


@dataclass(frozen=True)
class SpecialistSpec:
    """What `specialist.json` says beside the graph.

    Attributes:
        name: Short name.
        network: "unet" or "relaynet".
        width: Channels of the first stage.
        preprocessing: Image to network input.
        zoom: When an object is seen in a crop.
        training_data: What it was trained on, in words.
        split: SHA-256 of the split.
        step: Step whose averaged weights these are.
        files: SHA-256 by file name.
    """

    name: str = "specialist"
    network: str = "unet"
    width: int = 16
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    zoom: Zoom = field(default_factory=Zoom)
    training_data: str = ""
    split: str = ""
    step: int = 0
    files: dict[str, str] = field(default_factory=dict)


Run = Callable[[np.ndarray], np.ndarray]
"""(N, 4, S, S) float32 to (N, S, S) float32 logits."""


class SpecialistSegmenter:
    """Segments boxed objects with a specialist, one look per object: a crop where that magnifies, else the whole image.

    Args:
        spec: What the network expects.
        run: The network.
    """

    def __init__(self, spec: SpecialistSpec, run: Run):
        self.specialist, self.run = spec, run

    @classmethod
    def open(cls, folder: str | os.PathLike, threads: int | None = None) -> "SpecialistSegmenter":
        """Opens what `lite-medsam baseline` exported, in ONNX Runtime on the CPU.

        Args:
            folder: Holds specialist.json and network.onnx.
            threads: CPU threads; None leaves it to ONNX Runtime.

        Raises:
            WeightsError: If a file is missing, damaged or does not fit its hash.
        """
        import onnxruntime

        folder = Path(folder)
        spec, graph = load_specialist_spec(folder), folder / GRAPH_FILE
        if not graph.is_file() or sha256_of(graph) != spec.files.get(GRAPH_FILE):
            raise WeightsError(f"{graph} must be the graph that {SPEC_FILE} names; run lite-medsam baseline again")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
        return cls(spec, lambda inputs: session.run(None, {"inputs": inputs})[0])

    def segment(self, image: np.ndarray, prompts: Sequence[Any]) -> BaselinePrediction:
        """Makes one mask per prompt from its box; points and previous masks are not looked at.

        Args:
            image: (H, W) or (H, W, 3) uint8.
            prompts: Each a `Prompt` with a box.

        Raises:
            PromptError: If a prompt has no box.
        """
        image_hw = image.shape[:2]
        stack = np.zeros((len(prompts), *image_hw), bool)
        value_range = intensity_range(image)
        for first in range(0, len(prompts), _AT_ONCE):
            chunk = range(first, min(first + _AT_ONCE, len(prompts)))
            frames = [self._frame(prompts[index].box, image_hw) for index in chunk]
            inputs = np.stack(
                [
                    network_input(to_model(image, frame, self.specialist.preprocessing, value_range), box)
                    for frame, box in (
                        (frame, boxes_to_model(np.asarray(prompts[index].box), frame))
                        for frame, index in zip(frames, chunk, strict=True)
                    )
                ]
            )
            for index, frame, logits in zip(chunk, frames, self.run(inputs), strict=True):
                stack[index][frame.window] = logits_to_window(logits, frame) > 0
        return BaselinePrediction(stack)

    def _frame(self, box: Sequence[float] | None, image_hw: tuple[int, int]) -> Frame:
        if box is None:
            raise PromptError(
                f"{self.specialist.name} needs a box for every object, got none; prompt with --protocol box"
            )
        settings, zoom = self.specialist.preprocessing, self.specialist.zoom
        whole = Frame.for_model(image_hw, settings)
        frame = (
            zoom_frame((box[0], box[1], box[2], box[3]), image_hw, zoom, settings.image_size) if zoom.enabled else None
        )
        return whole if frame is None else replace(frame, fit=whole.fit, geometry=whole.geometry)


def network_input(pixels: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The image with the box as a fourth channel: the share of each pixel that the box covers, less one half.

    Args:
        pixels: (3, S, S) float32, from `preprocessing.to_model`.
        box: (4,) x0 y0 x1 y1 in the model frame, as `boxes_to_model` gives it: outer edges less 0.5.

    Returns:
        (4, S, S) float32.
    """
    edges = np.asarray(box, np.float64) + 0.5
    pixel = np.arange(pixels.shape[-1])
    along_x = np.clip(np.minimum(pixel + 1, edges[2]) - np.maximum(pixel, edges[0]), 0, 1)
    along_y = np.clip(np.minimum(pixel + 1, edges[3]) - np.maximum(pixel, edges[1]), 0, 1)
    inside = along_y[:, None] * along_x[None, :] - 0.5
    return np.concatenate([pixels, inside[None].astype(np.float32)])


def load_specialist_spec(folder: Path) -> SpecialistSpec:
    """Reads specialist.json.

    Raises:
        WeightsError: If it is missing, damaged or something else.
    """
    path = Path(folder) / SPEC_FILE
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path} must be the record of a specialist, got: {error}") from None
    if not isinstance(record, dict) or record.pop("format", None) != FORMAT:
        raise WeightsError(f'{path} must have "format": "{FORMAT}"; run lite-medsam baseline again')
    files = record.pop("files", {})
    spec = build_dataclass(SpecialistSpec, record, str(path))
    if not isinstance(files, Mapping) or spec.network not in NETWORKS:
        raise WeightsError(f"{path} must name one of the networks {', '.join(NETWORKS)} and its files")
    return replace(spec, files=dict(files))


def save_specialist_spec(folder: Path, spec: SpecialistSpec) -> None:
    """Writes specialist.json, atomically."""
    with atomic_write(Path(folder) / SPEC_FILE) as path:
        path.write_text(json.dumps({"format": FORMAT, **asdict(spec)}, indent=2) + "\n", encoding="utf-8")
