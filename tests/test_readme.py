"""The README's tree and commands are true."""

import re
import shlex

import click
import pytest
from places import ROOT

from lite_medsam.cli import group

README = (ROOT / "README.md").read_text(encoding="utf-8")


def tree_paths() -> set[str]:
    """Paths of the tree in the README, from its indentation; folders end with a slash."""
    block = re.search(r"```\n(lite_medsam/\n.*?)```", README, re.S).group(1)
    folders, paths = [], set()
    for line in block.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        name = line.split()[0]
        folders[depth:] = [name] if name.endswith("/") else []
        paths.add("".join(folders[:depth]) + name)
    return paths


def test_every_path_of_the_tree_exists():
    for path in tree_paths():
        assert (ROOT / path).exists(), path


def test_the_tree_shows_every_package_and_no_modules():
    packages = {f"lite_medsam/{path.parent.name}/" for path in (ROOT / "lite_medsam").glob("*/__init__.py")}
    assert {path for path in tree_paths() if path.startswith("lite_medsam/")} == packages | {"lite_medsam/"}


def test_every_line_of_the_tree_says_something():
    block = re.search(r"```\n(lite_medsam/\n.*?)```", README, re.S).group(1)
    for line in block.splitlines()[1:]:
        assert len(line.split()) > 2, line


def commands() -> list[str]:
    pages = [README, *(page.read_text(encoding="utf-8") for page in sorted((ROOT / "docs").glob("*.md")))]
    blocks = re.findall(r"```(?:bash|sh)[^\n]*\n(.*?)```", "\n".join(pages), re.S)
    text = "\n".join(blocks).replace("\\\n", " ")
    return [line for line in text.splitlines() if line.strip().startswith("lite-medsam ")]


@pytest.mark.parametrize("line", commands())
def test_commands_parse(line):
    words = shlex.split(line, comments=True)[1:]
    command = group.get_command(click.Context(group), words[0])
    assert command is not None, line
    known = {option for parameter in command.params for option in parameter.opts}
    for word in words[1:]:
        if word.startswith("-"):
            assert word in known, f"{word} in: {line}"


def test_make_targets_exist():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))
    named = set(re.findall(r"`make ([\w-]+)`", README)) | set(re.findall(r"^make ([\w-]+)", README, re.M))
    assert named and named <= targets
