"""`lite-medsam card`: one command writes everything, again without measuring, and refuses what does not fit."""

import json
import sys

import pytest
from click.testing import CliRunner
from fakes import FakeBackend

from lite_medsam.card.page import FRONT, MEASUREMENTS
from lite_medsam.card.sheets import find_failures
from lite_medsam.errors import CaseError
from lite_medsam.model.spec import ScoreCalibration, load_spec
from lite_medsam.phantoms import make_phantom
from lite_medsam.segment.predictor import Predictor


@pytest.fixture
def card_command(monkeypatch, tmp_path, folder):
    from lite_medsam.cli import card as module
    from lite_medsam.model.spec import save_spec

    backend = FakeBackend()
    save_spec(tmp_path, backend.spec)
    monkeypatch.setattr(
        module, "open_predictor", lambda weights, engine, threads, zoom, refine: Predictor(backend, zoom)
    )
    monkeypatch.setattr("lite_medsam.card.sheets.KINDS", ("us",))
    monkeypatch.setattr(
        "lite_medsam.card.sheets.find_failures", lambda p, seeds: find_failures(p, seeds, most=2, kinds=("us",))
    )

    def run(*words):
        return CliRunner().invoke(
            module.command, ["-i", str(folder), "--weights", str(tmp_path), "--phantoms", "1", *words]
        )

    return run


def test_one_command_writes_everything(card_command, tmp_path):
    result = card_command("--calibrate")
    assert result.exit_code == 0, result.output
    names = {path.name for path in tmp_path.iterdir()}
    assert {"README.md", "measurements.md", "scores.json", "spec.json", "examples.png", "failures.png"} <= names
    assert json.loads((tmp_path / "scores.json").read_text())["settings"]["cases"] == 5
    found = load_spec(tmp_path).score_calibration
    assert found != ScoreCalibration() and f"sigmoid({found.slope:g}" in (tmp_path / MEASUREMENTS).read_text()


def test_pages_are_written_again_without_measuring(card_command, tmp_path, monkeypatch):
    assert card_command("--calibrate").exit_code == 0
    before = {name: (tmp_path / name).read_bytes() for name in (FRONT, MEASUREMENTS, "scores.json", "examples.png")}
    (tmp_path / FRONT).unlink()
    monkeypatch.setattr("lite_medsam.cli.card.open_predictor", None)
    scores = tmp_path / "scores.json"
    result = again(scores, tmp_path)
    assert result.exit_code == 0, result.output
    assert {name: (tmp_path / name).read_bytes() for name in before} == before


def test_scores_of_other_weights_are_refused(card_command, tmp_path):
    assert card_command("--every", "4").exit_code == 0
    scores = tmp_path / "scores.json"
    record = json.loads(scores.read_text())
    for changed, message in (
        (record | {"model": record["model"] | {"files": {"encoder.onnx": "0"}}}, "must be of the weights"),
        (record | {"calibration": record["calibration"] | {"slope": 2.0}}, "must be of the weights"),
        (record | {"version": 1}, "must have version"),
        ({"settings": {}}, "must be the scores.json"),
        ([], "must be the scores.json"),
    ):
        scores.write_text(json.dumps(changed))
        assert message in str(again(scores, tmp_path).exception)


def test_measuring_and_writing_again_exclude_each_other(card_command, tmp_path):
    (tmp_path / "scores.json").write_text("{}")
    assert card_command("--from-scores", str(tmp_path / "scores.json")).exit_code == 2
    from lite_medsam.cli import card as module

    assert CliRunner().invoke(module.command, ["--weights", str(tmp_path)]).exit_code == 2


def again(scores, directory):
    from lite_medsam.cli import card as module

    return CliRunner().invoke(module.command, ["--from-scores", str(scores), "--weights", str(directory)])


def test_a_model_that_is_too_large_to_commit_is_named(card_command, tmp_path, monkeypatch):
    monkeypatch.setattr("lite_medsam.cli.card.MODEL_BYTES", 1000)
    monkeypatch.setattr("lite_medsam.card.sheets.bundled_cases", lambda: [make_phantom("us", 1)])
    result = card_command("--every", "4")
    assert result.exit_code == 0 and "more than 0 MB" in result.output


def test_without_matplotlib_the_card_says_so(card_command, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr("lite_medsam.card.sheets.bundled_cases", lambda: [make_phantom("us", 1)])
    (tmp_path / "look").mkdir()
    (tmp_path / "look/curves.png").write_bytes(b"of older numbers")
    result = card_command("--every", "2", "-o", str(tmp_path / "look"))
    assert result.exit_code == 0 and 'without curves.png: drawing plots needs the "plots" extra' in result.output
    card = (tmp_path / "look/README.md").read_text() + (tmp_path / "look" / MEASUREMENTS).read_text()
    assert "curves.png" not in card and "No plot" in card and not (tmp_path / "look/curves.png").exists()
    assert load_spec(tmp_path).score_calibration == ScoreCalibration()  # nothing but the folder was written


def test_too_few_cases_to_calibrate_are_told_after_the_card_is_written(card_command, tmp_path, monkeypatch):
    monkeypatch.setattr("lite_medsam.card.sheets.bundled_cases", lambda: [make_phantom("us", 1)])
    monkeypatch.setattr("lite_medsam.card.halves.is_fitted", lambda group: False)
    result = card_command("--every", "4", "--calibrate")
    assert result.exit_code and "at least two objects, got 0" in str(result.exception)
    assert "not calibrated" in (tmp_path / MEASUREMENTS).read_text()
    assert load_spec(tmp_path).score_calibration == ScoreCalibration()


def test_no_case_is_an_error(card_command, tmp_path, folder):
    (tmp_path / "none").mkdir()
    from lite_medsam.cli import card as module

    words = ["-i", str(tmp_path / "none"), "--weights", str(tmp_path)]
    assert isinstance(CliRunner().invoke(module.command, words).exception, CaseError)
