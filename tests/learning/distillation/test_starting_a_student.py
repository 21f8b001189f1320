"""A student starts where its recipe says, as in training: from a whole model, a backbone, or LiteMedSAM's checkpoint."""

import dataclasses
import json

import pytest
import torch
from tiny import TINY, disc_case, tiny_model

from lite_medsam.cases.case import save_case
from lite_medsam.errors import WeightsError
from lite_medsam.learning.distillation.run import open_student, run_distillation
from lite_medsam.learning.distillation.settings import DistillSettings
from lite_medsam.learning.lessons.settings import ViewSettings
from lite_medsam.learning.lessons.teachers import Teacher
from lite_medsam.learning.network.backend import TorchBackend
from lite_medsam.learning.network.checkpoint import save_weights

# so slow that what is written is where it began
SETTINGS = DistillSettings(
    steps=1, batch_size=1, warmup_steps=1, learning_rate=1e-9, held_out=0, views=ViewSettings(views_per_image=1)
)


@pytest.fixture
def run(tmp_path):
    save_case(tmp_path / "cases" / "2D_CT_discs_0.npz", disc_case(0))
    spec = {"name": "tiny", "architecture": dataclasses.asdict(TINY.architecture)}
    spec["preprocessing"] = dataclasses.asdict(TINY.preprocessing)
    recipe = tmp_path / "recipe.json"
    recipe.write_text(json.dumps({"spec": spec, "start": "model.safetensors"}))

    def start(folder):
        student = open_student(recipe, 0)
        run_distillation(
            Teacher.of(TorchBackend(tiny_model(1)), "one"), student, tmp_path / "cases", tmp_path / "out", SETTINGS,
            start_folder=folder,
        )  # fmt: skip
        return student.model.state_dict()

    return start


def test_a_whole_model_is_taken_over(tmp_path, run):
    other = tiny_model(7)
    save_weights(tmp_path, other)
    found, expected = run(tmp_path), other.state_dict()
    assert all(torch.allclose(found[name], value.half().float(), atol=1e-3) for name, value in expected.items()
               if value.is_floating_point() and "running" not in name)  # fmt: skip


def test_what_is_not_there_is_told(tmp_path, run):
    with pytest.raises(WeightsError, match=r"model\.safetensors must be a readable safetensors file"):
        run(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(WeightsError, match="must be a readable safetensors file"):
        run(tmp_path)
    with pytest.raises(WeightsError, match="name its folder with --start"):
        run(None)
