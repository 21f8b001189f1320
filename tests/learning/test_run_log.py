from lite_medsam.learning.curves import draw_training
from lite_medsam.learning.run_log import RunLog, read_rows

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
