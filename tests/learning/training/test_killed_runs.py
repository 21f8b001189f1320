"""kill -9 at random moments, then --resume: the same bits as a run that was left alone. For every command that trains."""

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
from lite_medsam.learning.network.export import export_model
from lite_medsam.model.spec import save_spec

FINETUNE = (
    "--steps 14 --batch-size 4 --objects-per-image 2 --views 3 --protocol box --protocol clicks --validate-every 4 "
    "--checkpoint-every 1 --patience 0 --accelerator cpu --warmup-steps 2 --seed 3 --threads 1"
)
DISTILL = (
    "--steps 24 --batch-size 2 --warmup-steps 2 --checkpoint-every 2 --views-per-image 2 --threads 1 --held-out 0.2"
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Cases, a tiny model to start from or to learn from, a student, and a recipe."""
    folder = tmp_path_factory.mktemp("place")
    for i in range(8):
        case = dataclasses.replace(disc_case(i, "OCT"), name=f"2D_OCT_discs_{i}", group=f"patient{i // 2}")
        save_case(folder / f"cases/{case.name}.npz", case)
    export_model(tiny_model(), folder / "tiny")
    student = dataclasses.replace(TINY, architecture=dataclasses.replace(TINY.architecture, embedding_dim=24))
    save_spec(folder / "student", student)
    sampling = {"objects_per_image": 2}
    train = {"steps": 30, "batch_size": 2, "checkpoint_every": 3, "warmup_steps": 2, "sampling": sampling}
    (folder / "recipe.json").write_text(json.dumps({"spec": dataclasses.asdict(TINY), "train": train}))
    return folder


def words_of(kind, place):
    if kind == "distill":
        return ["distill", "--teacher", place / "tiny", "--student", place / "student/spec.json", *DISTILL.split()]
    if kind == "train":
        return ["train", "--recipe", place / "recipe.json", "--threads", "1"]
    return ["finetune", "--weights", place / "tiny", "--train", kind, *FINETUNE.split()]


def start(kind, place, out, *more):
    words = [*words_of(kind, place), "--cases", place / "cases", "-o", out, *more]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "lite_medsam", *map(str, words)],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def finish(process):
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors[-2000:]


def step_of(out):
    path = out / "checkpoint.pt"
    return torch.load(path, weights_only=True)["step"] if path.exists() else -1


def kill_after(process, out, step, delay):
    """Kills once the checkpoint is at a step (-1: while features or lessons are made) and a moment has passed."""
    while process.poll() is None:
        begun = out.exists() and (step >= 0 or any(out.rglob("*.npz")))
        if begun and step_of(out) >= step:
            time.sleep(delay)
            break
        time.sleep(0.005)
    process.kill()
    process.communicate()
    return process.returncode == -signal.SIGKILL


def assert_same_bits(a, b):
    first, second = (torch.load(out / "checkpoint.pt", weights_only=True) for out in (a, b))
    assert first["step"] == second["step"]
    for part in ("model", "average"):
        for name, value in first[part].items():
            assert torch.equal(value, second[part][name]), (part, name)
    flat = [[t for state in c["optimizer"]["state"].values() for t in state.values()] for c in (first, second)]
    assert all(torch.equal(x, y) for x, y in zip(*flat, strict=True))
    if (a / "model").exists():
        assert (a / "model/model.safetensors").read_bytes() == (b / "model/model.safetensors").read_bytes()


def run_with_kills(kind, place, folder, kills, seed):
    rng = np.random.default_rng(seed)
    whole, cut = folder / f"{kind}-whole", folder / f"{kind}-cut"
    finish(start(kind, place, whole))
    last = step_of(whole)
    # the first kill while features or lessons are made, the others at random steps and moments between two of them
    moments = [-1, *sorted(rng.integers(0, max(1, last - 2), kills - 1).tolist())]
    killed = 0
    for step in moments:
        process = start(kind, place, cut, *(["--resume"] if (cut / "checkpoint.pt").exists() else []))
        killed += kill_after(process, cut, step, float(rng.uniform(0, 0.3)))
    finish(start(kind, place, cut, "--resume"))
    assert killed, "no kill hit the run"
    assert_same_bits(whole, cut)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["decoder", "encoder-last", "all", "distill", "train"])
def test_many_kills_at_random_moments(kind, place, tmp_path):
    run_with_kills(kind, place, tmp_path, kills=4, seed=len(kind))


@pytest.mark.slow
def test_a_kill_while_features_are_made_and_one_later(place, tmp_path):
    run_with_kills("decoder", place, tmp_path, kills=2, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["decoder", "all"])
def test_a_second_run_gives_the_same_bits(kind, place, tmp_path):
    for name in ("a", "b"):
        finish(start(kind, place, tmp_path / name))
    assert_same_bits(tmp_path / "a", tmp_path / "b")
