"""image-folder: which mask belongs to which image, groups, parts, names, and damage that stops no other."""

import numpy as np
import pytest
from image_folders import LABEL, cases, kinds, picture, report, write

from lite_medsam.cases.adapters import Options, open_adapter
from lite_medsam.cases.adapters.naming import case_names
from lite_medsam.cases.adapters.write import prepare_cases
from lite_medsam.errors import CaseError


@pytest.mark.parametrize(
    ("image", "mask", "options"),
    [
        ("images/a.png", "masks/a.png", {}),
        ("images/a.jpg", "masks/a_mask.png", {}),
        ("image/a.bmp", "label/a_segmentation.png", {}),
        ("train/images/a.png", "train/masks/a.png", {}),
        ("images/train/a.png", "masks/train/a.png", {}),
        ("a.png", "a_mask.png", {}),
        ("p1/a.png", "p1/a-mask.png", {}),
        ("a.png", "seg_a_x.png", {"mask_prefix": "seg_", "mask_suffix": "_x"}),
        ("a.png", "a.truth.png", {"mask_suffix": ".truth"}),
        ("pics/a.png", "truth/a.png", {"masks": "truth"}),
        ("pics/deep/a.png", "truth/a.png", {"images": "pics", "masks": "truth"}),
        ("scan_007_left.png", "M7.png", {"image_regex": r"scan_0*(\d+)", "mask_regex": r"^M(?P<id>\d+)$"}),
        ("patient1/images/a.png", "patient1/masks/a.png", {}),
        ("images/patient1/a.png", "masks/a.png", {}),
        ("images/Train/A.PNG", "masks/train/a.png", {}),
    ],
)
def test_pairing_rules(tmp_path, image, mask, options):
    write(tmp_path / image, picture())
    write(tmp_path / mask, LABEL)
    found, listing = cases(tmp_path, **options)
    assert not listing.problems
    (case,) = found.values()
    assert np.array_equal(case.label, LABEL)
    assert case.image.shape == (20, 30)


def test_masks_outside_the_root(tmp_path):
    write(tmp_path / "raw" / "a.png", picture())
    write(tmp_path / "elsewhere" / "a.png", LABEL)
    found, _ = cases(tmp_path / "raw", masks=str(tmp_path / "elsewhere"))
    assert np.array_equal(next(iter(found.values())).label, LABEL)


def test_images_outside_the_root(tmp_path):
    write(tmp_path / "raw" / "masks" / "a.png", LABEL)
    write(tmp_path / "elsewhere" / "test" / "a.png", picture())
    found, listing = cases(tmp_path / "raw", images=str(tmp_path / "elsewhere"), group_regex="a")
    (case,) = found.values()
    assert np.array_equal(case.label, LABEL) and case.group == "a"
    assert listing.items[0].split is None


def test_same_names_in_patients_folders_pair_within_them(tmp_path):
    for patient in (1, 2):
        write(tmp_path / f"p{patient}" / "images" / "1.png", picture(patient))
        write(tmp_path / f"p{patient}" / "masks" / "1.png", LABEL * (patient == 2))
    found, _ = cases(tmp_path, dataset="set", modality="OCT", group_regex=r"(p\d+)/")
    assert set(found) == {"2D_OCT_set_p1_1", "2D_OCT_set_p2_1"}
    assert {name: case.group for name, case in found.items()} == {"2D_OCT_set_p1_1": "p1", "2D_OCT_set_p2_1": "p2"}
    assert not found["2D_OCT_set_p1_1"].label.any() and found["2D_OCT_set_p2_1"].label.any()


def test_what_does_not_pair_is_said(tmp_path):
    for name in ("a", "b", "c"):
        write(tmp_path / "images" / f"{name}.png", picture(ord(name)))
    for name in ("a", "x"):
        write(tmp_path / "masks" / f"{name}.png", LABEL)
    write(tmp_path / "images" / "c.jpg", picture())
    found = report(tmp_path)
    assert kinds(found) == [
        ("name-clash", "images/c.jpg"),
        ("name-clash", "images/c.png"),
        ("unpaired-image", "images/b.png"),
        ("unpaired-mask", "masks/x.png"),
    ]
    assert len(found.errors) == 4
    assert [facts.file for facts in found.facts] == ["images/a.png"]


def test_unlabelled_images_on_request(tmp_path):
    write(tmp_path / "images" / "a.png", picture(1))
    write(tmp_path / "images" / "b.png", picture(2))
    write(tmp_path / "masks" / "a.png", LABEL)
    found, listing = cases(tmp_path, unlabelled=True)
    assert not listing.problems
    assert [case.label is None for case in found.values()] == [False, True]


def test_size_mismatch_nan_and_damage_do_not_stop_the_others(tmp_path):
    for name in ("good", "size", "cut", "nan"):
        write(tmp_path / "images" / f"{name}.tif", picture(len(name)).astype(np.float32))
        write(tmp_path / "masks" / f"{name}.png", LABEL)
    write(tmp_path / "masks" / "size.png", LABEL[:, :20])
    image = picture(3).astype(np.float32)
    image[0, 0] = np.nan
    write(tmp_path / "images" / "nan.tif", image)
    data = (tmp_path / "masks" / "cut.png").read_bytes()
    (tmp_path / "masks" / "cut.png").write_bytes(data[: len(data) // 2])
    found = report(tmp_path)
    assert kinds(found) == [
        ("nan", "images/nan.tif"),
        ("size-mismatch", "images/size.tif"),
        ("unreadable", "images/cut.tif"),
    ]
    assert "30 x 20" in found.all_problems[-1].message and "20 x 20" in found.all_problems[-1].message
    assert [f.file for f in found.facts if f.is_usable] == ["images/good.tif"]


def test_several_masks_of_one_image_are_merged(tmp_path):
    first, second = LABEL.copy(), LABEL.copy()
    first[10:], second[:10] = 0, 0
    write(tmp_path / "a.png", picture())
    write(tmp_path / "a_mask.png", first * 255)
    write(tmp_path / "a_mask_1.png", second * 255)
    found, _ = cases(tmp_path, mask_regex=r"^(?P<id>.+)_mask(_\d+)?$")
    assert np.array_equal(next(iter(found.values())).label, LABEL)
    assert len(next(iter(report(tmp_path, mask_regex=r"^(?P<id>.+)_mask(_\d+)?$").facts)).label_files) == 2


def test_instances_join_diagonal_neighbours_and_are_counted(tmp_path):
    label = np.zeros((20, 30), np.uint8)
    label[2, 2] = label[3, 3] = label[4, 4] = 255  # one object, by its corners
    label[10:12, 10:12] = label[10:12, 13] = 255  # two
    write(tmp_path / "images" / "a.png", picture())
    write(tmp_path / "masks" / "a.png", label)
    found = report(tmp_path, instances=True, names={1: "cyst"})
    assert found.facts[0].objects == {"cyst": 3}
    assert report(tmp_path).facts[0].objects == {"1": 3}


def test_published_parts_are_seen(tmp_path):
    for part, folder in (("train", "Training Set"), ("test", "b. testing"), ("val", "validation")):
        write(tmp_path / folder / "images" / f"{part}.png", picture(len(part)))
        write(tmp_path / folder / "masks" / f"{part}.png", LABEL)
    items = open_adapter("image-folder", tmp_path).find().items
    assert {item.image.stem: item.split for item in items} == {"train": "train", "test": "test", "val": "val"}


def test_names_are_the_challenges_and_unique(tmp_path):
    for stem in ("a b", "A B", "x"):
        write(tmp_path / "my_set" / "images" / stem / "1.png", picture(len(stem)))
        write(tmp_path / "my_set" / "masks" / stem / "1.png", LABEL)
    found, _ = cases(tmp_path / "my_set", modality="Fundus")
    assert len({name.lower() for name in found}) == 3
    assert "2D_Fundus_my-set_x_1" in found


def test_very_long_names_are_cut_and_stay_apart():
    first, second = case_names(["ü" * 300 + "a", "ü" * 300 + "b"], "set", "OCT")
    assert first != second and first.startswith("2D_OCT_set_üüü")
    assert all(len(name.encode()) < 220 for name in (first, second))
    assert case_names(["CON/a:b?", "con/A-b-"], "set", None) == ["2D_unknown_set_CON_a-b-", "2D_unknown_set_con_A-b--2"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"modality": "oct"}, "modality must be one of"),
        ({"masks": "nowhere"}, "--masks must be a folder"),
        ({"group_regex": "("}, "must be a regular expression"),
        ({"labels": "rgb"}, "labels must be"),
        ({"annotation": "png"}, "annotation is nothing for the adapter image-folder"),
    ],
)
def test_wrong_options_are_refused_at_once(tmp_path, options, message):
    write(tmp_path / "images" / "a.png", picture())
    write(tmp_path / "masks" / "a.png", LABEL)
    with pytest.raises(CaseError, match=message):
        report(tmp_path, **options)


def test_an_empty_folder_says_what_was_looked_for(tmp_path):
    with pytest.raises(CaseError, match="must hold images"):
        report(tmp_path)
    with pytest.raises(CaseError, match="not there"):
        report(tmp_path / "nothing")
    with pytest.raises(CaseError, match="an adapter must be one of image-folder"):
        open_adapter("kaggle", tmp_path)


def test_a_mask_belongs_to_the_image_that_is_called_exactly_so(tmp_path):
    for name in ("two.png", "TWO.tif"):
        write(tmp_path / "images" / name, picture(len(name)))
    write(tmp_path / "masks/two_mask.png", LABEL)
    found = report(tmp_path, mask_suffix="_mask")
    assert kinds(found) == [("unpaired-image", "images/TWO.tif")]


def test_prefix_and_suffix_in_any_case_and_odd_letters(tmp_path):
    for name in ("Ärzte Müller 1", "UPPER", "b"):
        write(tmp_path / "images" / f"{name}.PNG", picture(len(name)))
    for name in ("Ärzte Müller 1_Mask.png", "UPPER_MASK.PNG", "b_mask.png"):
        write(tmp_path / "masks" / name, LABEL)
    found, listing = cases(tmp_path, mask_suffix="_mask")
    assert len(found) == 3 and not listing.problems and all(case.label.any() for case in found.values())


def test_nothing_is_passed_over_without_a_word(tmp_path):
    write(tmp_path / "images/a.png", picture())
    write(tmp_path / "masks/a_mask.png", LABEL)
    write(tmp_path / "masks/a_overlay.png", LABEL)
    (tmp_path / "masks/b_mask.heic").write_bytes(b"x")
    for name in (
        "images/notes.txt",
        "images/.hidden.png",
        "images/._a.png",
        "__MACOSX/images/x.png",
        "images/Thumbs.db",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found = report(tmp_path, mask_suffix="_mask")
    assert kinds(found) == [
        ("stray-file", "images/notes.txt"),
        ("stray-file", "masks/a_overlay.png"),
        ("unsupported", "masks/b_mask.heic"),
    ]
    assert len(found.facts) == 1 and found.facts[0].is_usable


def test_whatever_way_one_input_or_output_fails_the_others_are_done(tmp_path, monkeypatch):
    from lite_medsam.cases.adapters import image_folder, write

    for name in ("a", "b", "c"):
        write_pair(tmp_path / "raw", name)
    read, save = image_folder.read_image, write.save_case

    def odd(path):
        if path.stem == "a":
            raise RuntimeError("something that nobody thought of\nin two lines")
        return read(path)

    def full(path, case):
        if case.name.endswith("b"):
            raise OSError(36, "File name too long")
        save(path, case)

    monkeypatch.setattr(image_folder, "read_image", odd)
    monkeypatch.setattr(write, "save_case", full)
    adapter = open_adapter("image-folder", tmp_path / "raw", Options())
    found = prepare_cases(adapter, adapter.settings, tmp_path / "cases")
    assert kinds(found) == [("not-written", "images/b.png"), ("unreadable", "images/a.png")]
    assert "two lines" in next(p.message for p in found.errors if p.kind == "unreadable")
    assert [path.name for path in (tmp_path / "cases").glob("*.npz")] == ["2D_unknown_raw_c.npz"]
    monkeypatch.undo()
    again = prepare_cases(adapter, adapter.settings, tmp_path / "cases")
    assert not again.errors and (again.written, again.kept) == (2, 1)


def write_pair(root, name):
    write(root / "images" / f"{name}.png", picture(ord(name)))
    write(root / "masks" / f"{name}.png", LABEL)


def test_a_name_that_is_no_text_makes_a_case(tmp_path):
    import os

    name = os.fsdecode(b"caf\xe9")
    try:
        write_pair(tmp_path / "raw", "a")
        for kind in ("images", "masks"):
            (tmp_path / "raw" / kind / "a.png").rename(tmp_path / "raw" / kind / f"{name}.png")
    except OSError:
        pytest.skip("no such names here")
    adapter = open_adapter("image-folder", tmp_path / "raw", Options())
    found = prepare_cases(adapter, adapter.settings, tmp_path / "cases")
    assert not found.errors and found.written == 1
    assert "caf" in (tmp_path / "cases" / "manifest.csv").read_text(encoding="utf-8")
