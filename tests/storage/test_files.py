import pytest

from lite_medsam.storage.files import atomic_write


def test_the_file_appears_whole_and_keeps_its_suffix(tmp_path):
    target = tmp_path / "new" / "a.png"
    with atomic_write(target) as path:
        assert path.suffix == ".png" and path.parent == target.parent and not target.exists()
        path.write_text("done")
    assert target.read_text() == "done" and list(target.parent.iterdir()) == [target]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), atomic_write(target) as path:
        path.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old" and list(tmp_path.iterdir()) == [target]


def test_the_file_is_as_readable_as_any_other(tmp_path):
    (tmp_path / "plain").write_text("")
    with atomic_write(tmp_path / "atomic") as path:
        path.write_text("")
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode
