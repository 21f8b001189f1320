"""Model directories from an authors' file without torch: what the package brings, and files that do not fit."""

import hashlib
import json
import zipfile

import numpy as np
import pytest

from lite_medsam.errors import WeightsError
from lite_medsam.model.assembly import RECIPES, assemble, find_recipe, folded_bias, folded_weight, read_recipe
from lite_medsam.model.manifest import find_model, load_manifest
from lite_medsam.model.spec import ModelSpec

NUMBERS = np.arange(100, dtype="<f4").tobytes()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def recipe(tmp_path):
    """A file of six own bytes with a stretch of the authors' numbers between, and a spec."""

    def write(version=1, expected=b"abc" + NUMBERS[8:24] + b"def"):
        parts = {"graph": [["own", 3], ["theirs", 8, 16], ["own", 3]], "spec.json": [["own", 2]]}
        hashes = {"graph": sha256(expected), "spec.json": sha256(b"{}")}
        files = [{"name": name, "sha256": hashes[name], "parts": parts[name]} for name in parts]
        record = {
            "format": "lite-medsam-assembly", "version": version, "checkpoint_sha256": sha256(NUMBERS), "files": files,
        }  # fmt: skip
        with zipfile.ZipFile(tmp_path / "m.zip", "w") as archive:
            archive.writestr("recipe.json", json.dumps(record))
            archive.writestr("graph", b"abcdef")
            archive.writestr("spec.json", b"{}")
        (tmp_path / "w.pth").write_bytes(NUMBERS)
        return tmp_path / "m.zip"

    return write


def test_own_bytes_and_theirs_in_turn(recipe, tmp_path):
    assemble(recipe(), tmp_path / "w.pth", tmp_path / "out")
    assert (tmp_path / "out" / "graph").read_bytes() == b"abc" + NUMBERS[8:24] + b"def"
    assert (tmp_path / "out" / "spec.json").read_bytes() == b"{}"


def test_another_file_of_the_authors_is_refused(recipe, tmp_path):
    path = recipe()
    (tmp_path / "w.pth").write_bytes(NUMBERS[:-1] + b"x")
    with pytest.raises(WeightsError, match="SHA-256"):
        assemble(path, tmp_path / "w.pth", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_comes_out_otherwise_is_not_kept(recipe, tmp_path):
    with pytest.raises(WeightsError, match="graph could not be put together"):
        assemble(recipe(expected=b"something else"), tmp_path / "w.pth", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_damaged_or_newer_recipe_says_what_to_do(recipe, tmp_path):
    with pytest.raises(WeightsError, match="update lite-medsam"):
        read_recipe(recipe(version=2))
    (tmp_path / "m.zip").write_bytes(b"no zip")
    with pytest.raises(WeightsError, match="install lite-medsam again"):
        read_recipe(tmp_path / "m.zip")


def test_a_recipe_is_for_one_file(recipe, tmp_path):
    path = recipe()
    assert find_recipe("m", sha256(NUMBERS), tmp_path) == path
    assert find_recipe("m", "0" * 64, tmp_path) is None and find_recipe("n", sha256(NUMBERS), tmp_path) is None


def test_folding_is_that_of_a_convolution_and_its_normalisation():
    rng = np.random.default_rng(0)
    kernel, (gain, shift, mean) = rng.standard_normal((4, 6)), rng.standard_normal((3, 4))
    variance, x, eps = rng.uniform(0.5, 2, 4), rng.standard_normal(6), 1e-5
    arrays = [np.asarray(a, "<f4") for a in (kernel, gain, variance, shift, mean)]
    numbers, places = b"".join(a.tobytes() for a in arrays), np.cumsum([0, *(a.nbytes for a in arrays)])
    weight = np.frombuffer(folded_weight(numbers, *places[:3].tolist(), [4, 6], eps), "<f4").reshape(4, 6)
    bias = np.frombuffer(folded_bias(numbers, *places[[3, 4, 1, 2]].tolist(), [4, 6], eps), "<f4")
    expected = (kernel @ x - mean) / np.sqrt(variance + eps) * gain + shift
    assert np.allclose(weight @ x + bias, expected, atol=1e-5)


@pytest.mark.parametrize("size", [256, 128, 96, 64])
def test_the_recipes_of_the_package_are_for_the_published_litemedsam(size):
    name = "litemedsam" if size == 256 else f"litemedsam-{size}"
    path = find_recipe(name, find_model("litemedsam", load_manifest()).sha256)
    assert path == RECIPES / f"{name}.zip" and path.stat().st_size < 100_000  # our bytes, not their weights
    with zipfile.ZipFile(path) as archive:
        spec = ModelSpec.from_json(archive.read("spec.json").decode())
    assert spec.name == name and spec.preprocessing.image_size == size and spec.zoom.enabled
    hashes = {entry["name"]: entry["sha256"] for entry in read_recipe(path)["files"]}
    assert hashes.items() >= spec.files.items() and list(hashes)[-1] == "spec.json"
