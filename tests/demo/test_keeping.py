"""Work that is kept and opened again: records, session files and the ZIP of results, through a desk without a browser."""

import base64
import io
import json
import zipfile

import numpy as np
import pytest
from demo_desk import OneModel, Page, damaged_inside, desk_with, png_of
from fakes import FakeBackend

from lite_medsam.segment.predictor import Predictor

PICTURE = np.add.outer(np.arange(90), np.arange(120)).astype(np.uint8)


@pytest.fixture(scope="module")
def desk():
    made = desk_with(OneModel(Predictor(FakeBackend(64), "off")))
    yield made
    made.seats.close()


@pytest.fixture
def page(desk):
    return Page(desk)


@pytest.fixture
def other(desk):
    return Page(desk)


@pytest.fixture(autouse=True)
def room(desk):
    """Pages of the tests before are gone."""
    for seat in list(desk.seats._seats.values()):
        seat.leaving = True


def work(page):
    """A picture with two objects: one boxed and clicked, one painted and named."""
    assert page.upload(("scan one.png", png_of(PICTURE)))["ok"]
    page.do("box", box=[10, 10, 60, 50])
    page.do("click", x=30, y=30, positive=False)
    page.do("add")
    painted = page.do("paint", stroke=[[80, 40], [100, 60]], radius=4, add=True)
    return page.do("rename", object=painted["selected"], name="by hand")


def seen(view):
    keys = ("id", "number", "name", "box", "points", "mask", "score", "painted", "chosen", "colour")
    return [{key: item.get(key) for key in keys} for item in view["objects"]]


def kept(page):
    answer = page.ask("record")
    assert answer["ok"], answer
    return answer["record"]["document"].encode(), base64.b64decode(answer["record"]["masks"])


def session_file(source, record, packing=zipfile.ZIP_STORED, **more):
    document, masks = record
    about = {"format": "lite-medsam session", "version": 1, "slice": 0, "source": source}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", packing) as archive:
        for name, data in {
            "session.json": json.dumps(about),
            "record.json": document,
            "masks.bin": masks,
            **more,
        }.items():
            archive.writestr(name, data)
    return file.getvalue()


def test_a_record_brings_everything_back_on_another_seat(page, other):
    before = work(page)
    record = kept(page)
    assert other.upload(("scan one.png", png_of(PICTURE)))["ok"]
    answer = other.upload(("record.json", record[0]), ("masks.bin", record[1]), op="restore")
    assert answer["ok"] and "2 objects" in answer["message"], answer
    assert seen(answer["view"]) == seen(before) and answer["view"]["selected"] == before["selected"]
    more = other.do("add")
    assert len({item["id"] for item in more["objects"]}) == 3
    assert [item["number"] for item in more["objects"]][-1] == 3


def test_a_damaged_record_leaves_what_is_there(page, other):
    before = work(page)
    document, masks = kept(page)
    for pieces in ((b"{}", masks), (b"[", masks), (document, masks[:-5]), (document, b"x"), (document,)):
        files = list(zip(("record.json", "masks.bin"), pieces, strict=False))
        assert not page.upload(*files, op="restore")["ok"]
    assert seen(page.do("look")) == seen(before)
    other.upload(("small.png", png_of(PICTURE[:50])))
    answer = other.upload(("record.json", document), ("masks.bin", masks), op="restore")
    assert "shape" in answer["error"] and other.do("look")["objects"] == []


def test_a_session_file_opens_with_its_picture(page, other):
    before = work(page)
    source = {"kind": "files", "series": None, "files": [{"name": "scan one.png", "member": "files/00000"}]}
    data = session_file(source, kept(page), **{"files/00000": png_of(PICTURE)})
    answer = other.upload(("scan one.lite-medsam.zip", data))
    assert answer["ok"] and "2 objects" in answer["message"], answer
    assert seen(answer["view"]) == seen(before) and answer["view"]["image"]["name"] == "scan one"
    page.do("sample", name="3D_ct")
    page.do("box", box=[40, 40, 90, 90], slice=7)
    data = session_file({"kind": "sample", "name": "3D_ct"}, kept(page))
    answer = other.upload(("sample.lite-medsam.zip", data))
    assert answer["view"]["image"]["slices"] > 7 and answer["view"]["image"]["prompted"] == [7]


def test_a_session_file_of_somebody_else_is_refused_in_words(page, other):
    work(page)
    record = kept(page)
    good = {"kind": "files", "files": [{"name": "a.png", "member": "files/0"}]}
    for source, more, words in (
        (good, {}, "every file that it names"),
        ({"kind": "files", "files": []}, {}, "1 to 2000 files"),
        ({"kind": "files", "files": [7]}, {}, "as objects"),
        ({"kind": "sample", "name": "../../etc"}, {}, "no sample"),
        (None, {}, "source"),
        ({**good, "series": 3}, {"files/0": b"x"}, "1 to 2000 files"),
        (good, {"files/0": bytes(31_000_000)}, "at most 28.6 MB"),
        (good, {"files/0": png_of(PICTURE), "record.json": b"{}"}, "must be a session"),
        (good, {"files/0": png_of(PICTURE), "masks.bin": b"zz"}, "damaged"),
        (
            good,
            {"files/0": png_of(PICTURE), "session.json": b'{"format": "lite-medsam session", "version": 9}'},
            "version 1",
        ),
    ):
        answer = other.upload(("a.lite-medsam.zip", session_file(source, record, **more)))
        assert not answer["ok"] and words in answer["error"], (source, answer)
    outside = {"kind": "files", "files": [{"name": "../../../tmp/evil.png", "member": "files/0"}]}
    answer = other.upload(("a.zip", session_file(outside, record, **{"files/0": png_of(PICTURE)})))
    assert answer["ok"] and answer["view"]["image"]["name"] == "evil"  # a name, and no path


@pytest.mark.parametrize("packing", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("name", ["session.json", "record.json", "files/0"])
def test_a_damaged_session_file_is_told(page, other, packing, name):
    work(page)
    source = {"kind": "files", "files": [{"name": "a.png", "member": "files/0"}]}
    data = session_file(source, kept(page), packing, **{"files/0": png_of(PICTURE)})
    answer = other.upload(("a.zip", damaged_inside(data, name)))
    assert not answer["ok"] and "damaged session file" in answer["error"], answer


def test_a_session_file_of_one_series_of_a_study_asks_nothing(page, other, tmp_path):
    pytest.importorskip("pydicom")
    from dicom_files import write_series
    from pydicom.uid import generate_uid

    files = []
    for number in (3, 5):
        made = write_series(tmp_path / str(number), 3, SeriesInstanceUID=generate_uid(), SeriesNumber=number)
        files += [(f"{number}/{file.name}", file.read_bytes()) for file in sorted(made.iterdir())]
    series = page.upload(*files)["choose"][1]["series"]
    assert (
        len(page.ask("open", id="once")["choose"]) == len(page.ask("open", id="once")["choose"]) == 2
    )  # (an answer was lost)
    assert page.ask("open", series=series)["ok"]
    page.do("box", box=[1, 1, 4, 4], slice=1)
    names = [{"name": name, "member": f"files/{k}"} for k, (name, _) in enumerate(files)]
    members = {f"files/{k}": data for k, (_, data) in enumerate(files)}
    data = session_file({"kind": "files", "series": series, "files": names}, kept(page), **members)
    answer = other.upload(("study.lite-medsam.zip", data))
    assert "choose" not in answer and answer["view"]["image"]["prompted"] == [1], answer


def test_a_piece_that_finds_no_room_can_come_again(page, monkeypatch):
    data = png_of(PICTURE)
    page.do("upload", files=[{"name": "a.png", "size": len(data)}])
    piece = base64.b64encode(data).decode()

    class Full(io.FileIO):
        def write(self, content):
            super().write(bytes(content)[:40])
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("builtins.open", lambda path, mode: Full(path, mode))
    answer = page.ask("piece", file=0, at=0, data=piece)
    monkeypatch.undo()
    assert "No space left" in answer["error"]
    assert page.ask("piece", file=0, at=0, data=piece)["ok"] and page.ask("open")["ok"]


def test_the_zip_of_results_opens_again_with_everything(page, other):
    before = work(page)
    answer = page.ask("save", what="zip")
    data = base64.b64decode(answer["file"]["data"])
    again = other.upload((answer["file"]["name"], data))
    assert again["ok"] and seen(again["view"]) == seen(before)
    page.do("sample", name="3D_ct")
    page.do("window", centre=100, width=80)
    page.do("box", box=[40, 40, 90, 90], slice=7)
    before = page.do("look", slice=7)
    answer = page.ask("save", what="zip", slice=7)
    again = other.upload((answer["file"]["name"], base64.b64decode(answer["file"]["data"])))
    assert again["ok"] and again["view"]["image"]["slice"] == 7 and seen(again["view"]) == seen(before)
    assert again["view"]["image"]["window"] is None  # it is in the pixels of the npz
    same = again["view"]["image"]["png"] == page.do("look", slice=7)["image"]["png"]
    assert same


def test_uploads_know_what_has_come(page):
    page.do("upload", files=[{"name": "a.png", "size": 6}])
    piece = base64.b64encode(b"abc").decode()
    assert page.ask("piece", file=0, at=0, data=piece)["ok"]
    assert page.ask("piece", file=0, at=0, data=piece)["ok"]  # its answer was lost
    assert not page.ask("piece", file=0, at=5, data=piece)["ok"]
    assert page.ask("piece", file=0, at=3, data=piece)["ok"]
    assert page.ask("discard")["ok"] and "did not arrive whole" in page.ask("open")["error"]
