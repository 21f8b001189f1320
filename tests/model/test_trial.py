"""The trial of the engines, and how `auto` follows what it found."""

import dataclasses
import json

import numpy as np
import pytest

from lite_medsam.cli import main
from lite_medsam.errors import WeightsError
from lite_medsam.model import engine_choice, trial
from lite_medsam.model.engine_choice import Choice, keep_choice, recall_choice
from lite_medsam.model.runtime import open_backend
from lite_medsam.model.spec import Int8, load_spec, save_spec
from lite_medsam.storage.bundled import DEFAULT_WEIGHTS

SPEC = load_spec(DEFAULT_WEIGHTS)


class Timed:
    """A backend of known speed, by a clock that it moves itself."""

    def __init__(self, name, spec, clock, milliseconds):
        self.name, self.spec, self.clock, self.milliseconds = name, spec, clock, milliseconds

    def encode(self, pixels):
        self.clock[0] += self.milliseconds / 1e3
        return (pixels,)

    def decode(self, features, *prompts):
        self.clock[0] += self.milliseconds / 1e3
        return features[0], features[0]


@pytest.fixture
def speeds(monkeypatch, fresh_cache):
    """Engines as fast as the test says: {"onnxruntime": ms, "openvino": ms, "onnxruntime int8": ms}."""
    table, clock = {}, [0.0]

    def opened(directory, engine, threads):
        spec = load_spec(directory)
        label = engine + (" int8" if spec.int8.source else "")
        clock[0] += 0.010
        return Timed(engine, spec, clock, table[label])

    monkeypatch.setattr(trial, "open_backend", opened)
    monkeypatch.setattr(trial.time, "perf_counter", lambda: clock[0])
    for module in (trial, engine_choice):
        monkeypatch.setattr(module, "engine_version", lambda name: "1.0" if name != "torch" else None)
    return table


def twin(folder, points=-0.1, source=None):
    folder.mkdir()
    files = {"encoder.onnx": "0" * 64, "decoder.onnx": "1" * 64}
    record = Int8("lite-medsam", source or SPEC.files["encoder.onnx"], dice_change_points=points)
    save_spec(folder, dataclasses.replace(SPEC, files=files, int8=record))
    return folder


def test_without_a_trial_auto_is_onnx_runtime(fresh_cache):
    assert recall_choice(SPEC, 2) == Choice("onnxruntime", None, False)
    assert not fresh_cache.exists()  # looking leaves nothing behind


def test_a_faster_engine_is_taken_and_remembered(speeds):
    speeds.update(onnxruntime=20, openvino=10)
    choice, timings = trial.run_trial(DEFAULT_WEIGHTS, threads=2)
    assert choice.engine == "openvino" and recall_choice(SPEC, 2) == choice
    by_engine = {t.engine: t for t in timings}
    assert by_engine["onnxruntime"].encode_seconds == pytest.approx(0.020)
    # 20 + 20 ms, and a twentieth of the 10 ms that opening took
    assert by_engine["onnxruntime"].per_image == pytest.approx(0.0405)


def test_a_gain_within_the_noise_changes_nothing(speeds):
    speeds.update(onnxruntime=20, openvino=19)
    assert trial.run_trial(DEFAULT_WEIGHTS, threads=2)[0].engine == "onnxruntime"


def test_a_trial_holds_for_its_machine_model_and_threads_alone(speeds, monkeypatch):
    speeds.update(onnxruntime=20, openvino=10)
    trial.run_trial(DEFAULT_WEIGHTS, threads=2)
    assert not recall_choice(SPEC, 1).measured
    assert not recall_choice(dataclasses.replace(SPEC, files={**SPEC.files, "decoder.onnx": "0" * 64}), 2).measured
    monkeypatch.setattr(engine_choice, "machine_signature", lambda: {"cpu": "another"})
    assert not recall_choice(SPEC, 2).measured


@pytest.mark.parametrize("damage", [b"", b"PK", "flip"])
def test_a_damaged_trial_is_ignored_with_one_warning(fresh_cache, damage):
    keep_choice(SPEC, 2, Choice("onnxruntime", None, True))
    path = next((fresh_cache / "trials").glob("*.npz"))
    data = path.read_bytes()
    path.write_bytes(data.replace(b"onnxruntime", b"onnxruntimf") if damage == "flip" else damage)
    with pytest.warns(RuntimeWarning, match="damaged or out of date") as caught:
        assert recall_choice(SPEC, 2) == Choice()
    assert len(caught) == 1


def test_a_trial_that_names_nonsense_is_ignored(fresh_cache):
    from lite_medsam.storage.signed_cache import SignedCache

    for record in ({"engine": "abacus", "directory": None}, ["onnxruntime"], {}, "x"):
        cache = engine_choice._cache(SPEC, 2)
        assert isinstance(cache, SignedCache)
        cache.put("choice", {"record": np.frombuffer(json.dumps(record).encode(), np.uint8)})
        with pytest.warns(RuntimeWarning, match="was ignored"):
            assert recall_choice(SPEC, 2) == Choice()


def test_an_engine_that_was_removed_is_not_taken(speeds, monkeypatch):
    speeds.update(onnxruntime=20, openvino=10)
    trial.run_trial(DEFAULT_WEIGHTS, threads=2)
    monkeypatch.setattr(engine_choice, "engine_version", lambda name: "1.0" if name == "onnxruntime" else None)
    with pytest.warns(RuntimeWarning, match="out of date"):
        assert recall_choice(SPEC, 2).engine == "onnxruntime"


def test_a_cache_that_cannot_be_written_leaves_the_default(fresh_cache):
    fresh_cache.parent.mkdir(exist_ok=True)
    fresh_cache.write_text("a file where the folder should be")
    with pytest.warns(RuntimeWarning, match="was not kept"):
        assert not keep_choice(SPEC, 2, Choice("openvino", None, True))
    assert recall_choice(SPEC, 2) == Choice()


def test_int8_is_taken_only_where_it_is_faster_and_accurate(speeds, tmp_path):
    speeds.update(onnxruntime=20, openvino=30, **{"onnxruntime int8": 10, "openvino int8": 25})
    good = twin(tmp_path / "good")
    choice, _ = trial.run_trial(DEFAULT_WEIGHTS, good, threads=2)
    assert choice == Choice("onnxruntime", good, True)
    assert recall_choice(SPEC, 2).directory == good.resolve()
    speeds["onnxruntime int8"] = 40
    assert trial.run_trial(DEFAULT_WEIGHTS, good, threads=2)[0].directory is None
    with pytest.raises(WeightsError, match=r"within 0\.5 Dice points.*got -0\.60"):
        trial.run_trial(DEFAULT_WEIGHTS, twin(tmp_path / "bad", -0.6), threads=2)
    with pytest.raises(WeightsError, match="must be made from lite-medsam"):
        trial.run_trial(DEFAULT_WEIGHTS, twin(tmp_path / "foreign", source="2" * 64), threads=2)


def test_an_int8_directory_that_went_away_or_changed_is_not_taken(fresh_cache, tmp_path):
    folder = twin(tmp_path / "int8")
    keep_choice(SPEC, 2, Choice("onnxruntime", folder, True))
    assert recall_choice(SPEC, 2).directory == folder.resolve()
    text = (folder / "spec.json").read_text()
    (folder / "spec.json").write_text(text.replace('"dice_change_points": -0.1', '"dice_change_points": -5.0'))
    with pytest.warns(RuntimeWarning, match="was ignored"):
        assert recall_choice(SPEC, 2) == Choice()
    (folder / "spec.json").unlink()
    with pytest.warns(RuntimeWarning, match="was ignored"):
        assert open_backend(DEFAULT_WEIGHTS, threads=2).name == "onnxruntime"


def test_info_runs_the_real_trial(fresh_cache, capsys, monkeypatch):
    monkeypatch.setattr(trial, "BUDGET_SECONDS", 0.0)  # one turn
    with pytest.raises(SystemExit) as caught:
        main(["info", "--trial", "--threads", "1", "--json"])
    record = json.loads(capsys.readouterr().out)
    assert caught.value.code == 0 and "onnxruntime" in record["trial"]
    assert recall_choice(SPEC, 1).measured
    assert record["trial"]["auto is now"] == recall_choice(SPEC, 1).engine
