"""What README.md and docs/*.md tell people to type runs: each block as it stands there, on phantoms, in a folder of its own."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pages import LANGUAGES, PAGES, Block, blocks
from places import ROOT

SECONDS = 120


def runnable() -> list:
    """A parameter for each block that runs, with its marks."""
    found = []
    for page in PAGES:
        for block in blocks(page):
            if block.language in LANGUAGES and "notest" not in block.marks:
                marks = [pytest.mark.slow] if "slow" in block.marks else []
                found.append(pytest.param(block, id=str(block), marks=marks))
    return found


def first(page: Path) -> Block | None:
    """The block that makes the inputs of a page."""
    return next((b for b in blocks(page) if b.language == "bash" and "notest" not in b.marks), None)


@pytest.fixture(scope="session")
def environment(tmp_path_factory, own_caches) -> dict[str, str]:
    """The variables under which `lite-medsam` and `python` are those of this test run."""
    folder = tmp_path_factory.mktemp("bin")
    for name, arguments in (("lite-medsam", " -m lite_medsam"), ("python", "")):
        script = folder / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}"{arguments} "$@"\n')
        script.chmod(0o755)
    return os.environ | {
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "ignore",
        "MPLBACKEND": "agg",
    }


@pytest.fixture(scope="session")
def inputs(tmp_path_factory, environment):
    """A function: the folder as the first block of a page leaves it, made once."""
    made: dict[Path, Path] = {}

    def folder(page: Path) -> Path:
        if page not in made:
            made[page] = tmp_path_factory.mktemp(page.stem)
            run(first(page), made[page], environment)
        return made[page]

    return folder


def run(block: Block, folder: Path, environment: dict[str, str]) -> None:
    command = ["bash", "-euo", "pipefail", "-c"] if block.language == "bash" else [sys.executable, "-c"]
    done = subprocess.run(
        [*command, block.text],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS * (10 if "slow" in block.marks else 1),
    )
    assert done.returncode == 0, f"{block} ended with {done.returncode}\n{block.text}\n{done.stdout}\n{done.stderr}"


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize("block", runnable())
def test_the_block_runs(block, inputs, environment, tmp_path, pytestconfig):
    if pytestconfig.getoption("--after-base") and not {"needs", "slow"} & set(block.marks):
        pytest.skip("ran in the base environment")
    for module in block.marks.get("needs", "").split():
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"needs {module}")
    folder = inputs(block.page)
    if block == first(block.page):
        return
    shutil.copytree(folder, tmp_path / "page")
    run(block, tmp_path / "page", environment)


def test_the_site_is_built_and_contacts_nobody(tmp_path):
    """`make docs`: every link leads somewhere, and no page loads anything from another host."""
    if importlib.util.find_spec("mkdocs") is None or importlib.util.find_spec("material") is None:
        pytest.skip("needs mkdocs-material")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--config-file", ROOT / "mkdocs.yml"]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run([*command, "--site-dir", tmp_path], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    pages = {
        path.relative_to(tmp_path).as_posix(): path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.html")
    }
    assert {f"{page.stem}.html" for page in PAGES[1:]} | {"weights/lite-medsam/index.html"} <= set(pages)
    for name, text in pages.items():
        assert not re.findall(r"<(?:script|link|img|iframe)[^>]*(?:src|href)=[\"']?(?:https?:)?//[^>]*>", text), name


def test_what_does_not_run_is_little():
    """Blocks are left out for a reason, and most are not."""
    every = [block for page in PAGES for block in blocks(page) if block.language in LANGUAGES]
    assert len(runnable()) > len(every) / 2
