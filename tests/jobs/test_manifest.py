import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
from fakes import FakeBackend
from places import ROOT

from lite_medsam.errors import CaseError
from lite_medsam.jobs.batch import SegmentOptions, find_jobs, run_jobs
from lite_medsam.jobs.leftovers import remove_leftovers
from lite_medsam.jobs.manifest import read_manifest
from lite_medsam.jobs.mask_table import mask_table, mask_table_path
from lite_medsam.jobs.parts import Part
from lite_medsam.jobs.references import check_reference
from lite_medsam.segment.predictor import Predictor
from lite_medsam.storage.files import atomic_write

BOX = "5,5,40,30"


def write_png(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = np.random.default_rng(seed).integers(0, 256, (40, 60), np.uint8)
    path.write_bytes(cv2.imencode(".png", picture)[1].tobytes())
    return path


def write_csv(path, *rows):
    lines = ["path,prompts,output", *(",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def folder(tmp_path):
    for i in range(6):
        write_png(tmp_path / "in" / f"s{i}.png", i)
    return tmp_path


def outcomes(jobs, **options):
    found = []
    run_jobs(Predictor(FakeBackend()), jobs, SegmentOptions(**options), lambda job, record: found.append(record))
    return found


def test_every_way_to_say_prompts(folder):
    (folder / "p.json").write_text('{"version": 1, "objects": [{"box": [5, 5, 40, 30]}]}')
    table = write_csv(
        folder / "m.csv",
        ("in/s0.png", BOX, "a"),
        ("in/s0.png", "5,5,40,30 ; 1,1,20,20", "b"),
        ("in/s0.png", "[[5, 5, 40, 30], [1, 1, 20, 20]]", "c"),
        ("in/s0.png", "[5, 5, 40, 30]", "d"),
        ("in/s0.png", "p.json", "e"),
        ("in/s0.png", '{"version": 1, "objects": [{"name": "x", "points": [[9, 9, 1]]}]}', "deep/f"),
    )
    done = outcomes(read_manifest(table, folder / "out"), save=("npz",))
    boxes = [[item["prompt"]["box"] for item in record["objects"]] for record in done]
    one, two = [[5, 5, 40, 30]], [[5, 5, 40, 30], [1, 1, 20, 20]]
    assert boxes == [one, two, two, one, one, [None]]
    assert done[-1]["objects"][0]["name"] == "x"
    assert (folder / "out" / "deep" / "f.npz").is_file()
    assert (folder / "out" / "a.npz").read_bytes() == (folder / "out" / "e.npz").read_bytes()


def test_boxes_of_volumes_stand_in_cells(folder):
    volume = np.random.default_rng(0).integers(0, 256, (4, 40, 60), np.uint8)
    np.savez_compressed(folder / "3D_CT_a.npz", imgs=volume, spacing=np.ones(3))
    table = write_csv(folder / "m.csv", ("3D_CT_a.npz", "5,5,1,40,30,2", ""))
    (record,) = outcomes(read_manifest(table, folder / "out"), save=("parquet",))
    (item,) = record["objects"]
    assert item["prompt"]["bounds"] == (5, 5, 40, 30) and item["prompt"]["z_range"] == (1, 2)
    assert {entry["z"] for entry in item["rle"]} <= {1, 2} and item["rle"]


def test_outputs_that_are_not_named_are_called_as_those_of_a_folder(folder):
    write_png(folder / "in" / "deep" / "s0.png")
    (folder / "in" / "s1.jpg").write_bytes((folder / "in" / "s1.png").read_bytes())
    names = ["s0.png", "deep/s0.png", "s1.png", "s1.jpg"]
    table = write_csv(folder / "in" / "m.csv", *((name, BOX, "") for name in names))
    listed = {job.path: job.target for job in find_jobs([folder / "in"], folder / "out")}
    assert {job.path: job.target for job in read_manifest(table, folder / "out")} == {
        folder / "in" / name: listed[folder / "in" / name] for name in names
    }


def test_bad_rows_are_listed_with_their_line_and_the_others_are_done(folder):
    (folder / "in" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    (folder / "in" / "notes.txt").write_text("no picture")
    table = write_csv(
        folder / "m.csv",
        ("in/s0.png", BOX, "a"),
        ("in/missing.png", BOX, "b"),
        ("in/s1.png", "5,5,40", "c"),
        ("in/s1.png", BOX, "A"),
        ("in/broken.png", BOX, "d"),
        ("in/notes.txt", BOX, "e"),
        ("", BOX, "f"),
        ("in/s1.png", "", "g"),
        ("in/s1.png", BOX, "../h"),
        ("in/s1.png", "nothing.json", "i"),
        ("in/s1.png", '{"version": 1', "j"),
        ("in/s5.png", BOX, "k"),
    )
    with table.open("a") as file:
        file.write("in/s4.png,5,5,40,30,x\nin/s4.png\n")
    jobs = read_manifest(table, folder / "out")
    found = outcomes(jobs)
    bad = {i: record["error"] for i, record in enumerate(found) if "error" in record}
    assert [i for i in range(14) if i not in bad] == [0, 11]
    assert all(found[i]["wrong_input"] for i in bad)
    assert [int(job.place.rpartition(" ")[2]) for job in jobs] == list(range(2, 16))
    for i, words in {1: "no such file", 2: "must be boxes", 3: "that of line 2", 6: "empty cell", 7: "needs a prompt", 8: "..",
                     9: "nothing.json: no such file", 10: "must be JSON", 12: "6 cells", 13: "needs a prompt"}.items():  # fmt: skip
        assert words in bad[i], bad[i]
    assert sorted(path.name for path in (folder / "out").glob("*.json")) == ["a.json", "k.json"]


def test_results_never_replace_an_input_or_a_prompt_file(folder):
    (folder / "p.json").write_text('{"version": 1, "objects": [{"box": [5, 5, 40, 30]}]}')
    table = write_csv(folder / "m.csv", ("in/s0.png", "p.json", "p"), ("in/s1.png", "p.json", "q"))
    first, second = outcomes(read_manifest(table, folder))
    assert "would be replaced" in first["error"] and "objects" in second
    assert json.loads((folder / "p.json").read_text())["version"] == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [("file,prompts\na.png,x\n", "columns? path"), ("path,prompts,output\n", "a row for each input"), ("", "path")],
)
def test_tables_that_are_no_manifest_are_refused(tmp_path, text, message):
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(CaseError, match=message):
        read_manifest(tmp_path / "m.csv", tmp_path / "out")


def test_parts_are_the_whole_once(folder):
    jobs = find_jobs([folder / "in"], folder / "out")
    parts = [Part.parse(f"{i}/4").of(jobs) for i in range(1, 5)]
    assert sorted((job for part in parts for job in part), key=lambda job: job.path) == jobs
    assert Part(9, 9).of(jobs) == []


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "a/b", "1/0", "-1/3", "1/3/4", "1.0/3"])
def test_there_is_no_such_part(text):
    with pytest.raises(ValueError, match="I/N"):
        Part.parse(text)


def test_parquet_says_the_same_as_csv(folder):
    pytest.importorskip("pyarrow")
    import pyarrow
    from pyarrow import parquet

    table = write_csv(folder / "m.csv", ("in/s0.png", BOX, "a"), ("in/s1.png", BOX, ""), ("", BOX, "c"))
    columns = {"Path": ["in/s0.png", "in/s1.png", None], "output": ["a", None, "c"]}
    boxes = [[[5.0, 5.0, 40.0, 30.0]]] * 3
    parquet.write_table(pyarrow.table({**columns, "prompts": boxes, "patient": [1, 2, 3]}), folder / "m.parquet")
    for one, other in zip(
        read_manifest(table, folder / "out"), read_manifest(folder / "m.parquet", folder / "out"), strict=True
    ):
        assert (one.target, one.problem is None) == (other.target, other.problem is None)
        assert one.path == other.path or one.problem is not None
    with pytest.raises(CaseError, match="could not be read"):
        (folder / "bad.parquet").write_text("no")
        read_manifest(folder / "bad.parquet", folder / "out")


def test_the_table_of_masks_holds_every_mask_and_no_time(folder):
    pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = write_csv(folder / "m.csv", *((f"in/s{i}.png", f"{BOX};1,1,20,20", f"r/s{i}") for i in range(3)))
    contents = []
    for out in (folder / "out", folder / "again", folder / "out"):  # the third time all of it was finished
        with mask_table(mask_table_path(out), out) as add:
            run_jobs(Predictor(FakeBackend()), read_manifest(table, out), SegmentOptions(("npz", "parquet")), add)
        contents.append((out / "masks.parquet").read_bytes())
    assert contents[0] == contents[1] == contents[2]
    rows = parquet.read_table(folder / "out" / "masks.parquet").to_pylist()
    assert [(row["output"], row["id"]) for row in rows] == [(f"r/s{i}", k) for i in range(3) for k in (1, 2)]
    for row in rows:
        segs = np.load(folder / "out" / f"{row['output']}.npz")["segs"]
        values = np.arange(len(row["counts"])) % 2 == 1
        mask = np.repeat(values, row["counts"]).reshape(row["height"], row["width"], order="F")
        np.testing.assert_array_equal(mask, segs == row["id"])


def test_addresses_are_inputs(folder):
    pytest.importorskip("fsspec")
    out, here = folder / "out", (folder / "in").as_uri()
    write_png(folder / "in" / "deep" / "s0.png")
    jobs = find_jobs([here], out, prompt_path=None)
    assert {job.target for job in jobs} == {job.target for job in find_jobs([folder / "in"], out)}
    table = write_csv(
        folder / "m.csv", (f"{here}/s0.png", BOX, "a"), (f"{here}/none.png", BOX, "b"), ("none://x/a.png", BOX, "c")
    )
    good, missing, unknown = outcomes(read_manifest(table, out), save=("npz",))
    assert good["input"] == "s0.png" and "does not exist" in missing["error"] and "none" in unknown["error"]
    assert missing["wrong_input"] and unknown["wrong_input"]
    assert outcomes(read_manifest(table, out), save=("npz",))[0]["skipped"]
    assert outcomes(read_manifest(table, out), save=("label",))[0]["source"] == good["source"]
    job = read_manifest(table, out)[0]
    with pytest.raises(CaseError, match="at an address"):
        check_reference(job, SegmentOptions(("dicom-seg",)), None)


def test_what_killed_writers_left_is_removed_and_nothing_else(tmp_path):
    endings = (".npz", "_label.png", "_label.nii.gz", ".json")
    writers = [atomic_write(tmp_path / f"a.b{ending}") for ending in endings]
    left = [writer.__enter__() for writer in writers]  # and never left
    assert all(path.exists() for path in left)
    others = [
        tmp_path / name
        for name in ("a.b.npz", ".a.b.npz", ".other-12345678.npz", ".a.bc-12345678.npz", "a.b-12345678.npz")
    ]
    for path in others:
        path.touch()
    remove_leftovers([tmp_path / "a.b", tmp_path / "none" / "c"])
    assert not any(path.exists() for path in left) and all(path.exists() for path in others)


def test_the_command_runs_a_manifest_and_its_parts(folder):
    table = write_csv(folder / "m.csv", *((f"in/s{i}.png", BOX, f"s{i}") for i in range(3)), ("no.png", BOX, "x"))

    def segment(*words):
        arguments = [sys.executable, "-m", "lite_medsam", "segment", "--save", "npz", "--quiet", *map(str, words)]
        return subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False)

    whole = segment("--manifest", table, "-o", folder / "whole")
    assert whole.returncode == 2 and "m.csv: line 5" in whole.stderr and "1 of 4 inputs failed" in whole.stderr
    assert [segment("--manifest", table, "-o", folder / "parts", "--part", f"{i}/3").returncode for i in (1, 2, 3)] == [
        2, 0, 0]  # fmt: skip
    for i in range(3):
        assert (folder / "whole" / f"s{i}.npz").read_bytes() == (folder / "parts" / f"s{i}.npz").read_bytes()
    assert segment("-i", folder / "in", "--manifest", table, "-o", folder / "x").returncode == 2
    assert segment("-o", folder / "x").returncode == 2
    assert segment("--manifest", table, "-o", folder / "x", "--workers", 2).returncode == 2
