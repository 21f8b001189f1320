"""A folder that is worked through: its list, results beside the inputs, tomorrow, and nothing from outside."""

import json
import os

import numpy as np
import pytest
from click.testing import CliRunner
from demo_desk import OneModel, Page, damaged_inside, desk_with, png_of
from fakes import FakeBackend

from lite_medsam.cli.demo_loading import load_demo
from lite_medsam.errors import CaseError, PromptError
from lite_medsam.images.masks import read_mask
from lite_medsam.segment.predictor import Predictor

folder_of = load_demo("folder").Folder
PICTURE = np.add.outer(np.arange(60), np.arange(80)).astype(np.uint8)


@pytest.fixture
def scans(tmp_path):
    root = tmp_path / "scans"
    (root / "sub").mkdir(parents=True)
    for k, name in enumerate(("a.png", "b.png", "sub/a.png")):
        (root / name).write_bytes(png_of(PICTURE + k))
    (root / "notes.txt").write_text("x")
    return root


def desk_of(root):
    return desk_with(OneModel(Predictor(FakeBackend(64), "off")), folder=folder_of(root, 10**6))


def rows(page):
    return page.ask("queue")["queue"]["items"]


def take(page, name):
    return page.ask("item", item=next(row["id"] for row in rows(page) if row["name"] == name))


def test_a_folder_is_worked_through_and_goes_on_tomorrow(scans):
    desk = desk_of(scans)
    page = Page(desk)
    assert page.ask("hello")["about"]["folder"] == "scans"
    assert [(row["name"], row["state"]) for row in rows(page)] == [
        ("a.png", "new"),
        ("b.png", "new"),
        ("sub/a.png", "new"),
    ]
    answer = take(page, "a.png")
    assert answer["ok"] and answer["view"]["image"]["name"] == "a" and answer["queue"]["current"] == rows(page)[0]["id"]
    before = page.do("box", box=[10, 10, 40, 40])
    mask = before["objects"][0]["mask"]
    assert (scans / "lite-medsam/a.lite-medsam.zip").is_file()  # kept at each step
    assert not (scans / "lite-medsam/a_label.png").exists() and rows(page)[0]["state"] == "begun"
    answer = page.ask("mark", state="done")
    assert answer["ok"] and "a_label.png" in answer["message"] and answer["queue"]["items"][0]["state"] == "done"
    label = read_mask(scans / "lite-medsam/a_label.png")
    assert label.shape == PICTURE.shape and label.any() and (scans / "lite-medsam/a_overlay.png").is_file()
    assert take(page, "b.png")["ok"] and page.ask("mark", state="skipped")["message"] == "Skipped."
    assert take(page, "sub/a.png")["ok"]
    page.do("box", box=[5, 5, 30, 30])
    desk.seats.close()
    assert (scans / "lite-medsam/sub/a.lite-medsam.zip").is_file()  # even without a word at the end

    tomorrow = Page(desk_of(scans))
    assert [row["state"] for row in rows(tomorrow)] == ["done", "skipped", "begun"]
    view = take(tomorrow, "a.png")["view"]
    assert view["objects"][0]["mask"] == mask and view["objects"][0]["box"] == [10, 10, 40, 40]
    assert len(take(tomorrow, "sub/a.png")["view"]["objects"]) == 1
    assert (scans / "a.png").read_bytes() == png_of(PICTURE)
    assert len(rows(tomorrow)) == 3  # results are no inputs
    tomorrow.desk.seats.close()


def test_results_follow_what_is_there(scans):
    page = Page(desk_of(scans))
    take(page, "a.png")
    page.do("box", box=[10, 10, 40, 40])
    take(page, "b.png")  # going on writes, too
    assert read_mask(scans / "lite-medsam/a_label.png").any() and rows(page)[0]["state"] == "begun"
    stamp = os.stat(scans / "lite-medsam/a_label.png").st_mtime_ns
    take(page, "a.png")
    take(page, "b.png")
    assert os.stat(scans / "lite-medsam/a_label.png").st_mtime_ns == stamp  # nothing was changed
    view = take(page, "a.png")["view"]
    page.do("remove", object=view["objects"][0]["id"])
    assert "without an object" in page.ask("mark", state="done")["message"]
    assert not (scans / "lite-medsam/a_label.png").exists() and rows(page)[0]["state"] == "done"
    page.desk.seats.close()


def test_two_people_do_not_get_the_same_file(scans):
    desk = desk_of(scans)
    first, second = Page(desk), Page(desk)
    take(first, "a.png")
    assert rows(second)[0]["elsewhere"] and "open in another page" in take(second, "a.png")["error"]
    desk.answer({"token": first.token, "op": "close"})
    assert take(second, "a.png")["ok"]
    assert "no file of the folder is open" in first.ask("mark", state="done")["error"]  # should that page come back
    desk.seats.close()


def test_a_file_that_is_being_opened_is_taken(scans, monkeypatch):
    desk = desk_of(scans)
    first, second = Page(desk), Page(desk)
    opened, answers = desk.folder.open, []

    def slowly(item):
        answers.append(take(second, "a.png"))  # while the first one still reads
        return opened(item)

    monkeypatch.setattr(desk.folder, "open", slowly)
    assert take(first, "a.png")["ok"] and "open in another page" in answers[0]["error"]
    monkeypatch.setattr(desk.folder, "open", opened)
    desk.answer({"token": first.token, "op": "close"})
    assert take(second, "a.png")["ok"]
    desk.seats.close()


def test_results_stay_where_they_cannot_be_made_again(scans, monkeypatch):
    page = Page(desk_of(scans))
    take(page, "a.png")
    page.do("box", box=[10, 10, 40, 40])
    assert page.ask("mark", state="done")["ok"]

    def refused(*_, **__):
        raise PromptError("this model was not trained on clicks")

    monkeypatch.setattr(load_demo("folder"), "result_files", refused)
    page.do("box", box=[5, 5, 30, 30], new=True)
    assert "not trained on clicks" in page.ask("mark", state="done")["error"]
    assert (scans / "lite-medsam/a_label.png").is_file()
    page.desk.seats.close()


@pytest.mark.parametrize("damage", [b"", b"no zip", b"middle"])
def test_damaged_work_is_told_and_stays(scans, damage):
    page = Page(desk_of(scans))
    take(page, "a.png")
    page.do("box", box=[10, 10, 40, 40])
    take(page, "b.png")
    path = scans / "lite-medsam/a.lite-medsam.zip"
    data = damage if damage != b"middle" else damaged_inside(path.read_bytes(), "record.json")
    path.write_bytes(data)
    answer = take(page, "a.png")
    assert "a.lite-medsam.zip: damaged" in answer["error"] and "begin anew" in answer["error"]
    assert path.read_bytes() == data
    page.desk.seats.close()


def test_nothing_outside_the_folder_is_served_or_written(scans, tmp_path):
    secret = tmp_path / "secret.png"
    secret.write_bytes(png_of(PICTURE))
    (scans / "link.png").symlink_to(secret)
    page = Page(desk_of(scans))
    assert "link.png" not in [row["name"] for row in rows(page)]
    for item in ("../secret.png", str(secret), "a.png", "", 7, None, ["x"]):
        assert not page.ask("item", item=item)["ok"]
    row = next(row for row in rows(page) if row["name"] == "b.png")
    (scans / "b.png").unlink()
    (scans / "b.png").symlink_to(secret)  # while the page has the list
    assert "no such file" in page.ask("item", item=row["id"])["error"]
    take(page, "a.png")
    page.do("box", box=[10, 10, 40, 40])
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for path in (scans / "lite-medsam").iterdir():
        path.unlink()
    (scans / "lite-medsam").rmdir()
    (scans / "lite-medsam").symlink_to(elsewhere)
    assert not page.ask("mark", state="done")["ok"] and list(elsewhere.iterdir()) == []
    page.desk.seats.close()


def test_a_folder_that_cannot_be_written_says_so_and_loses_nothing(scans, monkeypatch):
    page = Page(desk_of(scans))
    take(page, "a.png")

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(load_demo("folder"), "atomic_write", full)
    answer = page.ask("box", box=[10, 10, 40, 40])
    assert answer["ok"] and "No space left" in answer["warning"] and len(answer["view"]["objects"]) == 1
    assert "No space left" in take(page, "b.png")["error"] and len(page.do("look")["objects"]) == 1
    page.desk.seats.close()


def test_series_of_a_study_are_items_of_their_own(tmp_path):
    pytest.importorskip("pydicom")
    from dicom_files import write_series
    from pydicom.uid import generate_uid

    (tmp_path / "study").mkdir()
    for number in (3, 5):
        made = write_series(tmp_path / str(number), 3, SeriesInstanceUID=generate_uid(), SeriesNumber=number)
        for file in made.iterdir():
            file.rename(tmp_path / "study" / f"{number}_{file.name}")
    page = Page(desk_of(tmp_path / "study"))
    names = [row["name"] for row in rows(page)]
    assert names == ["study, series3", "study, series5"]
    answer = take(page, names[1])
    assert answer["ok"] and answer["view"]["image"]["slices"] == 3
    page.do("box", box=[1, 1, 4, 4], slice=1)
    page.ask("mark", state="done")
    assert list((tmp_path / "study/lite-medsam").glob("*series5*_label.nii.gz"))
    page.desk.seats.close()


def test_a_wrong_folder_is_told(tmp_path):
    for path, words in ((tmp_path / "none", "must be a folder"), (tmp_path, "holds none")):
        with pytest.raises(CaseError, match=words):
            folder_of(path, 10**6)
    (tmp_path / "a.png").write_bytes(png_of(PICTURE))
    (tmp_path / "lite-medsam").mkdir()
    (tmp_path / "lite-medsam/queue.json").write_text(json.dumps({"states": []}))
    page = Page(desk_of(tmp_path))
    assert "queue.json must be a file of ours" in page.ask("queue")["error"]
    page.desk.seats.close()


def test_a_folder_is_not_opened_to_everybody(scans):
    from lite_medsam.cli.demo import command

    done = CliRunner().invoke(command, [str(scans), "--host", "0.0.0.0"])
    assert done.exit_code == 2 and "--auth-file" in done.output
