"""Annotations for labelling tools, read back by the rule of each tool."""

import base64
import io
import json
import re

import cv2
import numpy as np
import pytest
from fakes import FakeBackend
from PIL import Image, ImageDraw

from lite_medsam.images.outlines import fill_outlines
from lite_medsam.images.png_writing import png_bytes
from lite_medsam.jobs.batch import Job, SegmentOptions, run_job
from lite_medsam.prompts.prompt_set import Prompt
from lite_medsam.results.annotations import Names, annotation_files, class_of, pictures_of, pictures_of_labels
from lite_medsam.segment.predictor import Predictor


@pytest.fixture
def masks():
    y, x = np.mgrid[:40, :60]
    disc = (x - 20) ** 2 + (y - 15) ** 2 < 80
    ring = ((x - 40) ** 2 + (y - 25) ** 2 < 120) & ((x - 40) ** 2 + (y - 25) ** 2 > 30)
    two = np.zeros((40, 60), bool)
    two[2:5, 50:58] = two[30, 3] = True
    return np.stack([disc, ring, two, np.zeros_like(two)])


NAMES = Names(["cyst 1", "cyst 2", None, "empty"], [None, None, "drusen", None], [0.9, None, float("nan"), 0.1])


def as_labelme_fills(shape, hw):
    """Labelme 5's `shape_to_mask` and its reading of mask shapes."""
    filled = np.zeros(hw, bool)
    if shape["shape_type"] == "mask":
        (x0, y0), (x1, y1) = np.array(shape["points"], int)
        filled[y0 : y1 + 1, x0 : x1 + 1] = np.array(Image.open(io.BytesIO(base64.b64decode(shape["mask"])))) > 0
        return filled
    picture = Image.new("L", hw[::-1])
    assert len(shape["points"]) > 2
    ImageDraw.Draw(picture).polygon([tuple(xy) for xy in shape["points"]], outline=1, fill=1)
    return np.array(picture) > 0


def files_of(masks, *kinds):
    return annotation_files(kinds, "a", pictures_of("a", masks.shape[1:], masks), NAMES)


def test_labelme_says_the_masks_exactly(masks):
    document = json.loads(files_of(masks, "labelme")[0]["_labelme.json"])
    assert document["imageHeight"] == 40 and document["imageWidth"] == 60 and document["imagePath"] == "a.png"
    assert [s["shape_type"] for s in document["shapes"]] == ["polygon", "mask", "polygon", "polygon"]
    assert [s["label"] for s in document["shapes"]] == ["cyst 1", "cyst 2", "object", "object"]
    for i, mask in enumerate(masks[:3]):
        shapes = [s for s in document["shapes"] if s["group_id"] == i + 1]
        assert np.array_equal(np.any([as_labelme_fills(s, mask.shape) for s in shapes], axis=0), mask)


def test_yolo_says_parts_exactly_and_tells_what_it_loses(masks):
    files, notes = files_of(masks, "yolo")
    assert files["_yolo_classes.txt"].decode().split() == ["cyst", "drusen", "empty"]
    lines = [line.split() for line in files["_yolo.txt"].decode().splitlines()]
    assert [line[0] for line in lines] == ["0", "0", "1", "1"]
    filled = []
    for _, *numbers in lines:  # as ultralytics' polygon2mask does: whole numbers by cutting
        corners = (np.array(numbers, float).reshape(-1, 2) * (60, 40)).astype(np.int32)
        filled.append(cv2.fillPoly(np.zeros((40, 60), np.uint8), [corners], 1) > 0)
    assert np.array_equal(filled[0], masks[0]) and np.array_equal(filled[2] | filled[3], masks[2])
    assert (filled[1] & ~masks[1]).any() and not (masks[1] & ~filled[1]).any()  # its hole is lost
    assert any("parts of 1 objects" in note for note in notes) and any("holes: 1 are" in note for note in notes)


def test_polygons_say_the_masks_exactly(masks):
    document = json.loads(files_of(masks, "polygons")[0]["_polygons.json"])
    assert document["first_pixel_centre"] == [0, 0] and document["image_hw"] == [40, 60]
    for feature, mask in zip(document["features"], masks[:3], strict=True):
        rings = [np.array(ring) for polygon in feature["geometry"]["coordinates"] for ring in polygon]
        assert all((ring[0] == ring[-1]).all() for ring in rings)
        assert np.array_equal(fill_outlines(rings, mask.shape), mask)
    facts = [feature["properties"] for feature in document["features"]]
    assert facts[0] == {"name": "cyst 1", "class": "cyst", "object": 1, "score": 0.9}
    assert facts[2] == {"name": None, "class": "drusen", "object": 3}


def test_coco_has_classes_apart_from_objects(masks):
    document = json.loads(files_of(masks, "coco")[0]["_coco.json"])
    assert [c["name"] for c in document["categories"]] == ["cyst", "drusen", "empty"]
    assert [(a["category_id"], a["object_id"], a.get("object_name")) for a in document["annotations"]] == [
        (1, 1, "cyst 1"), (1, 2, "cyst 2"), (2, 3, None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "target", "found"),
    [("cyst 2", None, "cyst"), ("cyst_12", None, "cyst"), ("L4", None, "L4"), (None, None, "object"), ("7", None, "7"),
     ("lesion #3", "liver", "liver"), (" 3", None, " 3"), ("T-2 node", None, "T-2 node")],
)  # fmt: skip
def test_classes(name, target, found):
    assert class_of(name, target) == found


def test_slices_of_a_volume_have_files_of_their_own():
    labels = np.zeros((6, 10, 12), np.uint8)
    labels[2:4, 3:6, 3:7], labels[3, 8, 8] = 1, 3
    named = Names(["a", "b", "c"])
    files, _ = annotation_files(("coco", "labelme", "yolo", "polygons"), "v", pictures_of_labels("v", labels), named)
    assert [*files] == ["_coco.json", "_polygons.json", "_z002_labelme.json", "_z003_labelme.json", "_z002_yolo.txt",
                        "_z003_yolo.txt", "_yolo_classes.txt"]  # fmt: skip
    features = json.loads(files["_polygons.json"])["features"]
    assert [(f["properties"]["z"], f["properties"]["object"]) for f in features] == [(2, 1), (3, 1), (3, 3)]
    stacked = pictures_of("v", labels.shape, [labels == 1, labels == 2, labels == 3])
    assert annotation_files(("coco", "polygons"), "v", stacked, named)[0].items() <= files.items()


@pytest.mark.parametrize("overlap", ["best", "stack"])
def test_segment_writes_them(tmp_path, overlap):
    image = np.random.default_rng(0).integers(0, 256, (40, 60), np.uint8)
    (tmp_path / "a b.png").write_bytes(png_bytes(image))
    prompts = (Prompt(box=(5, 5, 20, 20), name="cyst 1"), Prompt(box=(15, 10, 40, 30), name="cyst 2"))
    save = ("npz", "coco", "labelme", "yolo", "polygons")
    job = Job(tmp_path / "a b.png", tmp_path / "out" / "a b", prompts)
    record = run_job(Predictor(FakeBackend()), job, SegmentOptions(save, overlap))
    endings = [re.sub(r"^a b", "", name) for name in record["outputs"]]
    assert endings == [".npz", "_coco.json", "_polygons.json", "_labelme.json", "_yolo.txt", "_yolo_classes.txt"]
    assert any("YOLO" in note for note in record["notes"])
    segs = np.load(tmp_path / "out" / "a b.npz")["segs"]
    wanted = [segs == 1, segs == 2] if overlap == "best" else segs > 0
    document = json.loads((tmp_path / "out" / "a b_labelme.json").read_text())
    assert document["imagePath"] == "a b.png"
    for i, mask in enumerate(wanted):
        shapes = [s for s in document["shapes"] if s["group_id"] == i + 1]
        assert mask.any() and np.array_equal(np.any([as_labelme_fills(s, (40, 60)) for s in shapes], axis=0), mask)
