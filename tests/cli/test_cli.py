"""The command line as a user meets it: outputs, exit codes, one line per mistake, nothing half-written."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from cli_runs import png, run
from places import ROOT

from lite_medsam.cases.case import load_case, save_case
from lite_medsam.cli import COMMANDS
from lite_medsam.images.masks import read_mask
from lite_medsam.images.reading import load_image
from lite_medsam.phantoms import make_phantom
from lite_medsam.scans.reading import load_volume

pytestmark = pytest.mark.usefixtures("one_model")  # all of them run commands


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantom")
    case = make_phantom("oct-cme", 0)
    save_case(folder / f"{case.name}.npz", case)
    return folder / f"{case.name}.npz", case


def test_box_on_an_image(capsys, tmp_path):
    code, out, err = run(
        capsys, "segment", "-i", png(tmp_path / "a.png"), "--box", "10,10,50,40", "-o", tmp_path / "out"
    )
    assert code == 0 and out.startswith("a.png: 1 object, score") and not err.strip()
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.json", "a.npz", "a_label.png", "a_overlay.png"]


def test_several_boxes_points_and_both(capsys, tmp_path):
    image = png(tmp_path / "a.png")
    for i, prompts in enumerate(
        [("--box", "1,1,9,9", "--box", "20,20,50,50"), ("--point", "30,30,1", "--point", "3,3,0"),
         ("--box", "5.5,5.5,40,40", "--point", "20,20,1")]
    ):  # fmt: skip
        code, out, _ = run(capsys, "segment", "-i", image, *prompts, "-o", tmp_path / str(i), "--json")
        records = json.loads(out)
        assert code == 0 and len(records) == 1 and len(records[0]["objects"]) == (2 if i == 0 else 1)


def test_a_case_with_its_own_boxes_then_evaluate(capsys, phantom, tmp_path):
    path, case = phantom
    code, out, _ = run(capsys, "segment", "-i", path, "-o", tmp_path / "out", "-q")
    assert code == 0 and not out
    segs = np.load(tmp_path / "out" / path.name)["segs"]
    assert segs.shape == case.label.shape and set(np.unique(segs)) <= set(range(len(case.boxes) + 1))
    scores = tmp_path / "scores.csv"
    code, out, _ = run(capsys, "evaluate", "-i", path, "--predictions", tmp_path / "out", "-o", scores)
    assert code == 0 and "OCT" in out and len(scores.read_text().splitlines()) == 1 + len(case.boxes)


def test_evaluate_a_model_and_a_baseline(capsys, phantom, tmp_path):
    path, _case = phantom
    code, out, _ = run(capsys, "evaluate", "-i", path, "--json", "-q", "--report", tmp_path / "r.md")
    model = json.loads(out)["summary"]["modality"][-1]["dice"]
    assert code == 0 and "By dataset" in (tmp_path / "r.md").read_text()
    code, out, _ = run(capsys, "evaluate", "-i", path, "--baseline", "box", "--json", "-q")
    assert code == 0 and json.loads(out)["summary"]["modality"][-1]["dice"] < model


def test_groups_file(capsys, phantom, tmp_path):
    path, _ = phantom
    table = tmp_path / "groups.csv"
    table.write_text(f"file,group\nval/OCT/{path.name},eye7\n")
    code, _, _ = run(
        capsys, "evaluate", "-i", path, "--groups", table, "--baseline", "box", "-o", tmp_path / "s.csv", "-q"
    )
    assert code == 0 and "eye7" in (tmp_path / "s.csv").read_text()
    table.write_text("a,b\n1,2\n")
    code, _, err = run(capsys, "evaluate", "-i", path, "--groups", table, "--baseline", "box")
    assert code == 2 and "file and group" in err


def test_resume_and_overwrite(capsys, tmp_path):
    arguments = ("segment", "-i", png(tmp_path / "a.png"), "--box", "10,10,50,40", "-o", tmp_path / "out")
    run(capsys, *arguments)
    before = (tmp_path / "out" / "a.npz").stat().st_mtime_ns
    assert "skipped" in run(capsys, *arguments)[1]
    assert (tmp_path / "out" / "a.npz").stat().st_mtime_ns == before
    assert "skipped" not in run(capsys, *arguments, "--overwrite")[1]


def test_one_bad_file_in_a_folder(capsys, tmp_path):
    png(tmp_path / "in" / "good.png")
    (tmp_path / "in" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    code, out, err = run(capsys, "segment", "-i", tmp_path / "in", "--box", "1,1,30,30", "-o", tmp_path / "out")
    assert code == 2 and "good.png" in out and "bad.png" in err and "1 of 2 inputs failed" in err
    assert (tmp_path / "out" / "good.npz").exists() and not (tmp_path / "out" / "bad.npz").exists()


def test_info(capsys):
    code, out, _ = run(capsys, "info")
    assert code == 0 and "onnxruntime" in out and "trained on" in out and "licence" in out
    record = json.loads(run(capsys, "info", "--json")[1])
    assert record["machine"]["threads"] >= 1 and record["model"]["prompts"]


def test_phantoms(capsys, tmp_path):
    code, out, _ = run(capsys, "phantoms", "-o", tmp_path, "--kind", "oct-srf", "--count", 2)
    assert code == 0 and len(out.splitlines()) == len(list(tmp_path.iterdir())) == 2
    code, _, err = run(capsys, "phantoms", "-o", tmp_path, "--kind", "teapot")
    assert code == 2 and "oct-srf" in err and len(err.splitlines()) == 1


def test_phantoms_as_pictures(capsys, tmp_path):
    code, out, _ = run(capsys, "phantoms", "-o", tmp_path, "--kind", "us", "--save", "npz,png")
    assert code == 0 and len(out.splitlines()) == len(list(tmp_path.iterdir())) == 3
    case = load_case(tmp_path / "2D_US_us-0000.npz")
    assert np.array_equal(load_image(tmp_path / "2D_US_us-0000.png"), case.image)
    assert np.array_equal(read_mask(tmp_path / "2D_US_us-0000_mask.png"), case.label)


def test_phantoms_as_volumes(capsys, tmp_path):
    pytest.importorskip("nibabel")
    code, _, _ = run(capsys, "phantoms", "-o", tmp_path, "--kind", "ct", "--volumes", "--save", "npz,nifti")
    case, scan = load_case(tmp_path / "3D_CT_ct-0000.npz"), load_volume(tmp_path / "3D_CT_ct-0000.nii.gz")
    assert code == 0 and case.is_volume and np.array_equal(scan.values, case.image)
    assert scan.spacing_mm == pytest.approx(case.spacing_mm)
    assert np.array_equal(load_volume(tmp_path / "3D_CT_ct-0000_label.nii.gz").values, case.label)


@pytest.mark.parametrize(
    "words", [("--save", "bmp"), ("--save", ""), ("--volumes", "--save", "png"), ("--save", "nifti")]
)
def test_phantoms_in_a_format_that_does_not_fit(capsys, tmp_path, words):
    code, _, err = run(capsys, "phantoms", "-o", tmp_path / "x", "--kind", "ct", *words)
    assert code == 2 and "--save" in err and not (tmp_path / "x").exists()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(capsys, name):
    code, out, _ = run(capsys, name, "--help")
    assert code == 0 and "Usage: lite-medsam" in out


def test_a_whole_process_without_torch(tmp_path):
    image = png(tmp_path / "Käse scan.v1.png")
    program = (
        "import sys; from lite_medsam.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "finally: print(*sorted({m.split('.')[0] for m in sys.modules}), file=sys.stderr)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, "segment", "-i", image, "--box", "10,10,50,40", "-o", tmp_path / "out"],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=tmp_path,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert not set(result.stderr.split()) & {"torch", "timm", "gradio", "matplotlib", "onnx", "scipy"}
    assert (tmp_path / "out" / "Käse scan.v1_overlay.png").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="signals end a process at once there")
def test_a_terminated_run_cleans_up_and_goes_on_later(tmp_path):
    for i in range(40):
        png(tmp_path / "in" / f"{i:02d}.png")
    command = [sys.executable, "-m", "lite_medsam", "segment", "-i", tmp_path / "in", "--box", "5,5,50,40",
               "-o", tmp_path / "out"]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
    first = process.stdout.readline()
    process.terminate()
    process.communicate()
    assert "1 object" in first and process.returncode == 130
    left = {p.name for p in (tmp_path / "out").iterdir()}
    finished = {name.removesuffix(".json") for name in left if name.endswith(".json")}
    assert 0 < len(finished) < 40
    assert left == {stem + end for stem in finished for end in (".json", ".npz", "_label.png", "_overlay.png")}
    again = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert again.returncode == 0 and again.stdout.count("skipped") == len(finished)
    assert len(list((tmp_path / "out").glob("*.json"))) == 40
