"""Which tests concern what changed: the folders of the changed packages and of all that imports them.

    python tests/support/changed.py [SINCE]

prints the paths for pytest, one a line: nothing where nothing changed, `tests` where something changed that all depends on.
SINCE is a commit; without it, the place where this branch left main, and what is not committed counts too.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "lite_medsam"
# files and folders that everything depends on
FOR_ALL = ("pyproject.toml", "Makefile", ".ci/", "tests/conftest.py", "tests/support/", f"{PACKAGE}/errors.py")
# what a folder outside the package belongs to
BELONGS = {"prompts": ("prompts",), "weights": ("model", "card", "segment"), "demo": ("demo",)}
# quick, and they look at every file
ALWAYS = ("tests/test_imports.py", "tests/test_structure.py", "tests/test_readme.py")


def importers(root: Path) -> dict[str, set[str]]:
    """Package -> packages that import it, themselves or by others; `demo` and `learning` count as packages."""
    direct: dict[str, set[str]] = {}
    for folder in (*(root / PACKAGE).iterdir(), root / "demo"):
        if (folder.is_dir() and (folder / "__init__.py").exists()) or folder.name == "demo":
            for path in folder.rglob("*.py"):
                for name in _imported(path.read_text(encoding="utf-8")):
                    direct.setdefault(name, set()).add(folder.name)
    found = {}
    for name in direct:
        reached, waiting = set(), [name]
        while waiting:
            for other in direct.get(waiting.pop(), set()) - reached:
                reached.add(other)
                waiting.append(other)
        found[name] = reached - {name}
    return found


def _imported(text: str) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {match[1] for name in names if (match := re.match(rf"{PACKAGE}\.(\w+)", name))}


def concerned_tests(changed: Iterable[str], root: Path = ROOT) -> list[str]:
    """The tests that concern changed files.

    Args:
        changed: Paths relative to the checkout.
        root: The checkout.

    Returns:
        Files and folders of tests that exist, sorted; ["tests"] for all; [] where nothing that is tested changed.
    """
    changed = list(changed)
    if any(path.startswith(FOR_ALL) or path == f"{PACKAGE}/__init__.py" for path in changed):
        return ["tests"]
    packages, tests = set(), set()
    for path in changed:
        first, *rest = path.split("/")
        if first == PACKAGE and rest[1:]:
            packages.add(rest[0])
        elif first == "tests":
            tests.add(path if path.endswith(".py") else "/".join([first, *rest[:1]]))
        elif first in BELONGS:
            packages.update(BELONGS[first])
        elif first == "notebooks":
            tests.add("tests/test_notebooks.py")
    above = importers(root)
    for name in list(packages):
        packages |= above.get(name, set())
    tests |= {f"tests/{name}" for name in packages} | (set(ALWAYS) if changed else set())
    tests = {path for path in tests if (root / path).exists() and "conftest" not in path}
    return sorted(path for path in tests if not any(path.startswith(f"{other}/") for other in tests))


def changed_files(since: str | None, root: Path = ROOT) -> list[str]:
    """Files that differ from a commit, and new ones that git does not ignore."""
    if since is None:
        main = subprocess.run(
            ["git", "merge-base", "HEAD", "main"], cwd=root, capture_output=True, text=True, check=False
        )
        since = main.stdout.strip() or "HEAD"
    differ = ["git", "diff", "--name-only", "--no-renames", since]
    new = ["git", "ls-files", "--others", "--exclude-standard"]
    lines = [subprocess.run(c, cwd=root, capture_output=True, text=True, check=True).stdout for c in (differ, new)]
    return sorted({line for text in lines for line in text.splitlines()})


if __name__ == "__main__":
    print(*concerned_tests(changed_files(sys.argv[1] if len(sys.argv) > 1 else None)), sep="\n")
