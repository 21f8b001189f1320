"""The import rules of the design, kept true: layers, light imports, no torch outside learning/."""

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

import lite_medsam

PACKAGE = Path(lite_medsam.__file__).parent
HEAVY = {"torch", "timm", "gradio", "matplotlib", "monai", "torchvision", "segment_anything", "lightning"}

# lower never imports higher; modules that share a level do not import each other, except the parts of one thing
LEVELS = [
    {"errors", "files", "bundled", "machine"},
    {"spec", "intensity", "signed_cache"},
    {"image_io", "case_fields", "prompt_object", "geometry", "calibration"},
    {"npz_io", "strict_json"},
    {"case", "protocol", "coco", "measurements", "vocabulary"},
    {"prompts", "metrics", "overlay", "baselines", "results", "scan", "volume_prediction"},
    {"preprocessing", "simulated_user", "phantoms", "engines", "volume_objects", "nifti_io", "dicom_fields", "targets"},
    {"zoom", "engine_choice", "download", "datasets", "prompt_tokens", "mask_support", "dicom_io"}
    | {"volume_paths", "volume_prompts"},
    {"runtime", "take_home", "volume_io", "region", "strokes", "instances", "demo_loading"},
    {"encoding_cache", "prediction", "trial"},
    {"recentring"},
    {"predictor"},
    {"sam_predictor", "reference_quirks", "jobs", "volume", "choices"},
    {"job_inputs", "job_outputs", "interactive_state"},
    {"volume_jobs", "following"},
    {"interactive"},
    {"evaluation", "batch", "adapters", "volume_study"},
    {"card", "bench", "int8"},
    {"learning"},
    {"cli"},
    {"__main__"},
]
# opened by name, inside a function, only when asked for: the torch engine, and the export of the model to compare with
EXCEPTIONS = {("runtime", "learning"), ("bench", "learning")}
LEVEL = {name: i for i, names in enumerate(LEVELS) for name in names}


@functools.cache
def modules() -> dict[str, set[str]]:
    """Top-level part of the package -> parts that it imports, wherever the import stands."""
    found: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path.name}: imports are absolute"
                names = [node.module]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            for name in names:
                if name.split(".")[0] == "lite_medsam" and "." in name:
                    found.setdefault(part, set()).add(name.split(".")[1])
        found.setdefault(part, set())
    return found


def test_every_module_has_a_level():
    assert set(modules()) - {"__init__"} == set(LEVEL)


@pytest.mark.parametrize("part", sorted(set(LEVEL)))
def test_lower_never_imports_higher_nor_its_equals(part):
    for other in modules()[part] - {part}:
        if (part, other) in EXCEPTIONS:
            continue
        assert LEVEL[other] < LEVEL[part], f"{part} must not import {other}"


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
