"""The README's tree is true, and so are the options of every command on it and in docs/."""

import re
import shlex

import click
import pytest
from pages import PAGES, blocks
from places import ROOT

from lite_medsam.cli import COMMANDS, group

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


def test_it_is_short_and_narrow():
    lines = README.splitlines()
    assert len(lines) <= 150
    block = re.search(r"```\n(lite_medsam/\n.*?)```", README, re.S).group(1)
    assert len(block.splitlines()) <= 26
    assert max(line.count("|") - 1 for line in lines if line.startswith("|")) <= 4


def test_its_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", README):
        assert (ROOT / target).exists(), target


def commands() -> list[str]:
    text = "".join(block.text for page in PAGES for block in blocks(page) if block.language in ("bash", "sh"))
    lines = text.replace("\\\n", " ").splitlines()
    return sorted({line.strip() for line in lines if line.strip().startswith("lite-medsam ")})


@pytest.mark.parametrize("line", commands())
def test_commands_parse(line):
    words = shlex.split(line, comments=True)[1:]
    command: click.Command | None = group
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        command, words = command.get_command(click.Context(command), words[0]), words[1:]
    assert command is not None, line
    known = {option for parameter in command.params for option in parameter.opts}
    for word in words:
        if word.startswith("-") and not re.match(r"-[\d.]", word):
            assert word in known, f"{word} in: {line}"


def test_the_page_of_commands_has_all_of_them():
    text = (ROOT / "docs/command-line.md").read_text(encoding="utf-8").split("## All commands")[1]
    assert {name for name in COMMANDS if f"`{name}`" not in text} == set()


def test_make_targets_exist():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    named = set(re.findall(r"`make ([\w-]+)`", text)) | set(re.findall(r"^make ([\w-]+)", text, re.M))
    assert named and named <= targets
