"""`prepare nifti` and `prepare dicom`: volumes with their labels, patients as hashes, nothing dropped in silence."""

import csv
import json
import zipfile

import numpy as np
import pytest

nibabel = pytest.importorskip("nibabel")
pydicom = pytest.importorskip("pydicom")
pytest.importorskip("highdicom")
from click.testing import CliRunner  # noqa: E402
from dicom_files import write, write_series  # noqa: E402
from pydicom.uid import generate_uid  # noqa: E402

from lite_medsam.cases.adapters.source import ItemError  # noqa: E402
from lite_medsam.cases.case import load_case  # noqa: E402
from lite_medsam.cli import group  # noqa: E402
from lite_medsam.jobs.prepare_nifti import label_on  # noqa: E402
from lite_medsam.results.dicom_seg import Algorithm, Segment, save_dicom_seg  # noqa: E402
from lite_medsam.scans.reading import load_volume  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")
SHAPE = (20, 16, 6)  # i, j, k
PLANTED = ("Doe^Jane", "SECRET77", "St. Nowhere", "JANE_DOE", "JANEFILE", "19700101")


def prepare(*args):
    return CliRunner().invoke(group, ["prepare", *map(str, args)])


def rows_of(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def nifti(path, array, affine):
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, affine), path)


def volume():
    return np.random.default_rng(0).integers(0, 500, SHAPE).astype(np.int16)


def blob():
    label = np.zeros(SHAPE, np.uint8)
    label[4:9, 3:8, 1:4], label[12:15, 2:6, 2:5] = 1, 2
    return label


def decathlon(root):
    affine = np.diag([-1.0, -1, 3, 1])
    nifti(root / "imagesTr" / "la_003.nii.gz", volume(), affine)
    nifti(root / "labelsTr" / "la_003.nii.gz", blob(), affine)
    turned = np.diag([1.0, -1, 3, 1])  # the label lies in another order than its image
    turned[0, 3] = -(SHAPE[0] - 1)
    nifti(root / "imagesTr" / "la_004_0000.nii.gz", volume()[::-1], affine)
    nifti(root / "labelsTr" / "la_004.nii.gz", blob(), turned)
    nifti(root / "imagesTs" / "la_009.nii.gz", volume(), affine)
    names = {"labels": {"0": "background", "1": "left atrium", "2": "cyst"}, "modality": {"0": "MRI"}}
    (root / "dataset.json").write_text(json.dumps(names))
    return root


def test_decathlon_and_nnunet(tmp_path):
    result = prepare("nifti", "-i", decathlon(tmp_path / "Task02"), "-o", tmp_path / "cases")
    assert result.exit_code == 0, result.output
    first, second = rows_of(tmp_path / "cases" / "manifest.csv")
    assert (first["modality"], first["group"], first["objects"]) == ("MR", "la_003", "left atrium=1;cyst=1")
    assert first["slice_positions_mm"] == "0;3;6;9;12;15"
    assert second["group"] == "la_004"
    one, two = (load_case(tmp_path / "cases" / f"{row['name']}.npz") for row in (first, second))
    assert one.label_names == {1: "left atrium", 2: "cyst"}
    assert one.spacing_mm == pytest.approx((3, 1, 1))
    assert np.array_equal(one.image, two.image[:, :, ::-1])
    assert np.array_equal(two.label, one.label[:, :, ::-1])  # in its own place, whatever way its file has it
    problems = rows_of(tmp_path / "cases" / "problems.csv")
    assert [p["file"] for p in problems if p["kind"] == "unlabelled-part"] == ["imagesTs/la_009.nii.gz"]


def test_labels_beside_and_what_does_not_fit(tmp_path):
    raw = tmp_path / "raw"
    nifti(raw / "sub-07" / "ses-1" / "a.nii.gz", volume(), np.eye(4))
    nifti(raw / "sub-07" / "ses-1" / "a_seg.nii.gz", blob(), np.eye(4))
    nifti(raw / "b.nii.gz", volume(), np.eye(4))
    nifti(raw / "b_seg.nii.gz", blob()[:-1], np.diag([2.0, 1, 1, 1]))
    nifti(raw / "c.nii.gz", volume(), np.eye(4))
    nifti(raw / "d_label.nii.gz", blob(), np.eye(4))
    nifti(raw / "e.nii.gz", np.stack([volume()] * 2, -1), np.eye(4))
    nifti(raw / "e_label.nii.gz", blob(), np.eye(4))
    result = prepare("nifti", "-i", raw, "-o", tmp_path / "cases")
    assert result.exit_code == 2
    kinds = {p["file"]: p["kind"] for p in rows_of(tmp_path / "cases" / "problems.csv") if p["severity"] == "error"}
    assert kinds == {"b.nii.gz": "size-mismatch", "c.nii.gz": "unpaired-image", "d_label.nii.gz": "unpaired-mask",
                     "e.nii.gz": "unreadable"}  # fmt: skip
    (row,) = rows_of(tmp_path / "cases" / "manifest.csv")
    assert row["group"] == "sub-07"
    assert "error: unreadable: e.nii.gz" in prepare("nifti", "-i", raw, "--check").output
    assert "error: unreadable: e.nii.gz" not in prepare("nifti", "-i", raw, "--check", "--frame", "0").output


def test_nan_is_the_background_of_labels(tmp_path):
    nifti(tmp_path / "a.nii.gz", volume(), np.eye(4))
    nifti(tmp_path / "a_seg.nii.gz", np.where(blob() == 0, np.nan, 4.0).astype(np.float32), np.eye(4))
    scan = load_volume(tmp_path / "a.nii.gz")
    found = label_on(scan, tmp_path / "a_seg.nii.gz")
    assert np.array_equal(scan.geometry.uncut(found), np.where(blob() == 0, 0, 4))
    nifti(tmp_path / "a_seg.nii.gz", np.array([-9999, 1], np.int16)[(blob() > 0).astype(int)], np.eye(4))
    with pytest.raises(ItemError, match="whole numbers from 0"):
        label_on(scan, tmp_path / "a_seg.nii.gz")


def clinic(root):
    """Two patients: one with a segmented, gappy series and a report; one unlabelled. Names everywhere."""
    study = {"StudyInstanceUID": generate_uid(), "FrameOfReferenceUID": generate_uid(), "PatientBirthDate": "19700101"}
    folder = root / "JANE_DOE"
    folder.mkdir(parents=True)
    write_series(folder / "ct", shape=(16, 20), SeriesInstanceUID=generate_uid(), SeriesNumber=3, **study)
    scan = load_volume(folder / "ct")
    labels = np.zeros(scan.values.shape, np.uint8)
    labels[1:4, 3:9, 4:10], labels[2, 12:15, 2:6] = 1, 2
    save_dicom_seg(folder / "JANEFILE_seg.dcm", labels, scan.geometry, scan.dicom,
                   [Segment("spleen"), Segment("cyst")], Algorithm("m", "ab" * 32, "1"))  # fmt: skip
    (folder / "JANEFILE.dcm").write_bytes(b"text\n" * 99)
    write_series(root / "other", shape=(16, 20), SeriesInstanceUID=generate_uid(), PatientID="SECRET77B", **study)
    return root, labels


def all_bytes(folder):
    found = b""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            found += path.name.encode() + path.read_bytes()
            if path.suffix == ".npz":
                with np.load(path) as arrays:
                    found += b"".join(str(arrays[key]).encode() for key in arrays if arrays[key].dtype.kind == "U")
    return found


def test_dicom_with_its_segmentation_and_nobody_named(tmp_path):
    raw, labels = clinic(tmp_path / "raw")
    out = tmp_path / "cases"
    result = prepare("dicom", "-i", raw, "-o", out, "--unlabelled")
    assert result.exit_code == 2  # the damaged file
    rows = rows_of(out / "manifest.csv")
    assert len(rows) == 2
    assert len({row["group"] for row in rows}) == 2
    (row,) = [row for row in rows if row["labels"]]
    assert row["objects"] == "spleen=1;cyst=1"
    assert row["slice_positions_mm"] == "0;2.5;5;7.5;10"
    case = load_case(out / f"{row['name']}.npz")
    assert np.array_equal(case.label, labels)
    assert (case.modality, case.is_volume, case.group) == ("CT", True, row["group"])
    for planted in PLANTED:
        assert planted.encode() not in all_bytes(out), planted
        assert planted not in result.output, planted
    again = prepare("dicom", "-i", raw, "-o", out, "--unlabelled")
    assert "0 cases written, 2 were there" in again.output


def test_the_mapping_is_written_only_when_asked(tmp_path):
    raw, _ = clinic(tmp_path / "raw")
    inside = prepare("dicom", "-i", raw, "-o", tmp_path / "cases", "--write-mapping", tmp_path / "cases" / "who.csv")
    assert inside.exit_code == 2
    assert not (tmp_path / "cases").exists()
    prepare("dicom", "-i", raw, "-o", tmp_path / "cases", "--write-mapping", tmp_path / "who.csv")
    people = {row["case"]: row for row in rows_of(tmp_path / "who.csv")}
    (row,) = rows_of(tmp_path / "cases" / "manifest.csv")  # the other series has no segmentation
    found = people[row["name"]]
    assert (found["patient_id"], found["patient_hash"], found["place"]) == ("SECRET77", row["group"], "JANE_DOE/ct")
    assert any(row["place"] == "JANE_DOE/JANEFILE.dcm" for row in people.values())
    assert prepare("nifti", "-i", raw, "--check", "--write-mapping", tmp_path / "x").exit_code == 2


def test_gaps_are_told_and_a_zip_is_the_same(tmp_path):
    (tmp_path / "s").mkdir()
    folder = write_series(tmp_path / "s" / "ct", shape=(16, 20))
    for path in folder.iterdir():
        if pydicom.dcmread(path).ImagePositionPatient[2] == 35:  # slice 2 of 5 is missing
            path.unlink()
    write(tmp_path / "s" / "x.dcm", np.zeros((4, 4), np.int16), Modality="RTSTRUCT", SeriesInstanceUID=generate_uid())
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
        for path in sorted((tmp_path / "s").rglob("*.dcm")):
            archive.write(path, path.relative_to(tmp_path))
    names = []
    for source in (tmp_path / "s", tmp_path / "s.zip"):
        out = tmp_path / f"out-{source.suffix}"
        result = prepare("dicom", "-i", source, "-o", out, "--unlabelled")
        assert result.exit_code == 0, result.output
        (row,) = rows_of(out / "manifest.csv")
        assert row["slice_positions_mm"] == "0;2.5;7.5;10"
        assert row["slice_gaps"] == "after slice 1: 5 mm instead of 2.5"
        kinds = {p["kind"]: p["message"] for p in rows_of(out / "problems.csv")}
        assert "RTSTRUCT hold no images" in kinds["stray-file"]
        assert "slice-gap" in kinds
        names.append(row["name"])
    assert names[0] == names[1]
