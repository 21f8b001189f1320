"""lag: the diagnosis is metadata, the attention map a region by a stated threshold, never a lesion."""

import cv2
import numpy as np
import pytest
from PIL import Image

from lite_medsam.cases.adapters import Options, open_adapter
from lite_medsam.cases.adapters.write import check_source, prepare_cases
from lite_medsam.cases.case import load_case
from lite_medsam.errors import CaseError

SIZE = 120


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, quality=95)


def attention(cx=20, cy=16, size=28, peak=250):
    y, x = np.mgrid[:size, :size]
    return (peak * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 20)).astype(np.uint8)


def add(root, kind, stem, attention_map=None, text=None, number=None):
    seed = sum(map(ord, kind + stem))
    save(root / kind / "image" / f"{stem}.jpg", np.random.default_rng(seed).integers(0, 255, (SIZE, SIZE, 3), np.uint8))
    if attention_map is not None:
        save(root / kind / "attention_map" / f"{stem}.jpg", attention_map)
    if text is not None:
        path = root / kind / "label" / f"{number or stem}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def opened(root, **options):
    return open_adapter("lag", root, Options(**options))


def run(root, **options):
    adapter = opened(root, **options)
    return check_source(adapter, adapter.settings)


@pytest.fixture
def database(tmp_path):
    root = tmp_path / "raw" / "LAG_database_part_1"
    add(root, "non_glaucoma", "0001", attention(), "0\n")
    add(root, "suspicious_glaucoma", "0005", attention(8, 9), "1")
    add(root, "suspicious_glaucoma", "image12", attention(), "1", number="0012")
    return tmp_path / "raw"


def test_diagnosis_and_region(database, tmp_path):
    adapter = opened(database)
    report = prepare_cases(adapter, adapter.settings, tmp_path / "out")
    assert not report.all_problems
    assert sorted(p.stem for p in (tmp_path / "out").glob("*.npz")) == [
        "2D_Fundus_lag_non-glaucoma_0001",
        "2D_Fundus_lag_suspicious-glaucoma_0005",
        "2D_Fundus_lag_suspicious-glaucoma_image12",
    ]
    case = load_case(tmp_path / "out" / "2D_Fundus_lag_suspicious-glaucoma_0005.npz")
    assert case.metadata == {
        "diagnosis": "suspicious glaucoma",
        "diagnosis_from": "folder and label file",
        "label_is": "where ophthalmologists looked (attention map cut at a threshold), not a lesion",
        "attention_threshold": "0.5 of the map's maximum",
    }
    assert case.label_names == {1: "attention region (not a lesion)"}
    assert case.modality == "Fundus"
    healthy = load_case(tmp_path / "out" / "2D_Fundus_lag_non-glaucoma_0001.npz")
    assert healthy.metadata["diagnosis"] == "no glaucoma"


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.8])
def test_the_region_is_where_the_enlarged_map_reaches_the_threshold(tmp_path, threshold):
    root = tmp_path / "LAG"
    add(root, "suspicious_glaucoma", "1")
    (root / "suspicious_glaucoma" / "attention_map").mkdir()
    Image.fromarray(attention()).save(root / "suspicious_glaucoma" / "attention_map" / "1.png")  # lossless: exact
    adapter = opened(tmp_path, attention_threshold=threshold)
    (item,) = adapter.find().items
    case = adapter.read(item).case
    expected = cv2.resize(attention().astype(np.float32), (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(case.label, expected >= threshold * expected.max())
    ys, xs = np.nonzero(case.label)
    scale = SIZE / 28
    assert abs(xs.mean() - (20.5 * scale - 0.5)) < 1.5 and abs(ys.mean() - (16.5 * scale - 0.5)) < 1.5
    assert case.metadata["attention_threshold"].startswith(f"{threshold:g} ")


def test_without_a_map_there_is_a_diagnosis_only(database, tmp_path):
    add(database / "LAG_database_part_1", "non_glaucoma", "0002", None, "0")
    found = run(database)
    assert [(p.kind, p.path.rsplit("/", 1)[1]) for p in found.all_problems] == [("no-attention-map", "0002.jpg")]
    assert not found.errors
    adapter = opened(database, unlabelled=True)
    prepare_cases(adapter, adapter.settings, tmp_path / "out")
    case = load_case(tmp_path / "out" / "2D_Fundus_lag_non-glaucoma_0002.npz")
    assert case.label is None and case.label_names is None
    assert case.metadata == {"diagnosis": "no glaucoma", "diagnosis_from": "folder and label file"}


def test_planted_faults_are_reported_file_by_file(tmp_path):
    root = tmp_path / "LAG"
    add(root, "non_glaucoma", "0001", attention(), "1")  # the file contradicts the folder
    add(root, "non_glaucoma", "0002", attention())  # no label file
    add(root, "non_glaucoma", "0003", np.full((28, 28), 3, np.uint8), "0")  # noise, no attention
    rainbow = np.zeros((28, 28, 3), np.uint8)
    rainbow[:14, :, 0], rainbow[14:, :, 2] = 255, 255
    add(root, "non_glaucoma", "0004", rainbow, "0")
    add(root, "non_glaucoma", "0006", attention(), "yes")
    save(root / "non_glaucoma" / "attention_map" / "0099.jpg", attention())
    found = run(tmp_path)
    assert sorted((p.kind, p.path.rsplit("/", 1)[1]) for p in found.all_problems) == [
        ("diagnosis-mismatch", "0001.jpg"),
        ("diagnosis-mismatch", "0006.jpg"),
        ("empty-mask", "0003.jpg"),
        ("faint-map", "0003.jpg"),
        ("no-label-file", "0002.jpg"),
        ("unexpected-labels", "0004.jpg"),
        ("unpaired-mask", "0099.jpg"),
    ]
    assert len(found.errors) == 4


def test_another_tree_and_a_senseless_threshold_are_explained(tmp_path):
    with pytest.raises(CaseError, match="suspicious_glaucoma"):
        run(tmp_path)
    for threshold in (0, 1.5):
        with pytest.raises(CaseError, match="attention threshold"):
            opened(tmp_path, attention_threshold=threshold)
