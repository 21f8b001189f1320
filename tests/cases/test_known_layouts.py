"""Known sets as people have them on disk pair by themselves; those that are not read are recognised."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from lite_medsam.cases.adapters import Options, open_adapter
from lite_medsam.cases.adapters.layouts import bare_stems, folder_kind, place_of
from lite_medsam.cases.adapters.write import check_source
from lite_medsam.cases.case import load_case
from lite_medsam.cli.prepare import command
from lite_medsam.errors import CaseError

Y, X = np.mgrid[:48, :64]
FIRST, SECOND = (X - 20) ** 2 + (Y - 20) ** 2 <= 64, (X - 44) ** 2 + (Y - 28) ** 2 <= 100
NEIGHBOUR = (X >= 28) & (X < 36) & (Y >= 16) & (Y < 24) & ~FIRST  # touches the first


def save(path, array, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.asarray(array)
    Image.fromarray(array.astype(np.uint8) if array.dtype != bool else array.astype(np.uint8) * 255).save(
        path, **options
    )


def picture(seed, channels=3):
    shape = (48, 64, 3) if channels == 3 else (48, 64)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def cases(root, **options):
    """Cases by image file; nothing may be an error."""
    adapter = open_adapter("image-folder", root, Options(**options))
    found = check_source(adapter, adapter.settings)
    assert not found.errors, found.errors
    return {item.image.relative_to(root).as_posix(): adapter.read(item).case for item in adapter.find().items}, found


def kinds(found):
    return sorted((p.kind, p.path) for p in found.all_problems)


def test_nnunet(tmp_path):
    save(tmp_path / "imagesTr/case_1_0000.png", picture(1))
    save(tmp_path / "imagesTr/case_2_0000.png", picture(2))
    save(tmp_path / "labelsTr/case_1.png", FIRST * 1 + SECOND * 2)
    save(tmp_path / "labelsTr/case_2.png", FIRST * 2 + SECOND * 3)
    save(tmp_path / "imagesTs/case_9_0000.png", picture(9))
    labels = {"background": 0, "disc": 1, "cup": 2, "both": [1, 2], "ignore": 3}
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": labels, "channel_names": {"0": "rgb"}}))
    found, report = cases(tmp_path, dataset="set", modality="Fundus")
    assert {case.name for case in found.values()} == {"2D_Fundus_set_case_1", "2D_Fundus_set_case_2"}
    first, second = found.values()
    assert first.label_names == {1: "disc", 2: "cup"}
    assert np.array_equal(first.label, FIRST * 1 + SECOND * 2) and np.array_equal(second.label, FIRST * 2)
    assert ("unlabelled-part", "imagesTs") in kinds(report)
    assert ("stray-file", "dataset.json") not in kinds(report)  # it was read
    (tmp_path / "dataset.json").write_text('{"labels": ')
    found, report = cases(tmp_path)
    assert len(found) == 2 and ("stray-file", "dataset.json") in kinds(report)


def test_nnunet_with_a_file_for_each_channel(tmp_path):
    for channel in range(3):
        save(tmp_path / f"D1/imagesTr/a_{channel:04d}.png", picture(channel, 1))
    save(tmp_path / "D1/labelsTr/a.png", FIRST * 1)
    found, report = cases(tmp_path)
    assert np.array_equal(found["D1/imagesTr/a_0000.png"].image, picture(0, 1))
    assert ("left-out-channels", "D1/imagesTr/a_0000.png") in kinds(report)
    found, _ = cases(tmp_path, image_regex=r"(.+)_0002$")
    assert np.array_equal(found["D1/imagesTr/a_0002.png"].image, picture(2, 1))
    names = {"labels": {"0": "background", "1": "disc"}, "channel_names": {"0": "R", "1": "G", "2": "B"}}
    (tmp_path / "D1/dataset.json").write_text(json.dumps(names))
    found, report = cases(tmp_path)
    case = found["D1/imagesTr/a_0000.png"]
    assert np.array_equal(case.image, np.dstack([picture(i, 1) for i in range(3)])) and case.label_names == {1: "disc"}
    assert "left-out-channels" not in {kind for kind, _ in kinds(report)}


def test_dsb_2018(tmp_path):
    for name, masks in (("0a1", (FIRST, NEIGHBOUR, SECOND)), ("ff2", (SECOND,))):
        save(tmp_path / f"stage1_train/{name}/images/{name}.png", picture(len(masks)))
        for number, mask in enumerate(masks):
            save(tmp_path / f"stage1_train/{name}/masks/{number}c7.png", mask)
    found, report = cases(tmp_path)
    assert np.array_equal(found["stage1_train/0a1/images/0a1.png"].label, FIRST * 1 + NEIGHBOUR * 2 + SECOND * 3)
    assert np.array_equal(found["stage1_train/ff2/images/ff2.png"].label, SECOND)
    assert not report.all_problems
    adapter = open_adapter("image-folder", tmp_path, Options(instances=True))
    facts = {f.file: f.objects for f in check_source(adapter, adapter.settings).facts}
    assert sum(facts["stage1_train/0a1/images/0a1.png"].values()) == 3  # neighbours that touch stay two
    save(tmp_path / "stage1_test/9e/images/9e.png", picture(5))
    _, report = cases(tmp_path)
    assert kinds(report) == [("unlabelled-part", "stage1_test")]
    found, report = cases(tmp_path, labels="binary")
    assert found["stage1_train/0a1/images/0a1.png"].label.max() == 1


def test_busi(tmp_path):
    root = tmp_path / "Dataset_BUSI_with_GT"
    save(root / "benign/benign (1).png", picture(1))
    save(root / "benign/benign (1)_mask.png", FIRST)
    save(root / "benign/benign (1)_mask_1.png", SECOND)
    save(root / "benign/benign (10).png", picture(10))
    save(root / "benign/benign (10)_mask.png", NEIGHBOUR)
    save(root / "normal/normal (1).png", picture(2))
    save(root / "normal/normal (1)_mask.png", np.zeros_like(FIRST))
    found, report = cases(root)
    assert np.array_equal(found["benign/benign (1).png"].label, FIRST | SECOND)
    assert np.array_equal(found["benign/benign (10).png"].label, NEIGHBOUR)
    assert kinds(report) == [("empty-mask", "normal/normal (1).png")]


RINGS = np.where((X - 18) ** 2 + (Y - 20) ** 2 <= 16, 0, np.where(FIRST, 128, 255))
DISC_ONLY = np.where(SECOND, 128, 255)


def refuge(root):
    save(root / "REFUGE-Training400/Training400/Glaucoma/g0001.jpg", picture(1))
    save(root / "REFUGE-Training400/Training400/Non-Glaucoma/n0001.jpg", picture(2))
    save(root / "Annotation-Training400/Disc_Cup_Masks/Glaucoma/g0001.bmp", RINGS)
    save(root / "Annotation-Training400/Disc_Cup_Masks/Non-Glaucoma/n0001.bmp", DISC_ONLY)


@pytest.mark.parametrize("options", [{}, {"ignore_label": 255}, {"order": ((255, ""), (128, "disc"), (0, "cup"))}])
def test_refuge_has_its_ground_outside(tmp_path, options):
    refuge(tmp_path)
    found, report = cases(tmp_path, **options)
    case = found["REFUGE-Training400/Training400/Glaucoma/g0001.jpg"]
    assert np.array_equal(case.label, np.where(RINGS == 0, 2, RINGS == 128))
    names = {1: "disc", 2: "cup"} if "order" in options else {1: "optic disc", 2: "optic cup"}
    assert case.label_names == names
    other = found["REFUGE-Training400/Training400/Non-Glaucoma/n0001.jpg"]
    assert np.array_equal(other.label, SECOND)
    notes = [p.message for p in report.all_problems if p.kind == "mask-values"]
    assert len(notes) == ("order" not in options)
    assert all("--values 255,128,0" in note for note in notes)


def test_black_around_is_no_order(tmp_path):
    save(tmp_path / "images/a.png", picture(1))
    save(tmp_path / "masks/a.png", np.where(FIRST & (X < 22), 255, FIRST * 128))
    adapter = open_adapter("image-folder", tmp_path, Options())
    (problem,) = check_source(adapter, adapter.settings).errors
    assert problem.kind == "unexpected-labels" and "--values 255=ground" not in problem.message


@pytest.mark.parametrize("lesion", [1, 128])
def test_lesions_in_a_field_of_view_are_no_order(tmp_path, lesion):
    view = np.where((X - 32) ** 2 + (Y - 24) ** 2 <= 23**2, 0, 255)  # 255 is what the camera does not see
    for x, y in ((20, 20), (30, 30), (40, 20), (36, 36), (28, 12)):
        view[y - 2 : y + 3, x - 2 : x + 3] = lesion
    save(tmp_path / "images/a.png", picture(1))
    save(tmp_path / "masks/a.png", view)
    adapter = open_adapter("image-folder", tmp_path, Options())
    assert [p.kind for p in check_source(adapter, adapter.settings).errors] == ["unexpected-labels"]
    found, _ = cases(tmp_path, ignore_label=255)
    assert np.array_equal(found["images/a.png"].label, np.where(view == lesion, lesion, 0))


def test_advice_for_a_white_ground_never_makes_the_inside_background(tmp_path):
    save(tmp_path / "images/a.png", picture(1))
    outside = np.where(FIRST, 100, 255)
    outside[:, :6] = 0  # so 0 is outside too, and nothing can be told
    save(tmp_path / "masks/a.png", outside)
    adapter = open_adapter("image-folder", tmp_path, Options())
    (problem,) = check_source(adapter, adapter.settings).errors
    assert "--values 255=ground,100=NAME,0=NAME" in problem.message and "--ignore-label" not in problem.message


def test_an_inverted_mask_is_asked_about(tmp_path):
    save(tmp_path / "images/a.png", picture(1))
    save(tmp_path / "masks/a.png", ~FIRST)
    _, report = cases(tmp_path)
    (note,) = [p.message for p in report.all_problems]
    assert "--values 255=ground,0=NAME" in note
    found, report = cases(tmp_path, order=((255, "ground"), (0, "lesion")))
    assert np.array_equal(found["images/a.png"].label, FIRST) and not report.all_problems
    assert found["images/a.png"].label_names == {1: "lesion"}


@pytest.mark.parametrize("quality", [75, 95])
def test_an_order_reads_jpegs_where_they_crowd(tmp_path, quality):
    save(tmp_path / "images/a.png", picture(1))
    big = np.kron(RINGS, np.ones((4, 4)))
    save(tmp_path / "images/a.png", np.kron(picture(1, 1), np.ones((4, 4))))
    save(tmp_path / "masks/a.jpg", big, quality=quality)
    found, _ = cases(tmp_path, order=((255, "ground"), (128, "disc"), (0, "cup")))
    wanted = np.where(big == 0, 2, big == 128)
    assert np.mean(found["images/a.png"].label != wanted) < 0.02
    adapter = open_adapter("image-folder", tmp_path, Options())
    assert [p.kind for p in check_source(adapter, adapter.settings).errors] == ["unexpected-labels"]


def test_isic(tmp_path):
    for name in ("ISIC_0000001", "ISIC_0000002"):
        save(tmp_path / f"ISIC-2017_Training_Data/{name}.jpg", picture(int(name[-1])))
        save(tmp_path / f"ISIC-2017_Training_Data/{name}_superpixels.png", picture(7))
        save(tmp_path / f"ISIC-2017_Training_Part1_GroundTruth/{name}_segmentation.png", FIRST)
    found, report = cases(tmp_path)
    assert len(found) == 2 and all(np.array_equal(case.label, FIRST) for case in found.values())
    assert {kind for kind, _ in kinds(report)} <= {"stray-file", "mirrored-copy"}
    assert sum(kind == "stray-file" for kind, _ in kinds(report)) == 2


def test_endings_pair_across_folders_that_say_nothing(tmp_path):
    for name in ("ISIC_1", "ISIC_2"):
        save(tmp_path / f"inputs/{name}.jpg", picture(int(name[-1])))
        save(tmp_path / f"outputs/{name}_segmentation.png", FIRST if name[-1] == "1" else SECOND)
    found, _ = cases(tmp_path)
    assert np.array_equal(found["inputs/ISIC_2.jpg"].label, SECOND) and len(found) == 2


def test_cvc_clinicdb(tmp_path):
    for number in (1, 2, 10):
        save(tmp_path / f"CVC-ClinicDB/Original/{number}.tif", picture(number))
        save(tmp_path / f"CVC-ClinicDB/Ground Truth/{number}.tif", FIRST if number == 1 else SECOND)
    found, _ = cases(tmp_path)
    assert np.array_equal(found["CVC-ClinicDB/Original/1.tif"].label, FIRST)
    assert np.array_equal(found["CVC-ClinicDB/Original/10.tif"].label, SECOND)


def test_kvasir_seg(tmp_path):
    for name in ("cju0", "cju1"):
        save(tmp_path / f"images/{name}.jpg", np.kron(picture(ord(name[3]), 1), np.ones((3, 3))), quality=95)
        save(tmp_path / f"masks/{name}.jpg", np.kron(SECOND, np.ones((3, 3), bool)), quality=75)
    (tmp_path / "kavsir_bboxes.json").write_text("{}")
    found, report = cases(tmp_path)
    assert all(np.array_equal(case.label, np.kron(SECOND, np.ones((3, 3), int))) for case in found.values())
    assert ("stray-file", "kavsir_bboxes.json") in kinds(report)
    assert sum(kind == "soft-mask" for kind, _ in kinds(report)) == 2


def test_folders_that_end_in_what_they_hold(tmp_path):
    save(tmp_path / "trainval-image/0001.jpg", picture(1))
    save(tmp_path / "trainval-mask/0001.jpg", np.kron(SECOND, np.ones((1, 1), bool)))
    save(tmp_path / "test-image/0001.jpg", picture(2))
    save(tmp_path / "test-mask/0001.jpg", FIRST)
    found, _ = cases(tmp_path)
    assert len(found) == 2
    assert np.mean(found["test-image/0001.jpg"].label != FIRST) < 0.01


@pytest.mark.parametrize(
    ("name", "kind", "place"),
    [
        ("Ground Truth", "mask", ()),
        ("ISIC2018_Task1_Training_GroundTruth", "mask", ("ISIC2018_Task1_Training",)),
        ("REFUGE-Validation400-GT", "mask", ("REFUGE-Validation400",)),
        ("imagesTr", "image", ()),
        ("train_images", "image", ("train",)),
        ("TrainMasks", "mask", ("Train",)),
        ("p1", None, ("p1",)),
        ("images2", None, ("images2",)),
    ],
)
def test_words_of_folders(name, kind, place):
    assert folder_kind(name) == kind and place_of((name,)) == place


def test_endings_of_masks():
    assert bare_stems("a_mask_12") == ["a"] and bare_stems("x_Segmentation") == ["x"] and bare_stems("b-mask2") == ["b"]
    assert bare_stems("_mask") == [] and bare_stems("unmask") == []


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (["imagesTr/a.nii.gz", "labelsTr/a.nii.gz"], "Medical Segmentation Decathlon"),
        (["TRAIN_Cirrus/a1/oct.mhd", "TRAIN_Cirrus/a1/oct.raw", "TRAIN_Cirrus/a1/reference.mhd"], "RETOUCH"),
        (["Subject_01.mat"], "Duke"),
        (["x/a.nii"], "NIfTI"),
        (["x/a.dcm"], "DICOM"),
    ],
)
def test_sets_that_are_not_read_are_recognised(tmp_path, files, words):
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    adapter = open_adapter("image-folder", tmp_path, Options())
    with pytest.raises(CaseError, match=words) as caught:
        adapter.find()
    assert any(word in str(caught.value) for word in ("npz", "PNG", "take the adapter"))
    assert "\n" not in str(caught.value)


def test_labels_that_no_mask_holds_are_named(tmp_path):
    save(tmp_path / "images/a.png", picture(1))
    save(tmp_path / "masks/a.png", FIRST * 2)
    _, report = cases(tmp_path, names={2: "cyst", 5: "drusen"}, expect=(2, 7), ignore_label=9)
    notes = " ".join(p.message for p in report.all_problems if p.kind == "mask-values")
    assert "--name names 5" in notes and "--expect names 7" in notes and "--ignore-label names 9" in notes


def test_masks_that_overlap_are_counted(tmp_path):
    save(tmp_path / "a.png", picture(1))
    save(tmp_path / "a_mask.png", FIRST * 1)
    save(tmp_path / "a_mask_1.png", (FIRST & (X < 22)) * 2)
    _, report = cases(tmp_path)
    (problem,) = report.all_problems
    assert problem.kind == "overlapping-masks" and f"{np.count_nonzero(FIRST & (X < 22))} pixels" in problem.message


def test_colours_with_soft_edges_are_refused_whatever_their_number(tmp_path):
    rgb = np.zeros((48, 64, 3))
    rgb[FIRST], rgb[SECOND] = (200, 0, 0), (0, 200, 0)
    save(tmp_path / "images/a.png", picture(1)[::2, ::2])
    save(tmp_path / "masks/a.png", rgb.reshape(24, 2, 32, 2, 3).mean(axis=(1, 3)))
    adapter = open_adapter("image-folder", tmp_path, Options())
    with pytest.raises(CaseError, match="nearest neighbour"):
        adapter.find()
    save(tmp_path / "masks/a.png", rgb[::2, ::2])
    found, _ = cases(tmp_path)
    assert found["images/a.png"].label_names == {1: "#00c800", 2: "#c80000"}


@pytest.mark.parametrize("text", ["255", "255=a,255=b", "x=a,0=b", "255=a,", "-1=a,0=b"])
def test_orders_that_are_none_are_refused_in_one_line(tmp_path, text):
    done = CliRunner().invoke(command, ["image-folder", "-i", str(tmp_path), "--check", "--values", text])
    assert (
        done.exit_code == 2 and "--values must be two values or more such as 255=ground,128=disc,0=cup" in done.output
    )


def test_the_order_of_values_on_the_command_line(tmp_path):
    refuge(tmp_path / "raw")
    out = tmp_path / "cases"
    words = ["image-folder", "-i", tmp_path / "raw", "-o", out, "-q", "--values", "255=ground, 128=disc, 0=cup"]
    done = CliRunner().invoke(command, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    case = load_case(next(out.rglob("*g0001.npz")))
    assert case.label_names == {1: "disc", 2: "cup"} and np.array_equal(case.label == 2, RINGS == 0)
    with pytest.raises(CaseError, match="order of values can't go with"):
        open_adapter("image-folder", tmp_path / "raw", Options(order=((255, ""), (0, "")), mask_threshold=5))
