"""An int8 version of a model: calibrated, compared with the full one, and written with what it gains and loses."""

import dataclasses
import logging
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lite_medsam.cases.case import Case, load_case, load_image
from lite_medsam.errors import CaseError, MissingExtraError, WeightsError
from lite_medsam.evaluation.metrics.region import dice
from lite_medsam.model.engines import DECODER_FILE, ENCODER_FILE, import_onnxruntime
from lite_medsam.model.preprocessing import Frame, intensity_range, to_model
from lite_medsam.model.spec import OWN_FAMILY, Int8, ModelSpec, load_spec, save_spec, sha256_of
from lite_medsam.model.trial import encode_ratio
from lite_medsam.phantoms import KINDS, make_phantom
from lite_medsam.prompts.prompt_set import box_from_mask
from lite_medsam.segment.predictor import Predictor
from lite_medsam.storage.files import atomic_write
from lite_medsam.storage.machine import cpu_title

CARD_FILE = "README.md"
# phantoms for calibration and for the comparison are drawn from different seeds
CALIBRATION_SEEDS, EVALUATION_SEEDS = (1000, 1001), (1, 2, 3)
# ranges settle within some tens of images; more only takes time
MAXIMUM_CALIBRATION, MAXIMUM_EVALUATION = 128, 200


def export_int8(
    weights: str | os.PathLike,
    out: str | os.PathLike,
    calibration: Sequence[Path] = (),
    evaluation: Sequence[Path] = (),
) -> ModelSpec:
    """Writes a model directory whose encoder computes in int8; the decoder stays as it is.

    Weights are quantised per output channel, symmetric; activations per tensor, unsigned, with a zero point. The decoder
    is left alone: it is mostly small matrix products and softmax, whose rounding moves borders.

    Args:
        weights: Directory of the full model, of our own architecture.
        out: Directory to write; not the same.
        calibration: Cases or images for the ranges of the activations; synthetic cases by default.
        evaluation: Labelled cases to compare on; synthetic cases by default.

    Returns:
        The spec that was written; `int8` holds what was measured.

    Raises:
        MissingExtraError: If the `onnx` package is missing.
        WeightsError: If the model cannot be quantised.
        CaseError: If a case can't be read or has no labels.
    """
    weights, out = Path(weights), Path(out)
    spec = load_spec(weights)
    if spec.int8.source or spec.architecture.family != OWN_FAMILY:
        kind = "int8 already" if spec.int8.source else spec.architecture.family
        raise WeightsError(f"--weights must be a full-precision model of our own architecture, got {kind}")
    if out.resolve() == weights.resolve():
        raise WeightsError(f"-o must be another directory than the model's own, got {out}")
    full = Predictor.open(weights, "onnxruntime")  # checks the files
    pixels = _model_inputs(spec, _calibration_images(calibration))
    out.mkdir(parents=True, exist_ok=True)
    (out / "spec.json").unlink(missing_ok=True)  # an interrupted export leaves no directory that looks complete
    with atomic_write(out / ENCODER_FILE) as path:
        _quantise(weights / ENCODER_FILE, path, pixels)
    with atomic_write(out / DECODER_FILE) as path:
        shutil.copyfile(weights / DECODER_FILE, path)
    record = Int8(
        source=spec.name,
        source_sha256=spec.files[ENCODER_FILE],
        calibration=f"{len(pixels)} images of " + ("the user" if calibration else "synthetic cases"),
        evaluation="cases of the user" if evaluation else "synthetic cases",
        machine=cpu_title(),
    )
    files = {name: sha256_of(out / name) for name in (ENCODER_FILE, DECODER_FILE)}
    notes = f"int8 encoder, made from {spec.name}. {spec.notes}".strip()
    draft = dataclasses.replace(spec, name=f"{spec.name}-int8", files=files, notes=notes, int8=record)
    save_spec(out, draft)
    try:
        final = dataclasses.replace(draft, int8=_compare(full, Predictor.open(out, "onnxruntime"), record, evaluation))
    except BaseException:
        (out / "spec.json").unlink(missing_ok=True)
        raise
    with atomic_write(out / CARD_FILE) as path:
        path.write_text(card(final), encoding="utf-8")
    save_spec(out, final)
    return final


def card(spec: ModelSpec) -> str:
    """The page of an int8 model: what it gains and what it loses."""
    r = spec.int8
    return f"""# {spec.name}

The encoder of {r.source} in int8 (static quantisation, weights per channel); the decoder is unchanged, in float32.

- Encoder: {r.encode_ratio:.2f} times as fast as the full one on the machine where it was made ({r.machine}). On another
  machine it may be slower: `lite-medsam info --trial --int8 DIRECTORY --weights FULL_MODEL` measures it.
- Dice: {r.dice:.4f}, {r.dice_change_points:+.2f} points against the full model, mean over {r.objects} objects of {r.evaluation}.
- Calibrated on {r.calibration}, which are not those of the comparison unless the same folder was given for both.
- Made from the model whose encoder.onnx has the SHA-256 `{r.source_sha256}`.
- Licence: {spec.licence}

Dice on synthetic cases says what int8 changes, not how good the model is on your images; compare on labelled cases of
your own with `lite-medsam export --int8 --evaluation FOLDER`. Not a medical device.
"""


def _quantise(source: Path, target: Path, pixels: np.ndarray) -> None:
    onnxruntime = import_onnxruntime()
    try:
        import onnx
        from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    except ImportError as error:
        raise MissingExtraError("int8 export", "int8", error.name) from None

    class Reader(CalibrationDataReader):
        def __init__(self):
            self.left = iter(pixels)

        def get_next(self) -> dict | None:
            image = next(self.left, None)
            return None if image is None else {"pixels": image[None]}

    with tempfile.TemporaryDirectory() as folder:
        folded = Path(folder) / ENCODER_FILE
        options = onnxruntime.SessionOptions()
        # normalisation folded into the convolutions, but no operators of this machine alone
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(folded)
        options.log_severity_level = 3
        onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])
        level = logging.root.level
        logging.root.setLevel(logging.ERROR)  # it recommends a preparation that was just done
        try:
            quantize_static(
                str(folded), str(target), Reader(), quant_format=QuantFormat.QDQ, per_channel=True,
                activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
            )  # fmt: skip
        finally:
            logging.root.setLevel(level)
    onnx.checker.check_model(str(target))


def _compare(full: Predictor, other: Predictor, record: Int8, evaluation: Sequence[Path]) -> Int8:
    before, after = list[float](), list[float]()
    for case in _evaluation_cases(evaluation):
        masks = [case.truth == value for value in np.unique(case.truth) if value]
        boxes = np.array([box_from_mask(mask) for mask in masks])
        for predictor, scores in ((full, before), (other, after)):
            prediction = predictor.segment(case.image, boxes)
            scores += [dice(mask, prediction.mask(i)) for i, mask in enumerate(masks)]
    if not before:
        raise CaseError("the cases to compare on must have labelled objects, got none")
    return dataclasses.replace(
        record,
        objects=len(before),
        dice=round(float(np.mean(after)), 4),
        dice_change_points=round(100 * float(np.mean(after) - np.mean(before)), 2),
        encode_ratio=round(encode_ratio(full.backend, other.backend), 2),
    )


def _calibration_images(paths: Sequence[Path]) -> list[np.ndarray]:
    if not paths:
        return [make_phantom(kind, seed).image for kind in KINDS for seed in CALIBRATION_SEEDS]
    return [_load(path).image for path in _evenly(paths, MAXIMUM_CALIBRATION)]


def _evaluation_cases(paths: Sequence[Path]) -> list[Case]:
    if not paths:
        return [make_phantom(kind, seed) for kind in KINDS for seed in EVALUATION_SEEDS]
    cases = [_load(path) for path in _evenly(paths, MAXIMUM_EVALUATION)]
    return [case for case in cases if case.label is not None and case.label.any()]


def _model_inputs(spec: ModelSpec, images: Sequence[np.ndarray]) -> np.ndarray:
    """(N, 3, S, S) float32: each image whole, as the encoder sees it."""
    settings = spec.preprocessing
    frames = [Frame.for_model(image.shape[:2], settings) for image in images]
    pairs = zip(images, frames, strict=True)
    return np.stack([to_model(image, frame, settings, intensity_range(image)) for image, frame in pairs])


def _evenly(paths: Sequence[Path], maximum: int) -> list[Path]:
    step = max(1, -(-len(paths) // maximum))
    return list(paths)[::step]


def _load(path: Path) -> Case:
    """A case or image; of a volume the slice with the most labelled pixels, without labels the middle one."""
    if path.suffix.lower() != ".npz":
        return Case(load_image(path), name=path.stem)
    case = load_case(path)
    if not case.is_volume:
        return case
    labelled = None if case.label is None else np.count_nonzero(case.label, axis=(1, 2))
    chosen = len(case.image) // 2 if labelled is None or not labelled.any() else int(labelled.argmax())
    return Case(case.image[chosen], None if case.label is None else case.label[chosen], name=case.name)
