"""ModelSpec and its spec.json: all that is needed to run a model directory, readable without torch."""

import dataclasses
import hashlib
import json
import math
import os
from dataclasses import dataclass, field
from pathlib import Path

from lite_medsam.errors import WeightsError
from lite_medsam.model.json_fields import build_dataclass
from lite_medsam.storage.files import atomic_write
from lite_medsam.storage.one_line import one_line

FORMAT = "lite-medsam-model"
FORMAT_VERSION = 1
OWN_FAMILY = "lite-medsam"
# the backbone that is LiteMedSAM's image encoder instead of one of timm's networks
LITEMEDSAM_TRUNK = "litemedsam"
PROMPT_KINDS = ("box", "points", "box+points", "mask")

PREPROCESSING_CHOICES = {
    "value_range": ("image", "resized", "uint8"),
    "resampling": ("area-or-linear", "area", "bilinear", "cubic"),
    "fit": ("pad", "stretch"),
    "geometry": ("edges", "indices"),
}


@dataclass(frozen=True)
class Architecture:
    """The network's shape; `lite_medsam.learning.network.model` builds it from these numbers alone.

    Attributes:
        family: "lite-medsam" for our own network, else a published one out of `lite_medsam.learning.network.families`, whose
            shape is fixed: then the other fields say nothing.
        backbone: Name of a timm model with features at strides 2, 4, 8, 16 and 32; or "litemedsam" for LiteMedSAM's own
            trunk on pixels averaged 4 x 4, with its mask decoder.
        embedding_dim: Channels of the embedding on the grid of side image_size / 8.
        skip_dims: Channels of the finer features at strides 4, 2 and 1.
        transformer_depth: Two-way attention blocks of the mask decoder.
        transformer_mlp_dim: Width of their MLPs.
        transformer_heads: Attention heads.
        mask_tokens: Masks per prompt: the first is the answer, the others its alternatives when it is ambiguous.
        windows: Sides of the attention windows of the trunk's stages, tokens; timm's backbones have none.
    """

    family: str = OWN_FAMILY
    backbone: str = "mobilenetv2_100"
    embedding_dim: int = 192
    skip_dims: tuple[int, int, int] = (48, 24, 16)
    transformer_depth: int = 2
    transformer_mlp_dim: int = 768
    transformer_heads: int = 8
    mask_tokens: int = 4
    windows: tuple[int, int, int, int] = (7, 7, 14, 7)


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes model input; `lite_medsam.model.preprocessing` is the code.

    Attributes:
        image_size: Side S of the square model frame, pixels; the longest side of the window is resized to it.
        mean: Per channel (R, G, B), subtracted after the image's own minimum and maximum were mapped to 0 and 1.
        std: Per channel, divides after the subtraction.
        value_range: What is mapped to 0 and 1: "image" the whole image's own minimum and maximum, "resized" those of
            what is left after the resize (LiteMedSAM, MedSAM), "uint8" the fixed 0 and 255 (SAM).
        resampling: "area-or-linear" averages areas where an image shrinks and interpolates linearly where it grows,
            "area" is OpenCV's area mode for both (LiteMedSAM), "bilinear" Pillow's filter (SAM), "cubic" a smoothed
            spline of order 3 (MedSAM).
        fit: "pad" keeps the aspect and pads, "stretch" fills the square (MedSAM).
        geometry: "edges" takes coordinates for continuous ones and a box by its outer edges; "indices" multiplies pixel
            indices by the scale, as segment_anything does.
        mask_stride: Model pixels per pixel of the logits and of previous masks, along a side.
    """

    image_size: int = 256
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    value_range: str = "image"
    resampling: str = "area-or-linear"
    fit: str = "pad"
    geometry: str = "edges"
    mask_stride: int = 1

    @property
    def mask_size(self) -> int:
        """Side of the logits and of previous masks."""
        return self.image_size // self.mask_stride


@dataclass(frozen=True)
class Zoom:
    """When an object gets a crop of its own; `lite_medsam.segment.zoom` is the code.

    Attributes:
        context: Side of the square crop over the longer side of the box.
        minimum_px: Smallest side of a crop, image pixels.
        minimum_gain: A crop is made only if it magnifies the object more than this many times.
        enabled: False for weights that were not trained on crops.
        own_crops: Up to this many crops per image, no object shares one.
        shared_context: Largest side of a shared crop over the longer side of each member's box; at most `context` for no
            sharing at all.
        shared_gain: Only objects whose own crop magnifies at least this many times share crops.
        chain_gain: An object found by clicks alone is segmented again from a crop if that magnifies at least this many
            times.
        refine_scale: `refine="auto"` looks a second time at the border of an object whose view has at least so many image
            pixels in a model pixel, see `lite_medsam.segment.refinement`; 0 for weights that were not validated with it. Left
            out of spec.json where it is 0.
    """

    context: float = 1.6
    minimum_px: int = 48
    minimum_gain: float = 1.0
    enabled: bool = True
    own_crops: int = 8
    shared_context: float = 6.0
    shared_gain: float = 3.0
    chain_gain: float = 1.8
    refine_scale: float = 0.0


@dataclass(frozen=True)
class Int8:
    """How an int8 model was made and what it lost; empty for a model in full precision. `lite_medsam.evaluation.int8` writes it.

    Attributes:
        source: Name of the full model; "" for a model that is no int8 version of another.
        source_sha256: SHA-256 of the full model's encoder.onnx.
        calibration: What the ranges of the activations were taken from.
        evaluation: What both models were compared on.
        objects: How many objects that were.
        dice: Mean Dice of the int8 model there.
        dice_change_points: The same minus the full model's, in points (hundredths); negative is a loss.
        encode_ratio: Time of the full encoder over that of this one, on the machine where it was made.
        machine: That machine.
    """

    source: str = ""
    source_sha256: str = ""
    calibration: str = ""
    evaluation: str = ""
    objects: int = 0
    dice: float = 0.0
    dice_change_points: float = 0.0
    encode_ratio: float = 0.0
    machine: str = ""


@dataclass(frozen=True)
class ScoreCalibration:
    """The map from the network's score to the IoU that was measured; `lite_medsam.model.calibration` is the code.

    The calibrated score is sigmoid(slope * logit(score) + intercept); 1 and 0 leave scores as they are.

    Attributes:
        slope: Above 0, so that the order of scores stays.
        intercept: Shift on the logit.
    """

    slope: float = 1.0
    intercept: float = 0.0


@dataclass(frozen=True)
class ModelSpec:
    """One model: architecture, pre-processing, prompts it was trained on, origin and terms.

    Attributes:
        name: Short name.
        architecture: The network's shape.
        preprocessing: Image to model input.
        zoom: The crop policy that the weights were trained for and validated with.
        prompts: Kinds of prompt it was trained on, out of PROMPT_KINDS; others are refused.
        mask_threshold: A pixel belongs to the object where its logit is above this.
        score_calibration: What makes the network's scores honest, fitted by `lite-medsam card --calibrate`.
        licence: Terms of the weights.
        training_data: Names of the data sets behind the weights.
        files: SHA-256 by file name of the other files of the directory.
        notes: Free text for `lite-medsam info`.
        int8: What there is to say of an int8 version; left out of spec.json where it is none.
        targets: Names that a prompt may give its object, in the order of the network's table; left out of spec.json where
            the network knows none. `prompts/targets.json` is the vocabulary that they come from.
    """

    name: str = "lite-medsam"
    architecture: Architecture = field(default_factory=Architecture)
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    zoom: Zoom = field(default_factory=Zoom)
    prompts: tuple[str, ...] = PROMPT_KINDS
    mask_threshold: float = 0.0
    score_calibration: ScoreCalibration = field(default_factory=ScoreCalibration)
    licence: str = "unknown"
    training_data: tuple[str, ...] = ()
    files: dict[str, str] = field(default_factory=dict)
    notes: str = ""
    int8: Int8 = field(default_factory=Int8)
    targets: tuple[str, ...] = ()

    def to_json(self) -> str:
        """The text of spec.json, indented, keys in the order of the fields."""
        record = {"format": FORMAT, "version": FORMAT_VERSION, **dataclasses.asdict(self)}
        if not self.int8.source:
            del record["int8"]
        if not self.zoom.refine_scale:
            del record["zoom"]["refine_scale"]
        if not self.targets:
            del record["targets"]
        return json.dumps(record, indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str, origin: str = "spec.json") -> "ModelSpec":
        """Reads and checks the text of a spec.json.

        Args:
            text: JSON.
            origin: What to call it in errors.

        Raises:
            WeightsError: If it is not JSON, not a model spec, of a newer version, or has unknown or wrong fields.
        """
        try:
            record = json.loads(text)
        except json.JSONDecodeError as error:
            raise WeightsError(f"{origin} must be JSON, got a syntax error in line {error.lineno}") from None
        except (ValueError, RecursionError) as error:  # a number of thousands of digits, lists in lists in lists
            raise WeightsError(f"{origin} must be JSON, got: {one_line(error)}") from None
        if not isinstance(record, dict) or record.pop("format", None) != FORMAT:
            raise WeightsError(f'{origin} must be a model spec with "format": "{FORMAT}"; point to a model directory')
        version = record.pop("version", None)
        if version != FORMAT_VERSION:
            raise WeightsError(
                f"{origin} must have version {FORMAT_VERSION}, got {one_line(repr(version), 80)}; "
                "update lite-medsam or export again"
            )
        spec = build_dataclass(cls, record, origin)
        unknown = sorted(set(spec.prompts) - set(PROMPT_KINDS))
        if unknown or not spec.prompts:
            raise WeightsError(f"{origin}: prompts must be some of {', '.join(PROMPT_KINDS)}, got {list(spec.prompts)}")
        if not all(isinstance(name, str) and name for name in spec.targets) or len(set(spec.targets)) < len(
            spec.targets
        ):
            raise WeightsError(f"{origin}: targets must be different names, got {one_line(list(spec.targets), 200)}")
        for name, choices in PREPROCESSING_CHOICES.items():
            value = getattr(spec.preprocessing, name)
            if value not in choices:
                raise WeightsError(
                    f"{origin}: {name} must be one of {', '.join(choices)}, got {one_line(repr(value), 80)}"
                )
        slope, intercept = dataclasses.astuple(spec.score_calibration)
        if not (0 < slope < math.inf and math.isfinite(intercept)):
            raise WeightsError(
                f"{origin}: score_calibration must have a slope above 0 and a finite intercept, got {slope}, {intercept}"
            )
        return spec


def sha256_of(path: str | os.PathLike) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def load_spec(directory: str | os.PathLike) -> ModelSpec:
    """The spec of a model directory.

    Raises:
        WeightsError: If the directory or its spec.json is missing or damaged.
    """
    path = Path(directory) / "spec.json"
    if not path.is_file():
        raise WeightsError(
            f"weights must be a model directory with a spec.json, got {Path(directory)}; see lite-medsam info"
        )
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WeightsError(f"{path} must be JSON in UTF-8, could not be read: {one_line(error)}") from None
    return ModelSpec.from_json(text, origin=str(path))


def save_spec(directory: str | os.PathLike, spec: ModelSpec) -> None:
    """Writes spec.json into a model directory, atomically."""
    with atomic_write(Path(directory) / "spec.json") as path:
        path.write_text(spec.to_json(), encoding="utf-8")
