"""Recipes give back, without torch, exactly what `convert` made; and those of the package are up to date."""

import zipfile

import numpy as np
import pytest
import tiny_models
import torch

from lite_medsam.errors import WeightsError
from lite_medsam.learning.network.families import FAMILIES, family_spec
from lite_medsam.learning.published import convert, reading
from lite_medsam.learning.published.assembly_recipe import write_recipe
from lite_medsam.model.assembly import RECIPES, assemble
from lite_medsam.model.spec import ModelSpec


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A tiny LiteMedSAM: its checkpoint and the directory that `convert` made of it."""
    folder = tmp_path_factory.mktemp("tiny")
    with pytest.MonkeyPatch.context() as patch:
        tiny_models.register(patch)
        patch.setattr(reading, "FAMILIES", {"litemedsam_tiny": FAMILIES["litemedsam_tiny"]})
        torch.save(tiny_models.published_model("litemedsam_tiny", seed=8).state_dict(), folder / "w.pth")
        convert.to_directory(folder / "w.pth", folder / "model")
    return folder


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_recipe_gives_the_same_bytes(tiny, tmp_path):
    write_recipe(tiny / "w.pth", tiny / "model", tmp_path / "r.zip")
    assemble(tmp_path / "r.zip", tiny / "w.pth", tmp_path / "out")
    assert contents(tmp_path / "out") == contents(tiny / "model")
    # and carries none of the larger weights
    assert (tmp_path / "r.zip").stat().st_size < (tiny / "w.pth").stat().st_size / 4
    write_recipe(tiny / "w.pth", tiny / "model", tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == (tmp_path / "r.zip").read_bytes()


def test_weights_of_another_file_make_no_recipe(tiny, tmp_path):
    state = torch.load(tiny / "w.pth", weights_only=True)
    torch.save(
        {name: value + 1 if value.is_floating_point() else value for name, value in state.items()}, tmp_path / "o.pth"
    )
    with pytest.raises(WeightsError, match="must come from the checkpoint"):
        write_recipe(tmp_path / "o.pth", tiny / "model", tmp_path / "r.zip")
    assert not (tmp_path / "r.zip").exists()


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.zip")), ids=lambda path: path.stem)
def test_the_recipes_of_the_package_are_what_convert_would_write(path):
    """If this fails, a family's facts have changed: make them again, see the module's first lines."""
    with zipfile.ZipFile(path) as archive:
        spec = ModelSpec.from_json(archive.read("spec.json").decode())
    expected = family_spec("litemedsam", image_size=spec.preprocessing.image_size)
    same = ("name", "architecture", "preprocessing", "zoom", "prompts", "licence", "training_data", "notes")
    assert [getattr(spec, field) for field in same] == [getattr(expected, field) for field in same]
    assert np.isclose(spec.mask_threshold, 0)
