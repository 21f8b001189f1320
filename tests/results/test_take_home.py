"""What a user takes home: every file read back by something else than what wrote it."""

import csv
import importlib.util
import io
import json
import zipfile

import cv2
import numpy as np
import pytest
from fakes import FakeBackend
from PIL import Image

from lite_medsam.cases.case import load_case
from lite_medsam.errors import CaseError, PromptError
from lite_medsam.jobs.batch import Job, SegmentOptions, run_job
from lite_medsam.prompts.prompt_set import Prompt, load_prompts
from lite_medsam.prompts.volume_prompt_set import load_volume_prompts, volume_prompt_files
from lite_medsam.results.coco import coco_document, run_lengths
from lite_medsam.results.overlay import PALETTE
from lite_medsam.results.result import Result
from lite_medsam.results.take_home import (
    case_npz,
    coco_json,
    label_png,
    overlay_png,
    take_home_files,
    write_zip,
)
from lite_medsam.scans.geometry import Geometry
from lite_medsam.segment.predictor import Predictor
from lite_medsam.volumes.propagation import VolumeObject, propagate, seeds_from_boxes

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (40, 60, 3), np.uint8)


def decoded(segmentation):
    """Run lengths by the definition, one pixel after the other, down the columns."""
    height, width = segmentation["size"]
    flat, place, value = np.zeros(height * width, bool), 0, False
    for count in segmentation["counts"]:
        flat[place : place + count] = value
        place, value = place + count, not value
    assert place == height * width
    return flat.reshape(width, height).T


@pytest.fixture
def predictor():
    return Predictor(FakeBackend())


@pytest.fixture
def result(predictor):
    prompts = [
        Prompt(box=(5.25, 5, 20, 20), name="cyst"),
        Prompt(box=(15, 10, 40, 30), points=[[20.5, 12]], point_labels=[1], name="cyst"),
        Prompt(points=[[50, 30]], point_labels=[1]),
    ]
    answer = predictor.segment(IMAGE, prompts)
    return Result(
        IMAGE,
        answer.label_map(),
        prompts,
        answer.masks(),
        answer.scores,
        (0.004, 0.01),
        modality="OCT",
        name="eye 1/left",
    )


def written(tmp_path, files):
    write_zip(tmp_path / "all.zip", files)
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path / "all")
    return tmp_path / "all"


def test_all_files_of_a_picture_agree(result, tmp_path):
    folder = written(tmp_path, take_home_files(result, unit="um"))
    names = {path.name for path in folder.iterdir()}
    expected = {
        "label.png",
        "overlay.png",
        "names.png",
        "coco.json",
        "measurements.csv",
        "polygons.json",
        "labelme.json",
    }
    expected |= {"yolo.txt", "yolo_classes.txt"}
    expected = {f"eye_1_left_{name}" for name in expected} | {"eye_1_left.npz", "prompts.json", "README.txt"}
    assert names - {"eye_1_left_label.nii.gz"} == expected

    label = np.array(Image.open(folder / "eye_1_left_label.png"))
    assert label.dtype == np.uint8 and np.array_equal(label, result.labels)
    with np.load(folder / "eye_1_left.npz") as arrays:
        assert np.array_equal(arrays["segs"], result.labels) and np.array_equal(arrays["imgs"], IMAGE)
        assert arrays["spacing"].tolist() == [0.01, 0.004]  # x, y
        assert arrays["boxes"].shape == (3, 4) and arrays["boxes"][0].tolist() == [5.25, 5, 20, 20]
    assert load_case(folder / "eye_1_left.npz").spacing_mm == (0.004, 0.01)

    overlay = cv2.imread(str(folder / "eye_1_left_overlay.png"))[:, :, ::-1]
    assert overlay.shape == IMAGE.shape
    outside = ~cv2.dilate((result.labels > 0).astype(np.uint8), np.ones((15, 15))).astype(bool)
    assert np.array_equal(overlay[outside], IMAGE[outside]) and not np.array_equal(overlay, IMAGE)

    rows = list(csv.DictReader((folder / "eye_1_left_measurements.csv").read_text().splitlines()))
    assert [row["name"] for row in rows] == ["cyst", "cyst", "object 3", "all fluid"]
    assert int(rows[0]["area_px"]) == result.masks[0].sum()
    assert float(rows[0]["area_um2"]) == pytest.approx(result.masks[0].sum() * 40, rel=1e-5)
    both = (result.masks[0] | result.masks[1]).sum()
    assert int(rows[3]["fluid_area_px"]) == both and rows[3]["fluid_regions"] == "1"


def test_the_prompts_give_the_same_labels_again(result, tmp_path, predictor):
    folder = written(tmp_path, take_home_files(result))
    for source in ("eye_1_left.npz",):
        job = Job(folder / source, tmp_path / "again" / "a", prompt_file=folder / "prompts.json")
        run_job(predictor, job, SegmentOptions(save=("label",)))
        assert np.array_equal(np.array(Image.open(tmp_path / "again" / "a_label.png")), result.labels)


def test_previous_masks_and_logits_come_back_exactly(tmp_path):
    logits = RNG.normal(0, 3, (40, 60)).astype(np.float32)
    prompts = [
        Prompt(box=(1, 2, 30, 31), mask=logits),
        Prompt(mask=logits > 1),
        Prompt(box=(3, 3, 9, 9), name="no mask"),
    ]
    result = Result(IMAGE, np.zeros((40, 60), np.uint8), prompts)
    folder = written(tmp_path, take_home_files(result))
    back = load_prompts(folder / "prompts.json")
    assert back[0].mask.dtype == np.float32 and np.array_equal(back[0].mask, logits)
    assert back[1].mask.dtype == bool and np.array_equal(back[1].mask, logits > 1)
    assert back[2].mask is None and [p.box for p in back] == [p.box for p in prompts] and back[2].name == "no mask"


def test_coco_says_the_masks_exactly(result):
    document = json.loads(coco_json(result))
    assert document["categories"] == [
        {"id": 1, "name": "cyst", "supercategory": "object"},
        {"id": 2, "name": "object", "supercategory": "object"},
    ]
    assert document["images"] == [{"id": 1, "file_name": "eye_1_left.png", "width": 60, "height": 40}]
    assert [a["category_id"] for a in document["annotations"]] == [1, 1, 2]
    assert [a["id"] for a in document["annotations"]] == [1, 2, 3]
    for mask, annotation in zip(result.masks, document["annotations"], strict=True):
        assert np.array_equal(decoded(annotation["segmentation"]), mask)
        assert annotation["area"] == mask.sum() and annotation["iscrowd"] == 0 and annotation["image_id"] == 1
        x, y, width, height = annotation["bbox"]
        assert mask[y : y + height, x : x + width].sum() == mask.sum()
        assert mask[y].any() and mask[y + height - 1].any() and mask[:, x].any() and mask[:, x + width - 1].any()


@pytest.mark.parametrize(
    ("mask", "counts"),
    [
        ([[0, 0], [0, 0]], [4]),
        ([[1, 1], [1, 1]], [0, 4]),
        ([[1, 0], [0, 0]], [0, 1, 3]),
        ([[0, 1], [0, 0]], [2, 1, 1]),
        ([[0, 0], [0, 1]], [3, 1]),
        ([[0, 0], [1, 0]], [1, 1, 2]),
    ],
)
def test_run_lengths_by_hand(mask, counts):
    assert run_lengths(np.array(mask, bool)) == {"size": [2, 2], "counts": counts}


def test_empty_masks_and_missing_scores_in_coco():
    masks = np.zeros((2, 4, 5), bool)
    masks[1, 1, 1:3] = True
    document = coco_document([("a.png", (4, 5), enumerate(masks))], [None, "x"], [None, float("nan")])
    assert [a["bbox"] for a in document["annotations"]] == [[1, 1, 2, 1]] and "score" not in document["annotations"][0]


def test_label_pngs():
    labels = np.zeros((5, 6), np.int64)
    labels[2, 3] = 300
    assert np.array_equal(np.array(Image.open(io.BytesIO(label_png(labels)))), labels)
    assert Image.open(io.BytesIO(label_png(labels))).mode in ("I;16", "I")  # Pillow 10 reads 16 bits as 32
    small = Image.open(io.BytesIO(label_png(labels > 0)))
    assert small.mode == "P" and np.array_equal(np.array(small), labels > 0)
    assert small.convert("RGB").getpixel((3, 2)) == tuple(PALETTE[0]) and small.convert("RGB").getpixel((0, 0)) == (
        0,
        0,
        0,
    )
    labels[2, 3] = 70000
    with pytest.raises(CaseError, match="a label PNG holds"):
        label_png(labels)
    with pytest.raises(CaseError, match="a label PNG holds"):
        label_png(np.zeros((2, 5, 6), np.uint8))


def test_an_overlay_of_grey_is_rgb():
    labels = np.zeros((20, 20), np.uint8)
    labels[5:10, 5:10] = 1
    data = overlay_png(np.full((20, 20), 100, np.uint8), labels, opacity=1.0, contours=False)
    picture = np.array(Image.open(io.BytesIO(data)))
    assert picture[7, 7].tolist() == [230, 159, 0] and picture[0, 0].tolist() == [100, 100, 100]


def test_the_same_result_gives_the_same_bytes(result):
    first, second = io.BytesIO(), io.BytesIO()
    write_zip(first, take_home_files(result))
    write_zip(second, dict(reversed(take_home_files(result).items())))
    assert first.getvalue() == second.getvalue()
    with zipfile.ZipFile(first) as archive:
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert all("/" not in name and "\\" not in name for name in archive.namelist())


def test_names_with_paths_are_refused(tmp_path):
    for name in ("../a", "a/b", "C:\\a", "", "..", "a\0b"):
        with pytest.raises(CaseError, match="file names in a ZIP must be plain names"):
            write_zip(tmp_path / "a.zip", {name: b""})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "stem"), [("../../etc/passwd", "etc_passwd"), ("", "scan"), ("...", "scan"), ("läsion", "l_sion")]
)
def test_names_of_cases_never_lead_anywhere(name, stem):
    files = take_home_files(Result(IMAGE, np.zeros((40, 60), np.uint8), name=name))
    assert f"{stem}_label.png" in files
    write_zip(io.BytesIO(), files)


def test_a_result_that_does_not_fit_is_refused():
    with pytest.raises(CaseError, match="image must be uint8 with labels of its size"):
        Result(IMAGE, np.zeros((40, 61), np.uint8))
    with pytest.raises(CaseError, match="image must be uint8"):
        Result(IMAGE.astype(float), np.zeros((40, 60), np.uint8))


def test_labels_alone_are_enough():
    labels = np.zeros((40, 60), np.uint8)
    labels[3:6, 4:9] = 2
    files = take_home_files(Result(IMAGE, labels))
    rows = list(csv.DictReader(io.StringIO(files["scan_measurements.csv"].decode())))
    assert [row["area_px"] for row in rows] == ["0", "15"] and "prompts.json" not in files
    with np.load(io.BytesIO(files["scan.npz"])) as arrays:
        assert arrays["boxes"].tolist() == [[4, 3, 8, 5]] and "spacing" not in arrays


@pytest.fixture
def volume_result(predictor):
    volume = np.full((6, 40, 60), 100, np.uint8)
    objects = seeds_from_boxes([[5, 5, 1, 20, 20, 3], [30, 10, 2, 50, 30, 5]], ["kidney", "liver"])
    answer = propagate(predictor, volume, objects)
    geometry = Geometry(np.diag([0.5, -0.75, 3, 1.0]), (60, 40, 6), (2, 1, 0), (True, False, False))
    masks = [answer.mask(i) for i in range(2)]
    return Result(volume, answer.label_map(), objects, masks, None, (3.0, 0.75, 0.5), geometry, "CT", "belly")


def test_all_files_of_a_volume_agree(volume_result, tmp_path):
    folder = written(tmp_path, take_home_files(volume_result))
    assert not (folder / "belly_label.png").exists()
    case = load_case(folder / "belly.npz")
    assert case.is_volume and case.spacing_mm == (3.0, 0.75, 0.5)
    assert case.boxes.tolist() == [[5, 5, 1, 20, 20, 3], [30, 10, 2, 50, 30, 5]]
    document = json.loads((folder / "belly_coco.json").read_text())
    assert [image["file_name"] for image in document["images"]] == [f"belly_z{z:03d}.png" for z in range(1, 6)]
    rebuilt = np.zeros((2, 6, 40, 60), bool)
    for annotation in document["annotations"]:
        z = annotation["image_id"]  # the first image is slice 1
        rebuilt[annotation["category_id"] - 1, z] = decoded(annotation["segmentation"])
    assert np.array_equal(rebuilt, np.stack(volume_result.masks))
    rows = list(csv.DictReader((folder / "belly_measurements.csv").read_text().splitlines()))
    assert float(rows[0]["volume_mm3"]) == pytest.approx(volume_result.masks[0].sum() * 3 * 0.75 * 0.5, rel=1e-5)
    assert (rows[1]["z0_slice"], rows[1]["z1_slice"]) == ("2", "5")
    if importlib.util.find_spec("nibabel"):
        import nibabel

        image = nibabel.load(folder / "belly_label.nii.gz")
        assert np.array_equal(image.affine, volume_result.geometry.affine)
        assert np.array_equal(np.asarray(image.dataobj), volume_result.labels[::-1].transpose(2, 1, 0))


def test_the_prompts_of_a_volume_give_the_same_labels_again(volume_result, tmp_path, predictor):
    folder = written(tmp_path, take_home_files(volume_result))
    objects = load_volume_prompts(folder / "prompts.json")
    again = propagate(predictor, load_case(folder / "belly.npz").image, objects)
    assert np.array_equal(again.label_map(), volume_result.labels) and again.names == ("kidney", "liver")


def test_volume_prompts_come_back_exactly(tmp_path):
    logits = RNG.normal(0, 3, (4, 5)).astype(np.float32)
    objects = [
        VolumeObject({3: Prompt(box=(1, 2.5, 3, 4)), 7: Prompt(points=[[1, 2]], point_labels=[0], mask=logits)}, "a", (1, 9)),
        VolumeObject({0: Prompt(mask=logits > 0, name="x")}, bounds=(0, 0, 4, 4)),
    ]  # fmt: skip
    for name, content in volume_prompt_files(objects).items():
        (tmp_path / name).write_bytes(content)
    first, second = load_volume_prompts(tmp_path / "prompts.json")
    assert (first.name, first.z_range, first.bounds, sorted(first.prompts)) == ("a", (1, 9), None, [3, 7])
    assert first.prompts[3].box == (1, 2.5, 3, 4) and np.array_equal(first.prompts[7].mask, logits)
    assert first.prompts[7].points.tolist() == [[1, 2]] and first.prompts[7].point_labels.tolist() == [0]
    assert second.bounds == (0, 0, 4, 4) and second.z_range is None and second.prompts[0].name == "x"
    assert np.array_equal(second.prompts[0].mask, logits > 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"version": 1, "objects": []}', "must have the key volume"),
        ('{"version": 2, "volume": true, "objects": []}', "version must be 1"),
        ('{"version": 1, "volume": 1, "objects": []}', "volume must be true"),
        ('{"version": 1, "volume": true, "objects": [{}]}', r"objects\[0\] must have the key slices"),
        ('{"version": 1, "volume": true, "objects": [{"slices": []}]}', r"objects\[0\].slices must have one slice"),
        ('{"version": 1, "volume": true, "objects": [{"slices": [{"z": 1}]}]}', r"slices\[0\] must have a box"),
        ('{"version": 1, "volume": true, "objects": [{"slices": [{"box": [1,2,3,4]}]}]}', "must have the key z"),
        ('{"version": 1, "volume": true, "objects": [{"slices": [{"z": -1, "box": [1,2,3,4]}]}]}', r"z must lie in 0"),
        ('{"version": 1, "volume": true, "objects": [{"slices": [{"z": 1, "box": [1,2,3,4]}, {"z": 1, "box": [1,2,3,4]}]}]}',
         "must be a slice that comes once"),
        ('{"version": 1, "volume": true, "objects": [{"slices": [{"z": 1, "mask": "../a.png"}]}]}', "relative path"),
    ],
)  # fmt: skip
def test_wrong_volume_prompts_say_the_place(tmp_path, text, message):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(PromptError, match=message):
        load_volume_prompts(tmp_path / "a.json")


def test_an_npz_without_boxes_and_spacing():
    with np.load(io.BytesIO(case_npz(IMAGE, np.zeros((40, 60), np.uint8)))) as arrays:
        assert set(arrays) == {"imgs", "segs"}
