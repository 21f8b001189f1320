"""`make check` runs the tests of what changed, and of what depends on it."""

import subprocess

import pytest
from changed import changed_files, concerned_tests, importers
from places import ROOT


def test_importers_are_found_through_others():
    above = importers(ROOT)
    assert {"images", "segment", "jobs", "demo"} <= above["storage"]
    assert "storage" not in above["segment"]
    assert "learning" not in above["bench"]


def test_a_package_brings_its_tests_and_those_above_it():
    found = concerned_tests(["lite_medsam/session/state.py"])
    assert {"tests/session", "tests/demo", "tests/test_imports.py"} <= set(found)
    assert not {"tests/images", "tests/segment", "tests"} & set(found)


def test_a_ground_floor_brings_nearly_all():
    assert {"tests/storage", "tests/images", "tests/learning", "tests/demo"} <= set(
        concerned_tests(["lite_medsam/storage/files.py"])
    )


@pytest.mark.parametrize("path", ["pyproject.toml", "tests/support/fakes.py", "lite_medsam/errors.py", ".ci/run"])
def test_what_all_depends_on_brings_all(path):
    assert concerned_tests([path]) == ["tests"]


def test_a_test_brings_itself_only():
    found = set(concerned_tests(["tests/images/test_reading.py"]))
    assert found == {
        "tests/images/test_reading.py",
        "tests/test_imports.py",
        "tests/test_readme.py",
        "tests/test_structure.py",
    }


def test_files_that_are_gone_and_texts_do_no_harm():
    assert "tests/images/test_gone.py" not in concerned_tests(["tests/images/test_gone.py", "docs/x.md"])
    assert concerned_tests([]) == []


def test_changed_files_are_those_since_a_commit_and_new_ones(tmp_path):
    def git(*words):
        author = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
        subprocess.run(["git", *author, *words], cwd=tmp_path, check=True, capture_output=True)

    git("init", "-b", "main")
    (tmp_path / "a.py").write_text("1")
    git("add", "."), git("commit", "-m", "a")
    git("checkout", "-b", "mine")
    (tmp_path / "b.py").write_text("2")
    git("add", "."), git("commit", "-m", "b")
    (tmp_path / "a.py").write_text("3")
    (tmp_path / "new.py").write_text("4")
    assert changed_files(None, tmp_path) == ["a.py", "b.py", "new.py"]
    assert changed_files("HEAD", tmp_path) == ["a.py", "new.py"]
