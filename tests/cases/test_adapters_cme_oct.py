"""cme-oct: the published one-folder-per-scan tree and pooled ones, stray masks, mirrored copies, parts, patients."""

import numpy as np
import pytest
from PIL import Image

from lite_medsam.cases.adapters import Options, open_adapter
from lite_medsam.cases.adapters.cme_oct import mirror_key
from lite_medsam.cases.adapters.split import entries_of, make_split
from lite_medsam.cases.adapters.write import check_source, prepare_cases
from lite_medsam.cases.case import Case, load_case
from lite_medsam.errors import CaseError

RNG = np.random.default_rng(0)


def scan(shape=(60, 64)):
    return RNG.integers(0, 256, shape, np.uint8)


def cysts(*boxes, shape=(60, 64)):
    mask = np.zeros(shape, np.uint8)
    for x0, y0, x1, y1 in boxes:
        mask[y0:y1, x0:x1] = 1
    return mask


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **({"quality": 95} if path.suffix == ".jpeg" else {}))


def add(root, name, mask, mask_name=None, image=None):
    image = scan(mask.shape) if image is None else image
    write(root / name / "images" / f"{name}.jpeg", np.repeat(image[..., None], 3, axis=2))
    write(root / name / "masks" / f"{mask_name or name}.png", mask)
    return image


def run(root, **options):
    adapter = open_adapter("cme-oct", root, Options(**options))
    return check_source(adapter, adapter.settings)


@pytest.fixture
def published(tmp_path):
    """The archive's layout and names, with its known oddities."""
    root = tmp_path / "raw" / "2021-training-data-ZA" / "2021-training-data-ZA"
    original = add(root, "DME504", cysts((10, 10, 20, 18), (30, 30, 34, 40)))
    add(root, "809DME_F", cysts((10, 10, 20, 18), (30, 30, 34, 40))[:, ::-1], image=original[:, ::-1])
    add(root, "815DME_F", cysts((5, 5, 9, 11)))
    write(root / "815DME_F" / "masks" / "MASK-DME511.png", cysts((40, 40, 50, 50)))  # of another scan
    add(root, "dme_a129", cysts((20, 20, 28, 26)), "MASK-dme_a129")
    return tmp_path / "raw"


def test_the_published_tree(published):
    found = run(published, instances=True)
    assert not found.errors
    facts = {f.file.split("/")[-1]: f for f in found.facts}
    assert facts["DME504.jpeg"].objects == {"cystoid fluid": 2}
    assert facts["815DME_F.jpeg"].objects == {"cystoid fluid": 1}, "the stray mask must not count"
    assert all(f.modality == "OCT" and f.group is None for f in facts.values())
    assert facts["DME504.jpeg"].name == "2D_OCT_cme-oct_DME504"
    # the whole archive says "training"; that alone is no split of its own
    assert {f.split for f in found.facts} == {"train"}


def test_mirrored_copies_are_told_and_never_parted(published, tmp_path):
    found = run(published)
    (copy,) = [p for p in found.all_problems if p.kind == "mirrored-copy"]
    assert "DME504" in copy.path + copy.message and "809DME_F" in copy.path + copy.message
    (stray,) = [p for p in found.all_problems if p.kind == "stray-file"]
    assert stray.path.endswith("MASK-DME511.png")
    adapter = open_adapter("cme-oct", published)
    for seed in range(6):
        out = tmp_path / f"out{seed}"
        report = prepare_cases(adapter, adapter.settings, out, {"train": 0.5, "val": 0.5}, seed)
        split = report.split
        assert split.part_of("2D_OCT_cme-oct_DME504") == split.part_of("2D_OCT_cme-oct_809DME_F")
        assert len(split.parts) == 2


def test_a_scan_is_grey_and_its_label_0_and_1(published, tmp_path):
    adapter = open_adapter("cme-oct", published)
    prepare_cases(adapter, adapter.settings, tmp_path / "out")
    case = load_case(tmp_path / "out" / "train" / "2D_OCT_cme-oct_DME504.npz")
    assert case.image.shape == case.label.shape == (60, 64)
    assert set(np.unique(case.label)) == {0, 1}
    assert case.label_names == {1: "cystoid fluid"}
    copy = load_case(tmp_path / "out" / "train" / "2D_OCT_cme-oct_809DME_F.npz")
    assert case.metadata["copy_key"] == copy.metadata["copy_key"] == mirror_key(case.label)
    entries = entries_of([case, copy, Case(case.image[:30], name="other")])
    split = make_split(entries, {"train": 0.5, "val": 0.5})
    assert split.part_of(case.name) == split.part_of(copy.name), "even where the manifest is not at hand"


@pytest.mark.parametrize("folders", [("train/images", "train/masks"), ("train_images", "train_masks")])
def test_pooled_trees(tmp_path, folders):
    images, masks = folders
    for part in ("train", "test"):
        for n in (1, 2):
            mask = cysts((n * 5, n * 5, n * 5 + 8, n * 5 + 6 + len(part)))
            write(tmp_path / images.replace("train", part) / f"{part}{n}.jpeg", scan())
            write(tmp_path / masks.replace("train", part) / f"mask_{part}{n}.png", mask * 255)
    found = run(tmp_path)
    assert not found.all_problems
    assert [(f.split, len(f.label_files)) for f in found.facts] == [("test", 1)] * 2 + [("train", 1)] * 2


def test_the_two_hospitals_stay_apart(tmp_path):
    mask = cysts((10, 10, 20, 18))
    image = scan()
    add(tmp_path / "raw" / "test", "T1", mask, image=image)
    add(tmp_path / "raw" / "test", "T2", cysts((1, 1, 9, 9)))
    add(tmp_path / "raw" / "train", "DME1", mask[:, ::-1], image=image[:, ::-1])  # a mirrored test scan
    add(tmp_path / "raw" / "train", "DME2", cysts((30, 30, 40, 41)))
    add(tmp_path / "raw" / "train", "DME3", cysts((30, 30, 50, 41)))
    adapter = open_adapter("cme-oct", tmp_path / "raw")
    report = prepare_cases(adapter, adapter.settings, tmp_path / "out", {"train": 0.5, "val": 0.5})
    assert not report.errors
    assert [p.kind for p in report.all_problems] == ["copy-in-two-splits"]
    assert sorted(p.name for p in (tmp_path / "out").rglob("*.npz")) == [
        "2D_OCT_cme-oct_DME2.npz",
        "2D_OCT_cme-oct_DME3.npz",
        "2D_OCT_cme-oct_T1.npz",
        "2D_OCT_cme-oct_T2.npz",
    ]
    assert report.split.parts["test"] == ("2D_OCT_cme-oct_T1", "2D_OCT_cme-oct_T2")
    with pytest.raises(CaseError, match="publishes its own test part"):
        prepare_cases(adapter, adapter.settings, tmp_path / "out", {"train": 0.5, "test": 0.5})


def test_kermany_names_tell_the_patient(tmp_path):
    for n in (1, 2):
        add(tmp_path, f"DME-1072015-{n}", cysts((5, 5, 12, 12 + n)))
    assert {f.group for f in run(tmp_path).facts} == {"DME-1072015"}
    assert {f.group for f in run(tmp_path, group_regex=r"-(\d)$").facts} == {"1", "2"}


def test_planted_faults_are_reported_file_by_file(tmp_path):
    add(tmp_path, "DME1", cysts((5, 5, 12, 13)))
    add(tmp_path, "DME2", cysts((5, 5, 12, 14)) * 7)
    add(tmp_path, "DME3", cysts((5, 5, 12, 15)))
    write(tmp_path / "DME3" / "masks" / "DME3.png", cysts((5, 5, 12, 15), shape=(50, 64)))
    add(tmp_path, "DME4", cysts())
    write(tmp_path / "DME5" / "images" / "DME5.jpeg", scan())
    write(tmp_path / "DME6" / "masks" / "DME6.png", cysts((1, 1, 9, 9)))
    add(tmp_path, "DME7", cysts((5, 5, 12, 18)))
    (tmp_path / "DME7" / "images" / "DME7.jpeg").write_bytes(b"")
    found = run(tmp_path)
    assert sorted((p.kind, p.path.split("/")[0]) for p in found.all_problems) == [
        ("empty-mask", "DME4"),
        ("size-mismatch", "DME3"),
        ("unexpected-labels", "DME2"),
        ("unpaired-image", "DME5"),
        ("unpaired-mask", "DME6"),
        ("unreadable", "DME7"),
    ]
    assert "0, 7" in next(p.message for p in found.all_problems if p.kind == "unexpected-labels")
    assert len(found.errors) == 5


def test_another_tree_is_explained(tmp_path):
    write(tmp_path / "a.png", scan())
    with pytest.raises(CaseError, match=r"one folder per scan(.|\n)*image-folder adapter"):
        run(tmp_path)


def test_mirror_keys():
    mask = cysts((3, 4, 12, 13))
    mask[30:34, 40:50] = 1
    key = mirror_key(mask)
    assert key is not None
    assert {mirror_key(mask[:, ::-1]), mirror_key(mask[::-1]), mirror_key(mask[::-1, ::-1])} == {key}
    assert key not in (mirror_key(mask[:, :-1]), mirror_key(np.roll(mask, 1, axis=1)), mirror_key(mask.T))
    assert mirror_key(cysts((3, 3, 5, 5))) is None
