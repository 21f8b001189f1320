"""tjdr: palette, colour and Labelme annotations that agree; tiny lesions; the leak in the published split."""

import json

import numpy as np
import pytest
from PIL import Image

from lite_medsam.cases.adapters import Options, open_adapter
from lite_medsam.cases.adapters.tjdr import COLOURS, NAMES
from lite_medsam.cases.adapters.write import check_source, prepare_cases
from lite_medsam.cases.case import load_case
from lite_medsam.errors import CaseError

SIZE = 96
VOC = [0, 0, 0] + [c for colour in COLOURS for c in colour] + [0] * 753
POLYGONS = [
    ("EX", [[10, 10], [20, 10], [20, 18], [10, 18]]),
    ("HE", [[40.4, 40.2], [60.1, 44.7], [52.9, 63.3]]),
    ("MA", [[70, 20], [71, 20], [71, 21]]),
    ("SE", [[80, 70], [90, 72], [84, 88]]),
]


def drawn(polygons):
    from PIL import ImageDraw

    canvas = Image.new("L", (SIZE, SIZE))
    for label, points in polygons:
        value = {"EX": 1, "HE": 2, "MA": 3, "SE": 4}[label]
        ImageDraw.Draw(canvas).polygon([tuple(p) for p in points], fill=value, outline=value)
    return np.asarray(canvas)


def save(path, array, palette=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(array)
    if palette:
        image.putpalette(VOC)
    image.save(path)


def labelme(path, polygons, size=SIZE, extra=()):
    path.parent.mkdir(parents=True, exist_ok=True)
    shapes = [{"label": label, "points": points, "shape_type": "polygon"} for label, points in polygons]
    document = {"version": "5.1.1", "shapes": [*shapes, *extra], "imageHeight": size, "imageWidth": size}
    path.write_text(json.dumps(document), encoding="utf-8")


def fundus(seed):
    return np.random.default_rng(seed).integers(0, 256, (SIZE, SIZE, 3), np.uint8)


def add(root, part, number, polygons=POLYGONS, kind="palette", seed=None):
    name = f"TJDR_{part}_{number:03d}"
    seed = seed if seed is not None else number + 100 * (part == "test")
    save(root / part / "image" / f"{name}.png", fundus(seed))
    annotation = root / part / "annotation" / name
    label = drawn(polygons)
    if kind == "palette":
        save(annotation.with_suffix(".png"), label, palette=True)
    elif kind == "colour":
        save(annotation.with_suffix(".png"), np.array([(0, 0, 0), *COLOURS], np.uint8)[label])
    elif kind == "grey":
        save(annotation.with_suffix(".png"), label)
    elif kind == "json":
        labelme(annotation.with_suffix(".json"), polygons)
    return root / part / "annotation" / f"{name}.png"


def run(root, **options):
    adapter = open_adapter("tjdr", root, Options(**options))
    return check_source(adapter, adapter.settings)


def label_of(root, **options):
    adapter = open_adapter("tjdr", root, Options(**options))
    (item,) = adapter.find().items
    return adapter.read(item).case.label


@pytest.mark.parametrize("kind", ["palette", "colour", "grey", "json"])
def test_all_kinds_of_annotation_give_the_same_label(tmp_path, kind):
    add(tmp_path, "train", 1, kind=kind)
    label = label_of(tmp_path)
    assert np.array_equal(label, drawn(POLYGONS))
    assert set(np.unique(label)) == {0, 1, 2, 3, 4}
    assert (label == 3).sum() >= 2  # the microaneurysm of a pixel or two


def test_names_parts_and_counts(tmp_path):
    add(tmp_path, "train", 1)
    add(tmp_path, "test", 1)
    found = run(tmp_path)
    assert not found.all_problems
    assert [(f.name, f.split) for f in found.facts] == [
        ("2D_Fundus_tjdr_TJDR_test_001", "test"),
        ("2D_Fundus_tjdr_TJDR_train_001", "train"),
    ]
    assert found.facts[0].objects == dict.fromkeys(NAMES.values(), 1)
    assert found.facts[0].size == (SIZE, SIZE)


def test_numbers_alone_as_names_stay_apart(tmp_path):
    for part, seed in (("train", 1), ("test", 2)):
        save(tmp_path / part / "image" / "001.png", fundus(seed))
        save(tmp_path / part / "annotation" / "001.png", drawn(POLYGONS), palette=True)
    assert sorted(f.name for f in run(tmp_path).facts) == ["2D_Fundus_tjdr_test_001", "2D_Fundus_tjdr_train_001"]


def test_json_beside_the_image_or_in_a_folder_of_its_own(tmp_path):
    save(tmp_path / "a" / "train" / "image" / "x.png", fundus(1))
    labelme(tmp_path / "a" / "train" / "image" / "x.json", POLYGONS)
    save(tmp_path / "b" / "train" / "image" / "x.png", fundus(1))
    labelme(tmp_path / "b" / "train" / "json" / "x.json", POLYGONS)
    assert np.array_equal(label_of(tmp_path / "a"), label_of(tmp_path / "b"))


def test_disagreement_of_the_two_is_counted(tmp_path):
    add(tmp_path, "train", 1)
    labelme(tmp_path / "train" / "annotation" / "TJDR_train_001.json", POLYGONS)
    assert not run(tmp_path).all_problems
    labelme(tmp_path / "train" / "annotation" / "TJDR_train_001.json", POLYGONS[:2])
    missing = int((drawn(POLYGONS) > 2).sum())
    (problem,) = run(tmp_path).all_problems
    assert problem.kind == "label-disagreement"
    assert f"in {missing} pixels" in problem.message
    assert label_of(tmp_path).max() == 4
    assert label_of(tmp_path, annotation="json").max() == 2
    with pytest.raises(CaseError, match="annotation must be"):
        run(tmp_path, annotation="xml")


def test_shapes_without_area_are_counted_as_dropped(tmp_path):
    save(tmp_path / "train" / "image" / "x.png", fundus(1))
    extra = [
        {"label": "MA", "points": [[3, 3]], "shape_type": "point"},
        {"label": "EX", "points": [[200, 200], [210, 200], [210, 210]], "shape_type": "polygon"},
        {"label": "HE", "points": [[30, 80], [34, 80]], "shape_type": "circle"},
        {"label": "SE", "points": [[2, 90], [6, 94]], "shape_type": "rectangle"},
    ]
    labelme(tmp_path / "train" / "image" / "x.json", POLYGONS, extra=extra)
    facts = run(tmp_path).facts[0]
    assert {(d.label, d.count, d.reason.split()[0]) for d in facts.drops} == {("MA", 1, "a"), ("EX", 1, "covered")}
    assert facts.objects["haemorrhage (HE)"] == 2
    assert facts.objects["soft exudate (SE)"] == 2
    assert facts.problems[0].kind == "dropped-objects"


def test_tiny_lesions_survive_and_every_loss_is_counted(tmp_path):
    rng = np.random.default_rng(3)
    label = np.zeros((SIZE * 8, SIZE * 8), np.uint8)
    for y, x in rng.integers(0, 95, (60, 2)) * 8 + 3:
        label[y : y + 2, x : x + 2] = 3
    save(tmp_path / "train" / "image" / "x.png", np.tile(fundus(1)[:1], (SIZE * 8, 8, 1)))
    save(tmp_path / "train" / "annotation" / "x.png", label, palette=True)
    whole = run(tmp_path).facts[0]
    assert whole.size == label.shape, "nothing is resized unless asked for"
    wanted = whole.objects[NAMES[3]]
    for longest in (256, 192, 96):
        facts = run(tmp_path, resize_px=longest).facts[0]
        assert facts.size == (longest, longest)
        assert facts.objects[NAMES[3]] + sum(d.count for d in facts.drops) == wanted
        assert facts.objects[NAMES[3]] > 0.75 * wanted
        assert [p.kind for p in facts.problems] == (["dropped-objects"] if facts.drops else [])


def test_an_image_in_both_published_parts_stays_in_test_only(tmp_path):
    for number in (1, 2, 3):
        add(tmp_path / "raw", "train", number, seed=number)
    add(tmp_path / "raw", "test", 23, POLYGONS[:2], seed=1)  # train 1 again, annotated differently
    add(tmp_path / "raw", "train", 4, POLYGONS[:3], seed=2)  # train 2 again
    found = run(tmp_path / "raw")
    assert sorted((p.kind, p.path.rsplit("/", 1)[1]) for p in found.all_problems) == [
        ("duplicate", "TJDR_train_004.png"),
        ("same-image-in-two-splits", "TJDR_train_001.png"),
    ]
    adapter = open_adapter("tjdr", tmp_path / "raw")
    report = prepare_cases(adapter, adapter.settings, tmp_path / "out")
    assert not report.errors
    assert report.split.parts == {
        "train": tuple(f"2D_Fundus_tjdr_TJDR_train_00{n}" for n in (2, 3, 4)),
        "test": ("2D_Fundus_tjdr_TJDR_test_023",),
    }
    assert not (tmp_path / "out" / "train" / "2D_Fundus_tjdr_TJDR_train_001.npz").exists()
    case = load_case(tmp_path / "out" / "test" / "2D_Fundus_tjdr_TJDR_test_023.npz")
    assert case.label_names == NAMES
    assert case.image.shape == (SIZE, SIZE, 3)


def test_planted_faults_are_reported_file_by_file(tmp_path):
    for number in range(1, 8):
        add(tmp_path, "train", number, seed=number)
    annotation = tmp_path / "train" / "annotation"
    save(annotation / "TJDR_train_002.png", drawn(POLYGONS)[:90], palette=True)
    bad = drawn(POLYGONS).copy()
    bad[0, 0] = 9
    save(annotation / "TJDR_train_003.png", bad, palette=True)
    (annotation / "TJDR_train_004.png").unlink()
    labelme(annotation / "TJDR_train_004.json", POLYGONS, size=SIZE + 1)
    (annotation / "TJDR_train_005.png").unlink()
    labelme(annotation / "TJDR_train_005.json", [("vessel", [[1, 1], [5, 5], [1, 5]])])
    (annotation / "TJDR_train_006.png").unlink()
    (annotation / "TJDR_train_006.json").write_text('{"shapes": [', encoding="utf-8")
    (annotation / "TJDR_train_007.png").unlink()
    found = run(tmp_path)
    assert sorted((p.path[-7:-4], p.kind) for p in found.all_problems) == [
        ("002", "size-mismatch"),
        ("003", "unexpected-labels"),
        ("004", "size-mismatch"),
        ("005", "unexpected-labels"),
        ("006", "unreadable"),
        ("007", "unpaired-image"),
    ]
    assert [f.is_usable for f in found.facts] == [True] + [False] * 5


def test_another_tree_is_explained(tmp_path):
    save(tmp_path / "a.png", fundus(1))
    with pytest.raises(CaseError, match="RAW/train/image"):
        run(tmp_path)
