"""Names that every system can write, and names in JSON."""

import json
import os
import unicodedata

import pytest

from lite_medsam.storage.files import atomic_write
from lite_medsam.storage.json_text import json_bytes, path_of_name, recorded_name
from lite_medsam.storage.names import name_key, writable_folder, writable_name
from lite_medsam.storage.paths import files_below


def test_equal_on_some_system():
    assert name_key("A.png") == name_key("a.PNG") and name_key("a") != name_key("b")
    assert name_key("é") == name_key(unicodedata.normalize("NFD", "É"))
    assert name_key("P1./a") == name_key("p1/a ")


@pytest.mark.parametrize("name", ["CON", "aux.txt", "nul", "COM1", "lpt9.x", "Prn .b"])
def test_devices_of_windows(name):
    assert writable_name(name) == "_" + name


@pytest.mark.parametrize("name", ["console", "a", "auxiliary.txt", "com", "1.2.3"])
def test_other_names_stay(name):
    assert writable_name(name) == writable_folder(name) == name


def test_long_names_are_cut_and_stay_apart():
    names = {writable_name("扫" * 200 + end, 242) for end in "ab"}
    assert len(names) == 2 and all(200 < len(name.encode()) <= 242 for name in names)
    assert writable_name("x" * 242, 242) == "x" * 242
    assert writable_folder("P1. .") == "P1___"


def test_names_of_any_bytes_go_through_json(tmp_path):
    name = b"l\xfc \xe6\x89\xab.png".decode("utf-8", "surrogateescape")
    data = json_bytes({"input": recorded_name(name)})
    data.decode("utf-8")
    back = json.loads(data)["input"]
    assert back == name and path_of_name(back).name == name
    assert recorded_name(os.fsdecode("扫.png".encode())) == "扫.png"


def test_the_longest_names_are_written(tmp_path):
    for name in ("x" * 251 + ".png", "扫" * 83 + ".npz", "a." + "y" * 253):
        with atomic_write(tmp_path / name) as path:
            path.write_bytes(b"1")
        assert (tmp_path / name).read_bytes() == b"1"
    assert len(list(tmp_path.iterdir())) == 3


def test_what_cannot_be_looked_into_is_told(tmp_path, monkeypatch):
    for name in ("a.png", "sub/b.PNG", "locked/c.png", ".hidden.png", "sub/n.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"1")
    original = os.scandir

    def scandir(path):
        if os.fspath(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return original(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found = files_below(tmp_path, (".png",))
    assert [path.name for path in found.files] == ["a.png", "b.PNG"]
    assert [(path.name, reason) for path, reason in found.problems] == [
        ("locked", "the folder could not be read (Permission denied)")
    ]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no such files on this system")
def test_names_without_a_file_are_told(tmp_path):
    (tmp_path / "gone.png").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe.png")
    found = files_below(tmp_path, (".png",))
    assert not found.files and {path.name: reason for path, reason in found.problems} == {
        "gone.png": "a link to what is not there", "pipe.png": "must be a regular file",
    }  # fmt: skip
