"""Labelme's JSON and that of its relatives: shapes with an area are drawn, all others are named."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from lite_medsam.cases.adapters import Options, open_adapter
from lite_medsam.cases.adapters.labelme import draw_shapes, label_names, read_shapes
from lite_medsam.cases.adapters.write import check_source
from lite_medsam.errors import CaseError

SIZE = (100, 120)
SQUARE = [[10, 20], [60, 20], [60, 60], [10, 60]]


def packed(mask):
    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def shape(kind="polygon", points=SQUARE, label="a", **more):
    return {"label": label, "shape_type": kind, "points": points, "flags": {}, "group_id": None, **more}


def write(path, *shapes, size=SIZE, **more):
    document = {"version": "5.5.0", "shapes": list(shapes), "imageHeight": size[0], "imageWidth": size[1], **more}
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def drawn(folder, *shapes):
    return read_shapes(write(folder / "a.json", *shapes), SIZE, {"a": 1, "b": 2})


def box(x0, y0, x1, y1):
    label = np.zeros(SIZE, int)
    label[max(0, y0) : y1 + 1, max(0, x0) : x1 + 1] = 1
    return label


BLOB = np.add.outer((np.arange(21) - 10) ** 2, (np.arange(31) - 15) ** 2) < 90


@pytest.mark.parametrize(
    "mask", [BLOB, BLOB.astype(np.uint8), BLOB.astype(np.uint8) * 255], ids=["bits", "ones", "255"]
)
@pytest.mark.parametrize("points", [[[10, 20], [40, 40]], [[10.2, 19.8], [40.4, 40.3]], [[40, 40], [10, 20]]])
def test_masks_lie_where_their_points_say(tmp_path, mask, points):
    label, drops = drawn(tmp_path, shape("mask", points, mask=packed(mask)))
    wanted = np.zeros(SIZE, int)
    wanted[20:41, 10:41] = BLOB
    assert np.array_equal(label, wanted) and not drops


def test_masks_at_the_border_are_cut(tmp_path):
    label, drops = drawn(tmp_path, shape("mask", [[-5, -3], [25, 17]], mask=packed(BLOB)))
    assert np.array_equal(label[:18, :26], BLOB[3:, 5:]) and label.sum() == BLOB[3:, 5:].sum() and not drops
    label, drops = drawn(tmp_path, shape("mask", [[100, 90], [130, 110]], mask=packed(BLOB)))
    assert np.array_equal(label[90:, 100:], BLOB[:10, :20])
    label, drops = drawn(tmp_path, shape("mask", [[500, 500], [530, 520]], mask=packed(BLOB)))
    assert not label.any() and "outside" in drops[0].reason


@pytest.mark.parametrize("text", [None, 5, "no base64!", base64.b64encode(b"no picture").decode(), packed(BLOB)[:40]])
def test_masks_that_are_none_are_named(tmp_path, text):
    label, drops = drawn(tmp_path, shape("mask", [[1, 1], [31, 21]], mask=text))
    assert not label.any()
    assert drops[0].count == 1 and drops[0].reason.startswith("a mask")


def test_rectangles_of_two_and_of_four_corners(tmp_path):
    two, _ = drawn(tmp_path, shape("rectangle", [[60, 60], [10, 20]]))
    four, _ = drawn(tmp_path, shape("rectangle", SQUARE))
    assert np.array_equal(two, box(10, 20, 60, 60)) and np.array_equal(four, two)


@pytest.mark.parametrize("kind", ["rotation", "rotated_rectangle", "oriented_rectangle", "quadrilateral"])
def test_rotated_rectangles(tmp_path, kind):
    diamond = [[40, 20], [60, 40], [40, 60], [20, 40]]
    label, drops = drawn(tmp_path, shape(kind, diamond, direction=0.78))
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    assert np.array_equal(label, abs(x - 40) + abs(y - 40) <= 20) and not drops


@pytest.mark.parametrize(
    ("kind", "points", "reason"),
    [
        ("line", [[1, 1], [50, 50]], "a line of 2 points has no area"),
        ("linestrip", [[1, 1], [50, 50], [3, 70]], "a linestrip of 3 points has no area"),
        ("point", [[1, 1]], "a point of 1 points has no area"),
        ("points", [[1, 1], [4, 4]], "a points of 2 points has no area"),
        ("polygon", [[1, 1], [4, 4]], "a polygon of 2 points has no area"),
        ("circle", [[1, 1]], "a circle of 1 points has no area"),
        ("cuboid", SQUARE * 2, "its kind 'cuboid' is not known"),
        ("polygon", [[1, 1], [4, None], [3, 3]], "its corners are no numbers"),
        ("polygon", None, "its corners are no numbers"),
    ],
)
def test_shapes_without_an_area_are_named(tmp_path, kind, points, reason):
    label, drops = drawn(tmp_path, shape(kind, points), shape())
    assert np.array_equal(label, box(10, 20, 60, 60))
    assert [(d.label, d.count, d.reason) for d in drops] == [("a", 1, reason)]


def test_holes_and_ignored_regions(tmp_path):
    hole = shape(points=[[20, 30], [40, 30], [40, 50], [20, 50]], label="_background_")
    label, drops = drawn(tmp_path, shape(), hole)
    assert np.array_equal(label, box(10, 20, 60, 60) - box(20, 30, 40, 50)) and not drops
    label, drops = drawn(tmp_path, shape(), {**hole, "label": "__ignore__"})
    assert np.array_equal(label, box(10, 20, 60, 60) - box(20, 30, 40, 50))
    assert drops[0].label == "__ignore__" and "ignored" in drops[0].reason


def test_groups_are_one_object(tmp_path):
    left, right = [[1, 1], [9, 1], [9, 9], [1, 9]], [[80, 1], [90, 1], [90, 9], [80, 9]]
    path = write(tmp_path / "a.json", shape(points=left, group_id=4), shape(), shape(points=right, group_id=4),
                 shape(points=left, label="b", group_id=4))  # fmt: skip
    drawing = draw_shapes(path, SIZE, {"a": 1, "b": 2})
    assert drawing.objects[5, 85] != drawing.objects[40, 40] > 0
    assert drawing.names[drawing.objects[5, 85]] == "a" and drawing.names[drawing.objects[5, 5]] == "b"
    assert label_names(path) == ["a", "b"]


def folder(root):
    rng = np.random.default_rng(0)
    for name in ("one", "two", "three", "bare"):
        Image.fromarray(rng.integers(0, 256, SIZE, np.uint8)).save(root / f"{name}.png")
    write(root / "one.json", shape(label="Lesion"), shape("rectangle", [[70, 5], [90, 9]], label="duct"))
    write(
        root / "two.json", shape(label="lesion"), shape(points=[[62, 20], [80, 20], [80, 60], [62, 60]], label="lesion")
    )
    write(root / "three.json", shape("line", [[1, 1], [2, 2]], label="duct"), shape(label="duct"))
    (root / "dataset.json").write_text("{}")


def test_an_image_folder_takes_json_beside_the_pictures(tmp_path):
    folder(tmp_path)
    adapter = open_adapter("image-folder", tmp_path, Options())
    report = check_source(adapter, adapter.settings)
    problems = sorted((p.kind, p.path) for p in report.all_problems)
    assert problems == [
        ("dropped-objects", "three.png"),
        ("stray-file", "dataset.json"),
        ("unpaired-image", "bare.png"),
    ]
    found = {item.image.stem: adapter.read(item).case for item in adapter.find().items}
    assert found["one"].label_names == {1: "duct", 2: "Lesion"}
    assert (found["one"].label[7, 80], found["one"].label[40, 40], found["two"].label[40, 40]) == (1, 2, 2)
    named = open_adapter("image-folder", tmp_path, Options(names={7: "lesion", 8: "nodule"}))
    assert "--name says nodule" in " ".join(p.message for p in named.find().problems)
    case = {item.image.stem: named.read(item).case for item in named.find().items}["one"]
    assert (case.label[7, 80], case.label[40, 40]) == (1, 7)


def test_shapes_that_touch_stay_objects_of_their_own(tmp_path):
    folder(tmp_path)
    adapter = open_adapter("image-folder", tmp_path, Options(instances=True))
    facts = {f.file: f.objects for f in check_source(adapter, adapter.settings).facts}
    assert facts["two.png"] == {"lesion": 2}


def test_a_damaged_json_is_one_bad_file(tmp_path):
    folder(tmp_path)
    (tmp_path / "two.json").write_text('{"shapes": [')
    write(tmp_path / "three.json", shape(), size=(5, 5))
    adapter = open_adapter("image-folder", tmp_path, Options())
    report = check_source(adapter, adapter.settings)
    errors = {p.path: p.kind for p in report.errors}
    assert errors == {"two.png": "unreadable", "three.png": "size-mismatch", "bare.png": "unpaired-image"}
    with pytest.raises(CaseError, match="every shape must have a label"):
        label_names(write(tmp_path / "x.json", {"points": SQUARE}))


def test_a_picture_counts_before_the_json_and_it_is_said(tmp_path):
    folder(tmp_path)
    (tmp_path / "masks").mkdir()
    Image.fromarray(box(1, 1, 5, 5).astype(np.uint8)).save(tmp_path / "masks/one.png")
    adapter = open_adapter("image-folder", tmp_path, Options())
    listing = adapter.find()
    found = {item.image.stem: adapter.read(item).case for item in listing.items}
    assert np.array_equal(found["one"].label, box(1, 1, 5, 5))
    assert ("stray-file", "one.json") in {(p.kind, p.path) for p in listing.problems}


def test_odd_texts_in_the_json_end_no_run(tmp_path):
    from lite_medsam.cases.adapters.write import prepare_cases

    root = tmp_path / "raw"
    root.mkdir()
    Image.fromarray(np.zeros(SIZE, np.uint8)).save(root / "a.png")
    Image.fromarray(np.ones(SIZE, np.uint8)).save(root / "b.png")
    odd = "half \ud800 a\nletter"
    write(
        root / "a.json", shape(label=odd), shape("kind \ud800", label=odd), shape("line", [[1, 1], [2, 2]], label=odd)
    )
    write(root / "b.json", shape(), size=({"a": 1}, "\n"))
    adapter = open_adapter("image-folder", root, Options())
    report = prepare_cases(adapter, adapter.settings, tmp_path / "cases")
    assert [(p.kind, p.path) for p in report.errors] == [("unreadable", "b.png")]
    assert report.written == 1
    assert "half ? a letter" in (tmp_path / "cases/manifest.csv").read_text(encoding="utf-8")
