"""Fine-tuning from cases to a model directory: one run, a run that was killed, two processes, and what goes wrong."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from places import ROOT
from tiny import TINY, disc_case, tiny_model

from lite_medsam.cases.case import save_case
from lite_medsam.errors import CaseError, WeightsError
from lite_medsam.learning.finetuning import loop
from lite_medsam.learning.finetuning.run import finetune
from lite_medsam.learning.finetuning.settings import FinetuneSettings
from lite_medsam.learning.network.checkpoint import load_model, save_weights
from lite_medsam.learning.training.stepping import make_fabric, read_checkpoint
from lite_medsam.model.spec import load_spec, save_spec
from lite_medsam.segment.predictor import Predictor
from lite_medsam.storage.signed_cache import SignedCache

QUICK = FinetuneSettings(
    steps=6, batch_size=4, objects_per_image=2, views=2, memory="4GB", protocols=("box", "clicks"), validate_every=3,
    checkpoint_every=1, patience=0, accelerator="cpu", warmup_steps=2, seed=3,
)  # fmt: skip


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cases")
    for i in range(8):
        case = disc_case(i, "US" if i % 2 else "OCT")
        save_case(folder / f"case{i}.npz", dataclasses.replace(case, name=f"case{i}", group=f"patient{i // 2}"))
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    save_weights(folder, tiny_model())
    save_spec(folder, dataclasses.replace(TINY, prompts=("box",), licence="of the test"))
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory, cases, weights):
    """A run that was never interrupted, long and fast enough to learn something."""
    out = tmp_path_factory.mktemp("run") / "whole"
    lines = []
    settings = dataclasses.replace(
        QUICK, steps=24, learning_rate=1e-2, pixel_weight=1.0, ema_decay=0.9, validate_every=8
    )
    return out, finetune(cases, out, settings, weights, say=lines.append), lines


def state_of(out):
    return read_checkpoint(out / "checkpoint.pt", ("model", "average", "finetune"))


def assert_same_run(a, b):
    first, second = state_of(a), state_of(b)
    for part in ("model", "average"):
        for name, value in first[part].items():
            assert torch.equal(value, second[part][name]), (part, name)
    assert first["step"] == second["step"] and first["finetune"]["best"] == second["finetune"]["best"]
    assert (a / "model/model.safetensors").read_bytes() == (b / "model/model.safetensors").read_bytes()
    for name in ("log.csv", "validation.csv"):  # the last column is time
        cut = [[line.rsplit(",", 1)[0] for line in (out / name).read_text().splitlines()] for out in (a, b)]
        assert cut[0] == cut[1] and len(cut[0]) > 1, name


def command(cases, weights, out, settings, *more):
    """The command line for these settings."""
    words = [
        "-m",
        "lite_medsam",
        "finetune",
        "--cases",
        cases,
        "--weights",
        weights,
        "-o",
        out,
        "--threads",
        "1",
        *more,
    ]
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if value == field.default:
            continue
        for item in value if isinstance(value, tuple) else (value,):
            words += ["--" + {"protocols": "protocol"}.get(field.name, field.name).replace("_", "-"), item]
    return [str(word) for word in words]


def environment():
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def test_the_new_model_is_better_and_opens_without_a_further_step(finished, cases, weights):
    out, result, lines = finished
    row = result.table[0]
    assert row["protocol"] == "box" and row["dice after"] > row["dice before"] + 0.05
    assert result.best_step > 0 and "patient" not in lines[0] and "cases to train on: 6" in lines[0]
    prediction = Predictor.open(out / "model", threads=1).segment(np.zeros((40, 50), np.uint8), [[5, 5, 20, 30]])
    assert prediction.mask(0).shape == (40, 50)
    old, new = load_model(weights), load_model(out / "model")
    changed = {n for n, v in old.state_dict().items() if not torch.equal(v, new.state_dict()[n])}
    assert changed and not any(name.startswith("image_encoder") for name in changed)
    assert not (out / "features").exists()


def test_the_model_says_where_it_comes_from(finished):
    out, result, _ = finished
    spec = load_spec(out / "model")
    assert spec.name == "tiny-finetuned" and spec.licence == "of the test"
    assert set(spec.prompts) == {"box", "points", "mask"}  # what it was trained on now
    split = json.loads((out / "split.json").read_text())
    card = (out / "model/README.md").read_text()
    assert split["sha256"] in card and "dice before" in card and "Protocol `clicks`" in card
    record = json.loads((out / "model/scores.json").read_text())
    assert record["table"][0]["dice after"] == pytest.approx(result.table[0]["dice after"])
    for name in ("training.png", "validation.png"):
        assert (out / "model" / name).read_bytes().startswith(b"\x89PNG")
    assert "step,dice,iou,surface_dice,best,seconds" in (out / "validation.csv").read_text()
    assert json.loads((out / "settings.json").read_text())["learning_rate"] == 1e-2


@pytest.mark.slow
def test_a_run_that_was_killed_ends_with_the_same_bits(tmp_path, cases, weights):
    settings = dataclasses.replace(QUICK, steps=16, validate_every=6, train="encoder-last")
    out = tmp_path / "cut"
    process = subprocess.Popen(
        [sys.executable, *command(cases, weights, out, settings)], env=environment(), stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 300
    while process.poll() is None and time.monotonic() < deadline:
        if (out / "checkpoint.pt").exists() and state_of(out)["step"] >= 3:
            break
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL and 3 <= state_of(out)["step"] < 16
    with pytest.raises(WeightsError, match="add --resume"):
        finetune(cases, out, settings, weights)
    with pytest.raises(WeightsError, match="got batch_size 8 instead of 4"):
        finetune(cases, out, dataclasses.replace(settings, batch_size=8), weights, resume=True)
    finetune(cases, out, settings, weights, resume=True)
    finetune(cases, tmp_path / "whole", settings, weights)
    assert_same_run(tmp_path / "whole", out)


@pytest.mark.slow
def test_two_processes_take_the_step_of_one(tmp_path, cases, weights):
    settings = dataclasses.replace(QUICK, steps=2, train="all", validate_every=2)
    finetune(cases, tmp_path / "one", settings, weights)
    two = dataclasses.replace(settings, devices=2)
    words = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [sys.executable, *words, *command(cases, weights, tmp_path / "two", two)],
        env=environment(), capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("2 steps in") == 1  # one process reports
    one, both = state_of(tmp_path / "one"), state_of(tmp_path / "two")
    pairs = zip(one["optimizer"]["state"].values(), both["optimizer"]["state"].values(), strict=True)
    for a, b in pairs:  # the mean gradients; weights divide them by their own size, which magnifies rounding
        torch.testing.assert_close(a["exp_avg"], b["exp_avg"], rtol=1e-3, atol=1e-6)
    difference = max(float((one["average"][n] - v).abs().max()) for n, v in both["average"].items())
    assert difference < 1e-3
    assert (tmp_path / "two/model/spec.json").exists()


@pytest.mark.slow
def test_two_processes_without_torchrun(tmp_path, cases, weights):
    settings = dataclasses.replace(QUICK, steps=2)
    finetune(cases, tmp_path / "one", settings, weights)
    two = dataclasses.replace(settings, devices=2)
    done = subprocess.run(
        [sys.executable, *command(cases, weights, tmp_path / "two", two)],
        env=environment(), capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("2 steps in") == 1
    one, both = state_of(tmp_path / "one"), state_of(tmp_path / "two")
    assert max(float((one["average"][n] - v).abs().max()) for n, v in both["average"].items()) < 1e-3


def test_one_process_in_a_slurm_job_is_one_process(monkeypatch):
    for name, value in {"SLURM_NTASKS": "4", "SLURM_JOB_NAME": "train", "SLURM_PROCID": "0", "SLURM_LOCALID": "0",
                        "SLURM_NTASKS_PER_NODE": "4", "SLURM_JOB_ID": "7", "SLURM_NODELIST": "n[1-2]"}.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    fabric = make_fabric()
    fabric.launch()
    assert fabric.world_size == 1 and fabric.is_global_zero
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "4")  # srun started four
    with pytest.raises(ValueError, match="4 processes were started, but devices x nodes is 1; say --devices"):
        make_fabric()
    monkeypatch.delenv("SLURM_STEP_NUM_TASKS")
    monkeypatch.setenv("WORLD_SIZE", "2")  # torchrun did
    with pytest.raises(ValueError, match="2 processes were started"):
        make_fabric()


def test_bf16_on_the_cpu(tmp_path, cases, weights):
    result = finetune(cases, tmp_path / "run", dataclasses.replace(QUICK, steps=2, precision="bf16"), weights)
    state = state_of(tmp_path / "run")
    assert result.steps == 2 and all(v.dtype in (torch.float32, torch.int64) for v in state["model"].values())
    assert all(torch.isfinite(v).all() for v in state["model"].values())


def test_damaged_files_are_named(tmp_path, cases, weights):
    settings = dataclasses.replace(QUICK, steps=2)
    finetune(cases, tmp_path / "run", settings, weights)
    path = tmp_path / "run/checkpoint.pt"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(WeightsError, match=r"checkpoint\.pt must be a checkpoint"):
        finetune(cases, tmp_path / "run", settings, weights, resume=True)
    with pytest.raises(WeightsError, match=r"spec\.json"):
        finetune(cases, tmp_path / "new", settings, tmp_path)


def test_a_full_disk_costs_time_and_not_the_run(tmp_path, cases, weights, monkeypatch):
    settings = dataclasses.replace(QUICK, steps=3, views=2)
    finetune(cases, tmp_path / "whole", settings, weights)

    def full(self, key, arrays):
        self._warn(OSError(28, "No space left on device"))

    monkeypatch.setattr(SignedCache, "put", full)
    with pytest.warns(RuntimeWarning, match="No space left on device"):
        finetune(cases, tmp_path / "full", settings, weights)
    assert_same_run(tmp_path / "whole", tmp_path / "full")


def test_a_start_that_nothing_improves_on_is_kept(tmp_path, cases, weights):
    """Never worse than before on the validation: the starting weights are a candidate too."""
    ruinous = dataclasses.replace(QUICK, learning_rate=1.0, ema_decay=0.0, steps=4, validate_every=2)
    better = finetune(cases, tmp_path / "good", dataclasses.replace(QUICK, steps=24, learning_rate=1e-2, pixel_weight=1.0,
                      ema_decay=0.9, validate_every=8), weights).model  # fmt: skip
    result = finetune(cases, tmp_path / "run", ruinous, better)
    assert result.best_step == 0 and result.table[0]["gain"] == pytest.approx(0, abs=1e-6)
    assert (result.model / "model.safetensors").read_bytes() == (better / "model.safetensors").read_bytes()


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_checkpoint(tmp_path, cases, weights, monkeypatch):
    original, calls = loop.prompt_loss, []

    def spoiled(*arguments):
        calls.append(1)
        return original(*arguments) * (float("nan") if len(calls) > 5 else 1.0)

    monkeypatch.setattr(loop, "prompt_loss", spoiled)
    with pytest.raises(FloatingPointError, match=r"the loss of batch \d+ \(case\d, .*must be finite, got nan"):
        finetune(cases, tmp_path / "run", QUICK, weights)
    state = state_of(tmp_path / "run")
    assert all(torch.isfinite(v).all() for v in state["model"].values())
    monkeypatch.setattr(loop, "prompt_loss", original)
    gentler = dataclasses.replace(QUICK, learning_rate=1e-4)
    assert finetune(cases, tmp_path / "run", gentler, weights, resume=True).steps == QUICK.steps


def test_minutes_become_a_number_of_steps(tmp_path, cases, weights):
    settings = dataclasses.replace(QUICK, steps=0, minutes=1e-4, validate_every=0)
    result = finetune(cases, tmp_path / "run", settings, weights)
    assert result.steps == state_of(tmp_path / "run")["finetune"]["total"] >= 2 * loop.PROBE_STEPS


def test_data_of_another_run_is_refused(tmp_path, cases, weights):
    finetune(cases, tmp_path / "run", dataclasses.replace(QUICK, steps=1), weights)
    other = tmp_path / "other"
    other.mkdir()
    for path in cases.iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    case = disc_case(99)
    save_case(other / "case0.npz", dataclasses.replace(case, name="case0", group="patient0"))
    with pytest.raises(WeightsError, match="must belong to the same data"):
        finetune(other, tmp_path / "run", dataclasses.replace(QUICK, steps=1), weights, resume=True)


def test_too_little_data_is_an_error_that_says_what_is_needed(tmp_path, weights):
    folder = tmp_path / "few"
    folder.mkdir()
    with pytest.raises(CaseError, match="at least two groups"):
        finetune(folder, tmp_path / "run", QUICK, weights)
    for i in range(2):
        case = disc_case(i)
        save_case(folder / f"c{i}.npz", dataclasses.replace(case, name=f"c{i}", group="the same patient"))
    with pytest.raises(CaseError, match="groups"):
        finetune(folder, tmp_path / "run", QUICK, weights)
    assert not (tmp_path / "run").exists()
