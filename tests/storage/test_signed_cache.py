import errno
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lite_medsam.storage.signed_cache
from lite_medsam.storage.signed_cache import SignedCache

SIGNATURE = {"teacher": "abc", "data": "123"}
ARRAYS = {"embedding": np.arange(24, dtype=np.float16).reshape(2, 3, 4), "file": np.array([[1.5, -2.0]], np.float32)}


def cache(folder, limit=None, **changes):
    return SignedCache(folder, {**SIGNATURE, **changes}, limit)


def entries(folder):
    return sorted(folder.glob("*.npz"))


def assert_same(found, expected=ARRAYS):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype and np.array_equal(found[name], array)


def test_what_is_put_is_got_also_by_another_process_later(tmp_path):
    cache(tmp_path).put("a", ARRAYS)
    found = cache(tmp_path).get("a")
    assert_same(found)
    found["embedding"] += 1  # a copy of its own
    assert_same(cache(tmp_path).get("a"))
    assert cache(tmp_path).get("b") is None
    with np.load(entries(tmp_path)[0], allow_pickle=False) as opened:
        assert np.array_equal(opened["embedding"], ARRAYS["embedding"])


@pytest.mark.parametrize(
    "array",
    [np.zeros((0, 3)), np.array(7), np.asfortranarray(np.arange(6).reshape(2, 3)), np.arange(9)[::2], np.array([True]),
     np.array(["ä", "bb"]), np.arange(3, dtype=">i4")],
)  # fmt: skip
def test_any_plain_array(tmp_path, array):
    cache(tmp_path).put("k", {"x": array})
    assert_same(cache(tmp_path).get("k"), {"x": array})


def test_python_objects_are_refused(tmp_path):
    with pytest.raises(ValueError, match="plain dtype"):
        cache(tmp_path).put("k", {"x": np.array([{}])})
    assert not entries(tmp_path)


def test_another_signature_finds_nothing_and_destroys_nothing(tmp_path):
    cache(tmp_path).put("a", ARRAYS)
    other = cache(tmp_path, teacher="abd")
    assert other.get("a") is None
    other.put("a", {"x": np.zeros(2)})
    assert_same(cache(tmp_path).get("a"))
    assert_same(cache(tmp_path, teacher="abd").get("a"), {"x": np.zeros(2)})


def test_the_order_of_the_signature_does_not_matter_but_its_borders_do(tmp_path):
    SignedCache(tmp_path, {"a": "1", "b": "2"}).put("k", ARRAYS)
    assert SignedCache(tmp_path, {"b": "2", "a": "1"}).get("k") is not None
    for other in ({"a": "12", "b": ""}, {"a": "1", "b": "2", "c": ""}, {"a": '1", "b": "2'}, {}):
        assert SignedCache(tmp_path, other).get("k") is None


def test_an_entry_that_was_renamed_is_not_believed(tmp_path):
    theirs, ours = cache(tmp_path, teacher="other"), cache(tmp_path)
    theirs.put("a", ARRAYS)
    entries(tmp_path)[0].rename(ours._path("a"))
    assert ours.get("a") is None


def test_the_folder_says_what_it_is(tmp_path):
    cache(tmp_path / "c"), cache(tmp_path / "c", data="9")
    described = json.loads((tmp_path / "c" / "signature.json").read_text())
    assert sorted(described.values(), key=str) == sorted([SIGNATURE, {**SIGNATURE, "data": "9"}], key=str)
    assert (tmp_path / "c" / "CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55")


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_never_changes_what_is_got(tmp_path, place, bit):
    ours = cache(tmp_path)
    ours.put("a", ARRAYS)
    path = entries(tmp_path)[0]
    data = bytearray(path.read_bytes())
    data[int(place * len(data))] ^= 1 << bit
    path.write_bytes(data)
    found = ours.get("a")
    if found is None:
        assert not path.exists()
        ours.put("a", ARRAYS)
        found = ours.get("a")
    assert_same(found)


def test_flipping_a_bit_of_an_array_is_noticed(tmp_path):
    cache(tmp_path).put("a", {"x": np.full(4000, 7, np.uint8)})
    path = entries(tmp_path)[0]
    path.write_bytes(path.read_bytes().replace(b"\7" * 4000, b"\7" * 3999 + b"\6"))
    assert cache(tmp_path).get("a") is None and not path.exists()


@pytest.mark.parametrize("keep", [0, 1, 100, -1])
def test_a_cut_file_is_dropped(tmp_path, keep):
    cache(tmp_path).put("a", ARRAYS)
    path = entries(tmp_path)[0]
    path.write_bytes(path.read_bytes()[:keep])
    assert cache(tmp_path).get("a") is None and not path.exists()


def test_a_full_disk_costs_the_entry_and_one_warning(tmp_path, monkeypatch):
    ours = cache(tmp_path)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(lite_medsam.storage.signed_cache.np.lib.format, "write_array", full)
    with pytest.warns(RuntimeWarning, match="No space left") as caught:
        ours.put("a", ARRAYS)
        ours.put("b", ARRAYS)
    assert len(caught) == 1
    assert ours.get("a") is None
    assert {p.name for p in tmp_path.iterdir()} == {"signature.json", "CACHEDIR.TAG"}
    monkeypatch.undo()
    ours.put("a", ARRAYS)
    assert_same(ours.get("a"))


def test_the_folder_may_vanish_at_any_time(tmp_path):
    ours = cache(tmp_path / "c")
    ours.put("a", ARRAYS)
    shutil.rmtree(tmp_path / "c")
    assert ours.get("a") is None
    ours.put("a", ARRAYS)
    assert_same(ours.get("a"))
    assert (tmp_path / "c" / "CACHEDIR.TAG").is_file() and (tmp_path / "c" / "signature.json").is_file()


def test_clear_removes_only_its_own(tmp_path):
    ours = cache(tmp_path)
    ours.put("a", ARRAYS)
    cache(tmp_path, data="9").put("a", ARRAYS)
    killed = tmp_path / f".{entries(tmp_path)[0].stem[:40]}-x1_y.npz"
    killed.write_bytes(b"half")
    os.utime(killed, (0, 0))
    writing = killed.with_name(killed.name.replace("x1_y", "x2_y"))
    writing.write_bytes(b"half")
    (tmp_path / "mine.npz").write_bytes(b"")
    ours.clear()
    assert sorted(p.name for p in tmp_path.iterdir()) == [writing.name, "mine.npz"]
    assert ours.get("a") is None
    ours.put("a", ARRAYS)
    assert_same(ours.get("a"))


def test_a_file_in_the_place_of_the_folder(tmp_path):
    (tmp_path / "c").write_text("")
    with pytest.raises(NotADirectoryError, match="must be a folder"):
        cache(tmp_path / "c")


def test_the_limit_removes_other_signatures_and_keeps_the_own(tmp_path):
    block = {"x": np.zeros(10_000, np.uint8)}
    old = cache(tmp_path, teacher="old")
    for key in "abc":
        old.put(key, block)
    ours = cache(tmp_path, limit=50_000)
    with pytest.warns(RuntimeWarning, match="limit"):
        for key in "abcdefg":
            ours.put(key, block)
            assert sum(p.stat().st_size for p in entries(tmp_path)) <= 50_000
    assert [key for key in "abcdefg" if ours.get(key)] == list("abcd")
    assert not any(old.get(key) for key in "abc")


WORK = """
import sys, warnings, numpy as np
from lite_medsam.storage.signed_cache import SignedCache
warnings.simplefilter("error")
number, mine = int(sys.argv[2]), SignedCache(sys.argv[1], {"a": "1"})
for i in range(60):
    key = str((i * 7 + number) % 10)
    found = mine.get(key)
    assert found is None or np.array_equal(found["x"], np.full(500, int(key)))
    mine.put(key, {"x": np.full(500, int(key))})
    if number == 0 and i % 20 == 10:
        mine.clear()
"""


def test_several_processes_share_it(tmp_path):
    workers = [subprocess.Popen([sys.executable, "-c", WORK, tmp_path, str(n)]) for n in range(3)]
    assert [worker.wait(60) for worker in workers] == [0, 0, 0]
    assert SignedCache(tmp_path, {"a": "1"}).get("3")["x"][0] == 3
