import json

import pytest

from lite_medsam.learning.training.curves import draw_training
from lite_medsam.learning.training.run_log import RunLog, read_rows
from lite_medsam.learning.training.run_record import RunRecord

SCORES = {"dice": 0.5, "iou": 0.4, "surface_dice": 0.3}


def test_a_continued_run_does_not_tell_things_twice(tmp_path):
    log = RunLog(tmp_path, 0)
    for step in (10, 20, 30):
        log.training(step, 1.0 / step, 1.0, step)
        log.validation(step, SCORES, step == 20, step)
    log.close()
    with (tmp_path / "log.csv").open("a") as file:
        file.write("40,0.0")  # what a kill leaves
    again = RunLog(tmp_path, 20)
    again.training(30, 0.5, 0.9, 31)
    again.close()
    assert [row["step"] for row in read_rows(tmp_path / "log.csv")] == ["10", "20", "30"]
    assert read_rows(tmp_path / "log.csv")[-1]["loss"] == "0.50000"
    assert [row["step"] for row in read_rows(tmp_path / "validation.csv")] == ["10", "20"]


def test_a_new_log_has_a_header_only(tmp_path):
    RunLog(tmp_path, 0).close()
    assert (tmp_path / "log.csv").read_text().split() == ["step,loss,rate,seconds"]
    assert read_rows(tmp_path / "validation.csv") == []


def test_curves_are_drawn_with_and_without_validation(tmp_path):
    log = RunLog(tmp_path, 0)
    for step in (10, 20):
        log.training(step, 1.0, 1.0, step)
    draw_training(tmp_path / "log.csv", tmp_path / "a.png")
    log.validation(0, SCORES, True, 0)
    log.close()
    draw_training(tmp_path / "log.csv", tmp_path / "b.png", tmp_path / "validation.csv")
    sizes = [(tmp_path / name).read_bytes()[16:24] for name in ("a.png", "b.png")]
    assert sizes[0] != sizes[1]  # the second has two parts


def test_event_files_hold_the_same_numbers(tmp_path):
    loading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    log = RunLog(tmp_path, 0)
    for step in (10, 20, 30):
        log.training(step, 1.0 / step, 0.5, step)
    log.validation(20, SCORES, True, 20)
    log.close()
    again = RunLog(tmp_path, 20)  # a run that was cut after step 20
    again.training(30, 9.0, 0.25, 31)
    again.close()
    events = loading.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert set(events.Tags()["scalars"]) == {f"validation/{n}" for n in SCORES} | {"train/loss", "train/rate"}
    assert [(e.step, round(e.value, 5)) for e in events.Scalars("train/loss")] == [(10, 0.1), (20, 0.05), (30, 9.0)]
    assert [(e.step, round(e.value, 5)) for e in events.Scalars("validation/dice")] == [(20, 0.5)]


def test_the_record_of_a_run(tmp_path):
    record = RunRecord()
    for _ in range(2):
        with record.phase("a"):
            pass
    with pytest.raises(ZeroDivisionError), record.phase("b"):
        raise ZeroDivisionError
    record.write(tmp_path, steps=3)
    read = json.loads((tmp_path / "record.json").read_text())
    assert set(read["seconds"]) == {"a", "b"} and read["steps"] == 3 and read["threads"] >= 1
    assert read.get("peak_memory_gb", 1) > 0.01 and "a 0 s, b 0 s" in str(record)


def test_a_run_that_ended_before_its_first_line_still_has_a_picture(tmp_path):
    log = RunLog(tmp_path, 0)
    log.validation(0, SCORES, True, 0)
    log.close()
    draw_training(tmp_path / "log.csv", tmp_path / "a.png", tmp_path / "validation.csv")
    draw_training(tmp_path / "none.csv", tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes()[:4] == (tmp_path / "b.png").read_bytes()[:4] == b"\x89PNG"
