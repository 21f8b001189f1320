"""What goes to a machine with a GPU and what comes back, tried on the CPU with a network that is small enough."""

import dataclasses
import importlib.util
import json
import os
import subprocess
import sys
import tarfile

import numpy as np
import pytest
import torch
from places import ROOT
from tiny import TINY, disc_case

from lite_medsam.cases.case import Case, load_case, save_case
from lite_medsam.errors import CaseError
from lite_medsam.learning.data.dataset import BatchSource
from lite_medsam.learning.data.labelled_image import LabelledImage
from lite_medsam.learning.data.sampling import Sampling
from lite_medsam.learning.data.workers import batches_from
from lite_medsam.learning.training.recipe import load_recipe
from lite_medsam.model.spec import load_spec

RECIPES = ROOT / "weights" / "recipes"


def script(name):
    spec = importlib.util.spec_from_file_location(name, RECIPES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tiny_recipe(folder, **more):
    record = {
        "spec": {
            "name": "tiny",
            "architecture": dataclasses.asdict(TINY.architecture),
            "preprocessing": {"image_size": 64},
        },
        "train": {"steps": 6, "batch_size": 2, "warmup_steps": 1, "seed": 3, "sampling": {"objects_per_image": 2}},
    } | more
    path = folder / "tiny.json"
    path.write_text(json.dumps(record))
    return path


def cases(folder):
    folder.mkdir()
    for i in range(3):
        save_case(folder / f"2D_CT_discs_{i}.npz", disc_case(i))
    flat = disc_case(3)
    volume = Case(
        image=np.stack([flat.image] * 9), label=np.stack([flat.label] * 9), boxes=None, spacing_mm=None,
        name="3D_CT_stack_1", modality="CT", is_volume=True,
    )  # fmt: skip
    save_case(folder / "3D_CT_stack_1.npz", volume)


def test_what_is_packed_is_what_training_would_see_only_smaller(tmp_path):
    cases(tmp_path / "cases")
    script("pack_cases").pack(tiny_recipe(tmp_path), tmp_path / "cases", tmp_path, tmp_path / "out", 60, 8)
    packed = sorted((tmp_path / "out" / "cases").glob("*.npz"))
    assert [path.stem for path in packed if "discs" in path.stem] == [f"2D_CT_discs_{i}" for i in range(3)]
    assert len(packed) == 3 + 6  # six slices of the volume
    for path in packed:
        case = load_case(path)
        assert case.image.shape == case.label.shape == (45, 60) and case.modality == "CT"
        assert set(np.unique(case.label)) == {0, 1, 3}
    recipe = load_recipe(tmp_path / "out" / "recipe.json")
    assert (recipe.train.batch_size, recipe.train.learning_rate, recipe.split) == (8, 2e-3, "")


def test_what_a_recipe_does_not_train_on_is_not_packed(tmp_path):
    cases(tmp_path / "cases")
    (tmp_path / "split.json").write_text((RECIPES / "split.json").read_text())
    with pytest.raises(CaseError, match="must be in the recipe's training part"):
        script("pack_cases").pack(
            tiny_recipe(tmp_path, split="split.json"), tmp_path / "cases", tmp_path, tmp_path / "out", 60, 8
        )


def test_steps_are_what_fits():
    steps_within = script("fit_steps").steps_within
    assert steps_within(100.0, 10, 5.0) == 190
    assert steps_within(1.0, 10, 50.0) == 11  # never none: the schedule has to end


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # where there is one CPU
def test_batches_of_processes_are_those_of_one_thread():
    source = BatchSource(
        [LabelledImage.from_case(disc_case(i)) for i in range(3)],
        TINY.preprocessing,
        Sampling(objects_per_image=2),
        2,
        7,
    )
    alone, together = list(batches_from(source, 3, 6, 0)), list(batches_from(source, 3, 6, 2))
    assert len(alone) == len(together) == 3
    for one, other in zip(alone, together, strict=True):
        assert torch.equal(one.pixels, other.pixels) and torch.equal(one.coords, other.coords)


@pytest.mark.slow
def test_the_script_trains_exports_and_leaves_pieces(tmp_path):
    cases(tmp_path / "cases")
    script("pack_cases").pack(tiny_recipe(tmp_path), tmp_path / "cases", tmp_path, tmp_path / "pack", 96, 2)
    (tmp_path / "targets.csv").write_text("dataset,label,target\n")
    environment = {**os.environ, "ACCELERATOR": "cpu", "WORKERS": "0", "FIRST_STEPS": "2", "PYTHON": sys.executable}
    done = subprocess.run(
        [RECIPES / "on-gpu.sh", tmp_path / "pack", tmp_path / "targets.csv", tmp_path / "out", "0.05"],
        env=environment, capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    pieces = sorted((tmp_path / "out").glob("model.*"))
    assert pieces and all(piece.stat().st_size <= 15 * 2**20 for piece in pieces)
    whole = tmp_path / "model.tar"
    whole.write_bytes(b"".join(piece.read_bytes() for piece in pieces))
    with tarfile.open(whole) as archive:
        archive.extractall(tmp_path, filter="data")
    assert load_spec(tmp_path / "model").name == "lite-medsam"
    steps = json.loads((tmp_path / "out" / "recipe.json").read_text())["train"]["steps"]
    assert f"{steps} steps in 0.05 minutes" in done.stdout
