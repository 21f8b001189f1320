"""Each package says what each of its modules is for, and nothing of modules that are gone."""

import ast
import re
from pathlib import Path

import pytest

import lite_medsam

PACKAGE = Path(lite_medsam.__file__).parent
FOLDERS = sorted(path.parent for path in PACKAGE.rglob("__init__.py") if path.parent != PACKAGE)


def test_every_folder_of_code_is_a_package():
    assert {path.parent for path in PACKAGE.rglob("*.py")} - {PACKAGE} == set(FOLDERS)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_package_lists_its_modules(folder):
    text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
    listed = re.findall(r"^- ([\w/]+): \S", text, re.M)
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    modules |= {f"{path.parent.name}/" for path in folder.glob("*/__init__.py")}
    assert sorted(listed) == sorted(modules)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_package_says_each_on_one_line(folder):
    lines = (ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or "").splitlines()
    items = [index for index, line in enumerate(lines) if line.startswith("- ")]
    for index in items:
        assert len(lines[index]) <= 120, lines[index]
        assert not lines[index + 1 : index + 2] or not lines[index + 1].startswith(" "), f"goes on: {lines[index]}"


def test_the_first_line_of_every_module_says_what_it_is_for():
    """One whole sentence or phrase on one line: what a reader sees in a listing is never cut off."""
    for path in sorted(PACKAGE.rglob("*.py")):
        first, *rest = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").splitlines() or [""]
        assert first.endswith(".") and len(first) <= 120, f"{path}: {first}"
        assert not rest or not rest[0], f"{path}: the first line goes on in the second: {rest[0]}"
