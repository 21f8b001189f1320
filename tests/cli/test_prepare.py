"""`lite-medsam prepare`: what it writes, resuming, reports, exit codes; run as a user runs it."""

import csv
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from places import ROOT

from lite_medsam.cases.adapters import ADAPTERS, Options, adapter_class, check, open_adapter, write
from lite_medsam.cases.adapters.split import entries_of, make_split
from lite_medsam.cases.adapters.split_file import load_split
from lite_medsam.cases.case import load_case
from lite_medsam.cli import main

RNG = np.random.default_rng(0)


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def add(root, name, objects=2, part=None):
    base = root / part if part else root
    mask = np.zeros((40, 48), np.uint8)
    for i in range(objects):
        mask[4 + 12 * i : 10 + 12 * i, 5:12] = 255
    save(base / "images" / f"{name}.png", RNG.integers(0, 256, (40, 48), np.uint8))
    save(base / "masks" / f"{name}.png", mask)


@pytest.fixture
def raw(tmp_path):
    for patient in range(6):
        for scan in range(2):
            add(tmp_path / "raw", f"P{patient}_{scan}", 1 + (patient + scan) % 3)
    return tmp_path / "raw"


def run(*arguments):
    """Code, stdout, stderr of the program in this process."""
    runner = CliRunner()

    def body():
        main([str(a) for a in arguments])

    result = runner.invoke(click.Command("x", callback=body), [])
    return result.exit_code, result.stdout, result.stderr


COMMON = ("--modality", "OCT", "--group-regex", r"(P\d)_", "--dataset", "mine", "-q")


def table(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_folder_becomes_cases_with_manifest_and_split(raw, tmp_path):
    out = tmp_path / "cases"
    code, stdout, _ = run(
        "prepare", "image-folder", "-i", raw, "-o", out, *COMMON, "--instances", "--name", "1=cyst",
        "--split", "train=0.5,val=0.5", "--seed", 3,
    )  # fmt: skip
    assert code == 0
    assert "12 of 12 images make a case, 6 groups" in stdout and "24 objects of cyst" in stdout
    case = load_case(out / "2D_OCT_mine_P1_1.npz")
    assert (case.group, case.modality, case.label.max()) == ("P1", "OCT", 3)
    assert case.label_names == {1: "cyst", 2: "cyst", 3: "cyst"}
    rows = table(out / "manifest.csv")
    assert len(rows) == 12
    row = next(row for row in rows if row["name"] == case.name)
    assert row["file"] == "images/P1_1.png" and row["label_files"] == "masks/P1_1.png"
    assert row["group"] == "P1" and row["objects"] == "cyst=3" and row["size"] == "40x48"
    assert row["sha256"] == check.pixel_sha256(case.image)
    split = load_split(out / "split.json")
    assert split.seed == 3 and len(split.parts["train"]) == len(split.parts["val"]) == 6
    assert split.images[case.name] == row["sha256"]
    assert split.sha256[:12] in stdout
    assert table(out / "problems.csv") == []


def test_one_bad_file_stops_no_other_and_ends_with_code_2(raw, tmp_path):
    (raw / "images" / "P0_0.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    save(raw / "masks" / "P1_0.png", np.zeros((40, 47), np.uint8))
    (raw / "masks" / "P2_0.png").unlink()
    out = tmp_path / "cases"
    code, stdout, stderr = run("prepare", "image-folder", "-i", raw, "-o", out, *COMMON)
    assert code == 2
    assert len(list(out.glob("*.npz"))) == 9
    assert "error: unreadable: images/P0_0.png" in stdout
    assert "error: size-mismatch: images/P1_0.png" in stdout
    assert "error: unpaired-image: images/P2_0.png" in stdout
    assert "3 files could not be used" in stderr
    problems = {row["file"]: row["kind"] for row in table(out / "problems.csv")}
    assert problems == {
        "images/P0_0.png": "unreadable", "images/P1_0.png": "size-mismatch", "images/P2_0.png": "unpaired-image"
    }  # fmt: skip
    assert len(table(out / "manifest.csv")) == 9


def test_check_reports_per_file_and_writes_nothing(raw, tmp_path):
    save(raw / "masks" / "P3_0.png", np.zeros((40, 48), np.uint8))
    image = np.asarray(Image.open(raw / "images" / "P4_0.png"))
    Image.fromarray(image).save(raw / "images" / "P4_1.png", compress_level=1)  # other bytes, the same pixels
    before = sorted(tmp_path.rglob("*"))
    code, stdout, _ = run("prepare", "image-folder", "-i", raw, "--check", *COMMON, "--min-area", 43)
    assert code == 0, "nothing here is an error"
    assert sorted(tmp_path.rglob("*")) == before
    assert "warning: duplicate: images/P4_1.png: as images/P4_0.png" in stdout
    assert "warning: empty-mask: images/P3_0.png" in stdout
    assert "objects of 1 dropped: smaller than 43 px" in stdout
    code, stdout, _ = run("prepare", "image-folder", "-i", raw, "--check", *COMMON, "--json")
    report = json.loads(stdout)
    assert len(report["items"]) == 12 and report["errors"] == 0
    (raw / "masks" / "P3_1.png").unlink()
    assert run("prepare", "image-folder", "-i", raw, "--check", *COMMON)[0] == 2


def test_published_parts_lie_in_folders_and_do_not_mix(raw, tmp_path):
    source = tmp_path / "parts"
    for part, patient in (("train", "A1"), ("train", "A2"), ("train", "A3"), ("test", "B1"), ("test", "A3")):
        add(source, f"{patient}_{part}", part=part)
    out = tmp_path / "cases"
    arguments = (
        "prepare",
        "image-folder",
        "-i",
        source,
        "-o",
        out,
        "--group-regex",
        r"([AB]\d)_",
        "--dataset",
        "d",
        "-q",
    )
    code, stdout, _ = run(*arguments)
    assert code == 0, "a leak in the source is handled, and told"
    assert sorted(p.relative_to(out).as_posix() for p in out.rglob("*.npz")) == [
        "test/2D_unknown_d_test_A3_test.npz",
        "test/2D_unknown_d_test_B1_test.npz",
        "train/2D_unknown_d_train_A1_train.npz",
        "train/2D_unknown_d_train_A2_train.npz",
    ]
    assert "left out: group-in-two-splits: train/images/A3_train.png: A3" in stdout
    split = load_split(out / "split.json")
    assert {part: len(names) for part, names in split.parts.items()} == {"train": 2, "test": 2}
    cases = [load_case(path) for path in out.rglob("*.npz")]
    assert make_split(entries_of(cases)).parts == split.parts, "the cases themselves know their part"
    code, _, _ = run(*arguments, "--split", "train=0.5,val=0.5")
    assert {p: len(n) for p, n in load_split(out / "split.json").parts.items()} == {"train": 1, "val": 1, "test": 2}
    code, _, stderr = run(*arguments, "--split", "train=0.5,test=0.5")
    assert code == 2 and "publishes its own test part" in stderr


def test_the_same_image_in_two_parts(tmp_path):
    source = tmp_path / "raw"
    add(source, "a", part="train")
    add(source, "b", part="test")
    (source / "train" / "images" / "c.png").write_bytes((source / "test" / "images" / "b.png").read_bytes())
    (source / "train" / "masks" / "c.png").write_bytes((source / "test" / "masks" / "b.png").read_bytes())
    _, stdout, _ = run("prepare", "image-folder", "-i", source, "--check", "-q")
    assert "left out: same-image-in-two-splits: train/images/c.png: as test/images/b.png (test)" in stdout


def stamps(out):
    return {p.name: p.stat().st_mtime_ns for p in out.glob("*.npz")}


def test_a_second_run_does_only_what_is_missing_or_changed(raw, tmp_path):
    out = tmp_path / "cases"
    arguments = ("prepare", "image-folder", "-i", raw, "-o", out, *COMMON, "--min-area", 43)
    run(*arguments)
    first, manifest = stamps(out), (out / "manifest.csv").read_text()
    problems = (out / "problems.csv").read_text()
    assert "smaller than 43 px" in manifest
    (out / "2D_OCT_mine_P0_0.npz").unlink()
    add(raw, "P5_0", 1)
    add(raw, "P7_0", 1)
    code, stdout, _ = run(*arguments)
    second = stamps(out)
    assert code == 0 and "3 cases written, 10 were there" in stdout
    changed = {name for name in second if second[name] != first.get(name)}
    assert changed == {"2D_OCT_mine_P0_0.npz", "2D_OCT_mine_P5_0.npz", "2D_OCT_mine_P7_0.npz"}
    assert len(table(out / "manifest.csv")) == 13
    # what was found out in the first run is still told
    assert len(table(out / "problems.csv")) == len(problems.splitlines()) - 1 + 2
    code, stdout, _ = run(*arguments)
    assert "0 cases written, 13 were there" in stdout
    (raw / "images" / "P7_0.png").unlink()
    run(*arguments)
    assert ("left-over", "2D_OCT_mine_P7_0.npz") in {(r["kind"], r["file"]) for r in table(out / "problems.csv")}


def test_other_options_make_the_cases_again(raw, tmp_path):
    out = tmp_path / "cases"
    run("prepare", "image-folder", "-i", raw, "-o", out, *COMMON)
    assert load_case(out / "2D_OCT_mine_P1_1.npz").label.max() == 1
    _, stdout, _ = run("prepare", "image-folder", "-i", raw, "-o", out, *COMMON, "--instances")
    assert "12 cases written" in stdout
    assert load_case(out / "2D_OCT_mine_P1_1.npz").label.max() == 3


def test_an_old_split_beside_new_cases_is_told(raw, tmp_path):
    arguments = ("prepare", "image-folder", "-i", raw, "-o", tmp_path / "cases", *COMMON)
    run(*arguments, "--split", "train=0.5,val=0.5")
    _, stdout, _ = run(*arguments)
    assert "left-over" in stdout
    assert table(tmp_path / "cases" / "problems.csv")[0]["file"] == "split.json"


def test_a_split_that_cannot_be_is_refused_before_the_work(raw, tmp_path):
    arguments = ("prepare", "image-folder", "-i", raw, "-o", tmp_path / "cases", "-q", "--group-regex", r"^(images)/")
    code, _, stderr = run(*arguments, "--split", "train=0.5,val=0.5")
    assert code == 2 and "at least 2 groups" in stderr
    assert not (tmp_path / "cases").exists()


def test_a_cut_journal_line_is_no_finished_case(raw, tmp_path):
    out = tmp_path / "cases"
    arguments = ("prepare", "image-folder", "-i", raw, "-o", out, *COMMON)
    run(*arguments)
    manifest = (out / "manifest.csv").read_bytes()
    text = (out / "prepared.jsonl").read_text()
    (out / "prepared.jsonl").write_text(text[: len(text) * 2 // 3])
    code, stdout, _ = run(*arguments)
    assert code == 0 and " were there" in stdout and "0 cases written" not in stdout
    assert (out / "manifest.csv").read_bytes() == manifest


def test_an_interrupted_run_goes_on(raw, tmp_path, monkeypatch):
    out = tmp_path / "cases"
    arguments = ("prepare", "image-folder", "-i", raw, "-o", out, *COMMON)
    saved = []

    def save_or_stop(path, case, real=write.save_case):
        if len(saved) == 5:
            raise KeyboardInterrupt
        saved.append(path)
        real(path, case)

    with monkeypatch.context() as patch:
        patch.setattr(write, "save_case", save_or_stop)
        assert run(*arguments)[0] == 130
    assert len(list(out.glob("*.npz"))) == 5 and not (out / "manifest.csv").exists()
    _, stdout, _ = run(*arguments)
    assert "7 cases written, 5 were there" in stdout


def test_a_case_that_turns_out_to_leak_is_removed(tmp_path):
    source, out = tmp_path / "raw", tmp_path / "cases"
    add(source, "a", part="train")
    add(source, "c", part="train")
    add(source, "b", part="test")
    arguments = ("prepare", "image-folder", "-i", source, "-o", out, "--dataset", "d", "-q")
    run(*arguments)
    assert (out / "train" / "2D_unknown_d_train_a.npz").exists()
    (source / "test" / "images" / "b.png").write_bytes((source / "train" / "images" / "a.png").read_bytes())
    _, stdout, _ = run(*arguments)
    assert "same-image-in-two-splits: train/images/a.png" in stdout
    assert not (out / "train" / "2D_unknown_d_train_a.npz").exists()


def test_npy_pairs(raw, tmp_path):
    out = tmp_path / "npy"
    code, stdout, _ = run("prepare", "image-folder", "-i", raw, "-o", out, *COMMON, "--as", "npy")
    assert code == 0
    assert len(list((out / "imgs").glob("*.npy"))) == len(list((out / "gts").glob("*.npy"))) == 12
    _, stdout, _ = run("prepare", "image-folder", "-i", raw, "-o", out, *COMMON, "--as", "npy")
    assert "0 cases written, 12 were there" in stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["image-folder"], "give either -o CASES to write, or --check"),
        (["image-folder", "--check", "-o", "{out}"], "give either -o CASES"),
        (["kaggle", "--check"], "an adapter must be one of image-folder, medsam-npz"),
        (["tjdr", "--check", "--mask-suffix", "_m"], "mask_suffix is nothing for the adapter tjdr"),
        (["image-folder", "--check", "--expect", "a,b"], "--expect must be label values"),
        (["image-folder", "--check", "--colour", "1,2"], "--colour must be"),
        (["image-folder", "--check", "--name", "cyst"], "--name must be VALUE=NAME"),
        (["image-folder", "--check", "--modality", "Retina"], "modality must be one of CT"),
        (["image-folder", "-o", "{out}", "--split", "train=2"], "shares must"),
        (["image-folder", "-o", "{raw}/cases"], "output must lie outside the input"),
        (["lag", "--check"], "must look like"),
        (["lag", "--check", "--attention-threshold", "2"], "attention threshold"),
    ],
)
def test_mistakes_are_one_line_and_code_2(raw, tmp_path, arguments, message):
    arguments = [a.format(raw=raw, out=tmp_path / "out") for a in arguments]
    code, _, stderr = run("prepare", arguments[0], "-i", raw, *arguments[1:], "-q")
    assert code == 2
    assert message in " ".join(stderr.split())
    assert "Traceback" not in stderr


def test_the_help_names_every_adapter_and_every_kind_of_problem_is_known():
    _, stdout, _ = run("prepare", "--help")
    for name in ADAPTERS:
        assert name in stdout
        kind = adapter_class(name)
        assert kind.name == name and kind.title and "RAW" in kind.tree
        assert kind.options <= set(Options.__dataclass_fields__)
    folder = Path(check.__file__).parent
    source = " ".join(path.read_text(encoding="utf-8") for path in folder.glob("*.py"))
    used = set(re.findall(r"(?:Problem|ItemError)\(\s*\"([a-z-]+)\"", source))
    assert used <= set(check.KINDS) and len(used) > 12


def test_the_python_interface(raw, tmp_path):
    adapter = open_adapter("image-folder", raw, Options(instances=True))
    seen = []
    report = write.prepare_cases(adapter, adapter.settings, tmp_path / "out", on_item=seen.append)
    assert seen == [12] * 12
    assert report.written == 12 and report.kept == 0 and report.split is None and not report.errors


@pytest.mark.skipif(os.name == "nt", reason="needs kill")
def test_killed_in_the_middle_nothing_half_written_stays(raw, tmp_path):
    """kill -9 while cases are written: the next run finishes, and every file is whole."""
    for patient in range(10, 25):
        add(raw, f"P{patient}_0")
    out = tmp_path / "cases"
    program = [
        sys.executable,
        "-m",
        "lite_medsam",
        "prepare",
        "image-folder",
        "-i",
        raw,
        "-o",
        out,
        "-q",
        "--dataset",
        "d",
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([str(a) for a in program], env=environment, stdout=subprocess.DEVNULL)
    while process.poll() is None and len(list(out.glob("2D*.npz"))) < 5:
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert run(*[str(a) for a in program[3:]])[0] == 0
    files = sorted(out.glob("2D*.npz"))
    assert len(files) == 27
    for path in files:
        load_case(path)
    assert len(table(out / "manifest.csv")) == 27
