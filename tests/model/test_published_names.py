"""`--weights NAME`: what a name means, in Python, on the command line and in the demo."""

import shutil

import pytest
from click.testing import CliRunner

import lite_medsam
from lite_medsam.cli.info import command as info
from lite_medsam.errors import WeightsError
from lite_medsam.model.published import cached_models, find_weights, models_folder
from lite_medsam.model.runtime import open_backend
from lite_medsam.storage.bundled import DEFAULT_WEIGHTS

FILES = ("spec.json", "encoder.onnx", "decoder.onnx")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """An empty cache, and a working folder in which nothing lies by chance."""
    monkeypatch.setattr("lite_medsam.model.published.cache_folder", lambda: tmp_path / "cache")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


def put(folder, *files):
    """A model that runs; what it is called is decided by where it lies."""
    folder.mkdir(parents=True)
    for name in files or FILES:
        shutil.copy(DEFAULT_WEIGHTS / name, folder)
    return folder


def test_a_name_means_what_was_got(tmp_path):
    assert cached_models() == {} and find_weights() == DEFAULT_WEIGHTS == find_weights("lite-medsam")
    mine = put(models_folder() / "litemedsam")
    light = put(models_folder() / "litemedsam-128")
    put(models_folder() / ".making-x" / "litemedsam")
    put(models_folder() / ".old")
    assert cached_models() == {"litemedsam": mine, "litemedsam-128": light}
    assert find_weights("litemedsam") == mine and find_weights("litemedsam-128") == light
    assert lite_medsam.Predictor.open("litemedsam").spec == open_backend(mine).spec == open_backend("litemedsam").spec


def test_a_model_that_is_not_there_says_the_command_that_gets_it():
    for name, words in (
        ("litemedsam", "litemedsam"),
        ("litemedsam-96", "litemedsam --image-size 96"),
        ("sam-vit-b", "sam-vit-b"),
    ):
        with pytest.raises(
            WeightsError, match=f"{name} is not on this machine yet; get it: lite-medsam weights get {words}$"
        ):
            lite_medsam.Predictor.open(name)


def test_a_folder_goes_before_a_name_and_a_path_is_a_path(tmp_path):
    put(models_folder() / "litemedsam")
    assert find_weights("./litemedsam-96").name == "litemedsam-96"  # no question of names
    assert find_weights(tmp_path / "litemedsam") == tmp_path / "litemedsam"
    assert find_weights("mine") == find_weights(tmp_path / "mine").relative_to(tmp_path)
    here = put(tmp_path / "work" / "litemedsam", "spec.json")
    assert find_weights("litemedsam").resolve() == here
    with pytest.raises(WeightsError, match="must be a model directory"):
        open_backend("mine")


def test_commands_take_names():
    result = CliRunner().invoke(info, ["--weights", "litemedsam"])
    assert isinstance(result.exception, WeightsError) and "weights get litemedsam" in str(result.exception)
    directory = put(models_folder() / "litemedsam")
    result = CliRunner().invoke(info, ["--weights", "litemedsam"])
    assert result.exit_code == 0 and str(directory) in result.output


def test_the_demo_lists_what_is_on_this_machine(tmp_path):
    models = pytest.importorskip("demo.models").Models
    assert list(models().directories) == ["lite-medsam"]
    with pytest.raises(WeightsError, match="weights get litemedsam"):
        models(("litemedsam",))
    text = (DEFAULT_WEIGHTS / "spec.json").read_text()
    directory = put(models_folder() / "litemedsam")
    (directory / "spec.json").write_text(text.replace('"name": "lite-medsam"', '"name": "litemedsam"'))
    (put(models_folder() / "sam-vit-b") / "spec.json").write_text("damaged")
    both = models()
    assert list(both.directories) == ["lite-medsam", "litemedsam"] and both.default == "lite-medsam"
    assert both.get("litemedsam", "onnxruntime").spec.name == "litemedsam"
    assert models(("litemedsam",)).default == "litemedsam"
    assert models(("lite-medsam",)).default == "lite-medsam"
