"""A bench where something is missing or fails: what it still tells, and how it ends."""

import json
import sys

import numpy as np
import pytest
from fake_contender import FakeContender

from lite_medsam.bench import contenders, graphs, run, scale
from lite_medsam.bench.contenders import OURS, REFERENCE, Contender
from lite_medsam.bench.context import BenchSettings, Context
from lite_medsam.bench.report import format_report
from lite_medsam.bench.run import PARTS, run_bench
from lite_medsam.bench.timing import Sample
from lite_medsam.cases.case import load_image
from lite_medsam.cli import main
from lite_medsam.errors import MissingExtraError, WeightsError
from lite_medsam.model.spec import ModelSpec, save_spec, sha256_of
from lite_medsam.storage.bundled import DEFAULT_WEIGHTS


def test_a_failing_part_costs_only_itself(monkeypatch):
    def broken(_):
        raise RuntimeError("no luck")

    def working(context):
        context.add("section", "row", OURS, Sample((1.0,)))

    monkeypatch.setattr(run, "PARTS", {"broken": broken, "working": working})
    seen = []
    settings = BenchSettings(engines=("onnxruntime",), with_reference=False)
    report = run_bench(settings, progress=seen.append)
    assert report.failures == [("broken", "RuntimeError: no luck")] and seen == ["broken", "working"]
    assert [entry.what for entry in report.measurements] == ["row"]
    assert (REFERENCE, "--no-reference was given") in report.skipped
    assert json.loads(report.to_json())["settings"]["weights"] == "lite-medsam"


def test_without_torch_the_reference_is_left_out_and_the_way_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "lite_medsam.learning.published.random_reference", None)
    monkeypatch.setattr(contenders, "cache_folder", lambda: tmp_path)
    with pytest.raises(MissingExtraError, match=r"lite-medsam\[train\]"):
        contenders.reference()
    report = run_bench(BenchSettings(engines=("onnxruntime",)), ())
    ((what, reason),) = report.skipped
    assert what == REFERENCE and "lite-medsam[train]" in reason and not report.failures


def test_a_kept_reference_needs_no_torch_and_must_be_whole(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "lite_medsam.learning.published.random_reference", None)
    directory = tmp_path / f"litemedsam-{contenders._signature()}"
    directory.mkdir()
    (directory / "encoder.onnx").write_bytes(b"graph")
    save_spec(directory, ModelSpec(files={"encoder.onnx": sha256_of(directory / "encoder.onnx")}))
    assert contenders.reference(tmp_path).directory == directory
    (directory / "encoder.onnx").write_bytes(b"other")
    with pytest.raises(MissingExtraError):  # it would be made anew
        contenders.reference(tmp_path)


def test_the_real_weights_are_measured_where_this_machine_has_them(monkeypatch, tmp_path):
    monkeypatch.setattr("lite_medsam.model.published.cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setitem(sys.modules, "lite_medsam.learning.published.random_reference", None)
    directory = tmp_path / "cache" / "models" / "litemedsam"
    directory.mkdir(parents=True)
    (directory / "encoder.onnx").write_bytes(b"graph")
    save_spec(directory, ModelSpec(files={"encoder.onnx": sha256_of(directory / "encoder.onnx")}))
    found = contenders.reference(tmp_path)
    assert found.directory == directory and found.weights == "its published weights"
    (directory / "encoder.onnx").write_bytes(b"other")  # damaged: random ones, which torch would have to make
    with pytest.raises(MissingExtraError):
        contenders.reference(tmp_path)
    monkeypatch.setattr(run, "PARTS", {})
    monkeypatch.setattr(run, "reference", lambda: found)
    report = run_bench(BenchSettings(engines=("onnxruntime",)))
    assert json.loads(report.to_json())["settings"]["reference"] == "its published weights"
    assert "LiteMedSAM: its published weights" in format_report(report)


def run_cli(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main(["bench", *map(str, arguments)])
    captured = capsys.readouterr()
    return stop.value.code, captured.out, captured.err


def test_the_command_writes_what_it_has_and_exits_1(monkeypatch, capsys, tmp_path):
    def working(context):
        context.add("Section", "row", OURS, Sample((1.0, 2.0, 3.0)))

    def broken(_):
        raise OSError("no space")

    monkeypatch.setattr(run, "PARTS", {"working": working, "broken": broken})
    path = tmp_path / "out" / "bench.json"
    code, out, err = run_cli(capsys, "--no-reference", "--engine", "onnxruntime", "--json", path)
    assert code == 1 and "1 part(s) failed" in err and "measuring broken" in err
    assert "broken: OSError: no space" in out and "2 s" in out
    record = json.loads(path.read_text(encoding="utf-8"))
    assert record["measurements"][0]["median"] == 2.0 and record["settings"]["repeats"] == 15


def test_an_interrupted_run_shows_what_it_has(monkeypatch, capsys):
    def working(context):
        context.add("Section", "row", OURS, Sample((0.5,)))

    def stopped(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "PARTS", {"working": working, "stopped": stopped, "never": stopped})
    code, out, err = run_cli(capsys, "--no-reference", "--engine", "onnxruntime")
    assert code == 130 and "500 ms" in out and "stopped: interrupted" in out and "measuring never" not in err
    code, out, _ = run_cli(capsys, "--no-reference", "--engine", "onnxruntime", "--part", "working", "-q")
    assert code == 0 and "500 ms" in out
    code, _, err = run_cli(capsys, "--part", "nothing")
    assert code == 2 and "working, stopped" in err


def test_a_wrong_model_is_the_users_mistake(capsys, tmp_path):
    code, _, err = run_cli(capsys, "--weights", tmp_path, "--no-reference", "--engine", "onnxruntime")
    assert code == 2 and "spec.json" in err
    with pytest.raises(WeightsError):
        run_bench(BenchSettings(weights=tmp_path, engines=("onnxruntime",)), ())


def test_a_chart_needs_matplotlib_before_minutes_have_passed(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, out, err = run_cli(capsys, "--chart", tmp_path / "bench.png")
    assert code == 1 and "lite-medsam[plots]" in err and not out


def test_an_engine_that_fails_does_not_stop_the_next(context, monkeypatch):
    object.__setattr__(context.settings, "engines", ("onnxruntime", "openvino", "torch"))
    plain = FakeContender.open

    def open_one(self, engine, threads):
        if engine == "openvino":
            raise RuntimeError("no such port")
        return plain(self, engine, threads)

    monkeypatch.setattr(FakeContender, "open", open_one)
    with pytest.raises(RuntimeError, match=r"^openvino: no such port$"):
        graphs.measure_other_engines(context)
    assert context.find("decode 8 boxes", REFERENCE, "Graphs in torch, 1 thread") is not None


def test_every_part_is_in_the_list():
    assert list(PARTS) == [
        "graphs", "roofline", "threads", "other engines", "files", "stages", "volumes", "cold processes", "memory",
        "folders", "zoom", "refine", "scale",
    ]  # fmt: skip


def test_scale_counts_processes_bytes_and_core_hours(tmp_path, monkeypatch):
    pytest.importorskip("resource")
    for name, value in {"FEW": 1, "QUICK_MANY": 3, "SIDE": 128, "ROWS": 50, "CALLS": 3}.items():
        monkeypatch.setattr(scale, name, value)
    settings = BenchSettings(engines=("onnxruntime",), repeats=1, quick=True)
    context = Context(settings, Contender(OURS, DEFAULT_WEIGHTS), None, 1, tmp_path)
    scale.measure_scale(context)
    for title in ("1 process", "2 processes"):
        each = context.measured(f"{title}, CPU time per slice", OURS).sample.median
        hours = context.measured(f"{title}, a million slices", OURS)
        assert hours.sample.median == pytest.approx(each * 1e6 / 3600) and hours.source == "computed"
        assert np.isfinite(context.measured(f"{title}, wall time per slice", OURS).sample.median)
    assert context.measured("encode a slice, CPU time", OURS).sample.median > 0
    png = tmp_path / "scale" / "in" / "0000.png"
    assert context.measured("input", OURS).sample.median == pytest.approx(png.stat().st_size / 1e3)
    assert context.measured("mask, npz", OURS).unit == "kB"
    assert load_image(png).shape[:2] == (128, 128)
