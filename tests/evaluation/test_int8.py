"""The int8 export: it loads like any model, and its record is true."""

import json

import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs the int8 extra")

from lite_medsam.cli import main
from lite_medsam.errors import CaseError, WeightsError
from lite_medsam.evaluation import int8
from lite_medsam.evaluation.int8 import export_int8
from lite_medsam.evaluation.metrics.region import dice
from lite_medsam.model import trial
from lite_medsam.model.engine_choice import recall_choice
from lite_medsam.model.spec import load_spec
from lite_medsam.phantoms import make_phantom
from lite_medsam.prompts.prompt_set import box_from_mask
from lite_medsam.segment.predictor import Predictor
from lite_medsam.storage.bundled import DEFAULT_WEIGHTS
from lite_medsam.storage.machine import physical_cores

KINDS = ("ct", "us")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(int8, "KINDS", KINDS)
        patch.setattr(int8, "EVALUATION_SEEDS", (1,))
        folder = tmp_path_factory.mktemp("int8") / "model"
        return folder, export_int8(DEFAULT_WEIGHTS, folder)


def mean_dice(directory):
    predictor, found = Predictor.open(directory, "onnxruntime", threads=1), []
    for kind in KINDS:
        case = make_phantom(kind, 1)
        masks = [case.label == value for value in np.unique(case.label) if value]
        prediction = predictor.segment(case.image, [box_from_mask(mask) for mask in masks])
        found += [dice(mask, prediction.mask(i)) for i, mask in enumerate(masks)]
    return np.mean(found), len(found)


def test_the_record_is_true(made):
    folder, spec = made
    full, objects = mean_dice(DEFAULT_WEIGHTS)
    small, _ = mean_dice(folder)
    record = load_spec(folder).int8
    assert record == spec.int8 and record.objects == objects
    assert record.dice == pytest.approx(small, abs=1e-3)
    assert record.dice_change_points == pytest.approx(100 * (small - full), abs=0.1)
    assert record.source_sha256 == load_spec(DEFAULT_WEIGHTS).files["encoder.onnx"]
    assert record.encode_ratio > 0 and record.calibration.startswith("4 images")


def test_the_encoder_is_int8_and_the_decoder_is_the_same(made):
    import onnx

    folder, _ = made
    graph = onnx.load(folder / "encoder.onnx").graph
    kinds = {node.op_type for node in graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= kinds and "BatchNormalization" not in kinds
    kernels = [t for t in graph.initializer if len(t.dims) == 4]
    assert kernels and all(t.data_type == onnx.TensorProto.INT8 for t in kernels)
    assert (folder / "decoder.onnx").read_bytes() == (DEFAULT_WEIGHTS / "decoder.onnx").read_bytes()
    assert (folder / "encoder.onnx").stat().st_size < 0.75 * (DEFAULT_WEIGHTS / "encoder.onnx").stat().st_size


def test_the_card_tells_both_numbers(made):
    folder, spec = made
    text = (folder / "README.md").read_text()
    assert f"{spec.int8.encode_ratio:.2f} times as fast" in text
    assert f"{spec.int8.dice_change_points:+.2f} points" in text and spec.licence in text


def test_what_cannot_be_quantised_is_refused(made, tmp_path):
    folder, _ = made
    with pytest.raises(WeightsError, match="int8 already"):
        export_int8(folder, tmp_path / "again")
    with pytest.raises(WeightsError, match="another directory"):
        export_int8(DEFAULT_WEIGHTS, DEFAULT_WEIGHTS)


def test_cases_without_labels_leave_no_complete_directory(tmp_path):
    import cv2

    image = tmp_path / "image.png"
    cv2.imwrite(str(image), make_phantom("ct", 3, (96, 96)).image)
    out = tmp_path / "out"
    with pytest.raises(CaseError, match="must have labelled objects"):
        export_int8(DEFAULT_WEIGHTS, out, calibration=[image], evaluation=[image])
    assert not (out / "spec.json").exists()


def test_the_command_makes_it_and_auto_decides(tmp_path, fresh_cache, monkeypatch, capsys):
    monkeypatch.setattr(int8, "KINDS", KINDS)
    monkeypatch.setattr(int8, "EVALUATION_SEEDS", (1,))
    monkeypatch.setattr(trial, "BUDGET_SECONDS", 0.0)  # one turn
    monkeypatch.setattr(trial, "CANDIDATES", ("onnxruntime",))
    out = tmp_path / "small"
    with pytest.raises(SystemExit) as caught:
        main(["export", "--int8", "-o", str(out)])
    said = capsys.readouterr().out
    assert caught.value.code == 0 and "times as fast" in said and "points against lite-medsam" in said
    choice = recall_choice(load_spec(DEFAULT_WEIGHTS), physical_cores())
    assert choice.measured or "loses more" in said
    assert not choice.measured or (choice.directory is None) == ("does not take it" in said)
    with pytest.raises(SystemExit):
        main(["info", "--weights", str(out), "--json"])
    assert "lite-medsam" in json.loads(capsys.readouterr().out)["model"]["int8 of"]


@pytest.mark.parametrize("words", [("-o", "x"), ("-o", "x", "--int8", "--checkpoint", __file__)])
def test_the_command_wants_one_of_two(words, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["export", *words])
    assert caught.value.code == 2 and "--int8" in capsys.readouterr().err
