"""The import rules of the design, kept true: packages from the ground up, light imports, no torch outside learning/."""

import ast
import functools
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import lite_medsam

PACKAGE = Path(lite_medsam.__file__).parent
HEAVY = {"torch", "timm", "gradio", "matplotlib", "monai", "torchvision", "segment_anything", "lightning"}

# from the ground up: a package imports those before it, never those behind it
ORDER = (
    "errors",
    "storage",
    "images",
    "cases",
    "phantoms",
    "scans",
    "prompts",
    "model",
    "segment",
    "volumes",
    "results",
    "session",
    "serve",
    "evaluation",
    "challenge",
    "card",
    "jobs",
    "quantities",
    "learning",
    "bench",
    "cli",
)
LEARNING = ("network", "published", "data", "lessons", "training", "finetuning", "distillation", "specialists")


@functools.cache
def modules() -> dict[str, set[str]]:
    """Module -> modules of this package that it imports, wherever the import stands; without the package's name."""
    names = {}
    for path in PACKAGE.rglob("*.py"):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").rstrip(".")
        if name and name != "__main__":
            names[name] = path
    return {name: {other for other in _imported(path, names) if other != name} for name, path in names.items()}


def _imported(path: Path, names: dict[str, Path]) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: imports are absolute"
            wanted = [f"{node.module}.{alias.name}" for alias in node.names]
            # from package import module, or from module import name
            found |= {name if name.removeprefix("lite_medsam.") in names else node.module for name in wanted}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name.removeprefix("lite_medsam.") for name in found if name.startswith("lite_medsam.")}


def test_every_package_has_a_place_in_the_order():
    assert {name.split(".")[0] for name in modules()} == set(ORDER)
    assert {name.split(".")[1] for name in modules() if name.startswith("learning.")} == set(LEARNING)


@pytest.mark.parametrize("package", ORDER)
def test_no_package_imports_a_later_one(package):
    for name, others in modules().items():
        if name.split(".")[0] == package:
            later = {other for other in others if ORDER.index(other.split(".")[0]) > ORDER.index(package)}
            assert not later, f"{name} must not import {later}"


@pytest.mark.parametrize("part", LEARNING)
def test_no_part_of_learning_imports_a_later_one(part):
    for name, others in modules().items():
        if name.startswith(f"learning.{part}"):
            parts = {other.split(".")[1] for other in others if other.startswith("learning.")}
            assert all(LEARNING.index(other) <= LEARNING.index(part) for other in parts), name


def test_no_circle_between_files():
    # a package's own file stands for looking a module up by its name, so only files of code can be in a circle
    graph = {
        name: {other for other in others if not other.startswith(f"{name}.")} for name, others in modules().items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_torch_and_its_like_stay_in_learning():
    for path in PACKAGE.rglob("*.py"):
        part = path.relative_to(PACKAGE).parts[0]
        if part == "learning":
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:  # imports inside functions are for extras
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not {name.split(".")[0] for name in names} & HEAVY, path


def loaded_by(code: str) -> set[str]:
    program = f"import sys; {code}; print(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(result.stdout.split())


def test_import_is_light():
    assert not loaded_by("import lite_medsam") & (HEAVY | {"cv2", "scipy", "onnxruntime"})


def test_the_predictor_needs_neither_torch_nor_scipy():
    assert not loaded_by("import lite_medsam; lite_medsam.Predictor") & (HEAVY | {"scipy"})


def test_help_is_light():
    assert not loaded_by("from lite_medsam.cli import group; group.get_help(__import__('click').Context(group))") & (
        HEAVY | {"cv2", "numpy"}
    )


def test_public_names_exist():
    for name in lite_medsam.__all__:
        assert getattr(lite_medsam, name) is not None
    assert set(lite_medsam.__all__) <= set(dir(lite_medsam))
    with pytest.raises(AttributeError, match="public names"):
        lite_medsam.nothing  # noqa: B018
