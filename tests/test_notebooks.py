"""The notebooks run from top to bottom, on phantoms."""

import ast
import json
from pathlib import Path

import pytest
from places import ROOT

FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
NEEDS = {
    "segment": ("matplotlib",),
    "quantify_oct": ("matplotlib",),
    "from_vendor_file": ("eyepy", "matplotlib"),
    "finetune_oct": ("torch", "monai", "matplotlib"),
}


def cells(path: Path, kind: str) -> list[str]:
    document = json.loads(path.read_text(encoding="utf-8"))
    assert document["nbformat"] == 4
    return ["".join(cell["source"]) for cell in document["cells"] if cell["cell_type"] == kind]


def test_there_are_notebooks_without_outputs():
    assert {path.stem for path in NOTEBOOKS} == set(NEEDS)
    for path in NOTEBOOKS:
        document = json.loads(path.read_text(encoding="utf-8"))
        assert all(not cell.get("outputs") for cell in document["cells"])
        assert cells(path, "markdown")[0].startswith("# ")
        for code in cells(path, "code"):
            ast.parse(code)


def run(path: Path, monkeypatch, tmp_path) -> dict:
    for module in NEEDS[path.stem]:
        pytest.importorskip(module)
    import matplotlib

    matplotlib.use("Agg")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for code in cells(path, "code"):
        exec(compile(code, path.name, "exec"), names)
    return names


def test_segmenting(monkeypatch, tmp_path, capsys):
    names = run(FOLDER / "segment.ipynb", monkeypatch, tmp_path)
    found = [names["dice"](names["case"].label == i, names["prediction"].mask(k)) for k, i in enumerate(names["cysts"])]
    assert sum(found) / len(found) > 0.6
    assert "fluid_area_um2" in capsys.readouterr().out


def test_quantifying(monkeypatch, tmp_path):
    names = run(FOLDER / "quantify_oct.ipynb", monkeypatch, tmp_path)
    assert names["measured_nl"] == pytest.approx(names["known_nl"], rel=0.02)
    assert names["found_nl"] == pytest.approx(names["known_nl"], rel=0.5)  # a model that has not seen phantoms
    assert (names["work"] / "numbers/report.html").is_file()


def test_a_file_of_the_clinic(monkeypatch, tmp_path, capsys):
    names = run(FOLDER / "from_vendor_file.ipynb", monkeypatch, tmp_path)
    assert names["found_nl"] == pytest.approx(names["wanted_nl"], rel=0.02) and names["wanted_nl"] > 0
    shown = capsys.readouterr().out
    assert "(file)" in shown and "B-scans: 120 um (user)" in shown and "voxel size from the file" in shown


@pytest.mark.slow
def test_finetuning(monkeypatch, tmp_path, capsys):
    names = run(FOLDER / "finetune_oct.ipynb", monkeypatch, tmp_path)
    assert (names["work"] / "run/model/spec.json").is_file()
    shown = capsys.readouterr().out
    assert shown.count("surface dice") >= 2 and "objects better" in shown.splitlines()[-1]  # tables before and after
    assert len(names["before"]) == len(names["after"]) >= 4 and min(names["after"]) >= 0
