"""DICOM series as inputs of `segment`: which folder is a volume, which a folder of pictures; where results lie; whose they are."""

import json
import sys

import numpy as np
import pytest
from fakes import FakeBackend

pydicom = pytest.importorskip("pydicom")
from dicom_files import write, write_series  # noqa: E402
from pydicom.uid import generate_uid  # noqa: E402

from lite_medsam.errors import CaseError  # noqa: E402
from lite_medsam.jobs.batch import Job, SegmentOptions, find_jobs, run_job, run_jobs  # noqa: E402
from lite_medsam.prompts.prompt_set import Prompt  # noqa: E402
from lite_medsam.segment.predictor import Predictor  # noqa: E402
from lite_medsam.volumes.propagation import seeds_from_boxes  # noqa: E402

SHAPE = (40, 48)
TAGS = {"StudyInstanceUID": generate_uid(), "FrameOfReferenceUID": generate_uid()}
PLANTED = ("Doe^Jane", "Doe", "SECRET77", "St. Nowhere", "19700101", "ACC4711")


@pytest.fixture
def predictor():
    return Predictor(FakeBackend(), zoom="off")


def series(folder, number, **tags):
    return write_series(folder, shape=SHAPE, SeriesInstanceUID=generate_uid(), SeriesNumber=number, **TAGS, **tags)


def targets(jobs, out):
    return [job.target.relative_to(out).as_posix() for job in jobs]


def test_a_folder_of_slices_is_one_volume_and_pictures_stay_pictures(tmp_path):
    out = tmp_path / "out"
    root = tmp_path / "root"
    root.mkdir()
    one = series(root / "P1", 3)
    (one / "IM0000.dcm").rename(one / "IM0000")  # without an ending, as discs have them
    films = root / "films"
    films.mkdir()
    for name in ("a.dcm", "b.dcm"):  # one series of X-ray pictures, which lie nowhere in the patient
        write(films / name, np.zeros(SHAPE, np.uint16), Modality="DX")
    np.savez(root / "2D_CT_x.npz", imgs=np.zeros(SHAPE, np.uint8))
    jobs = find_jobs([root], out)
    assert targets(jobs, out) == ["2D_CT_x", "P1", "films/a", "films/b"]
    assert jobs[1].path == one
    assert all(job.is_medical for job in jobs[1:])
    assert targets(find_jobs([one], out), out) == ["P1"]
    assert targets(find_jobs([films], out), out) == ["a", "b"]


def test_without_pydicom_other_inputs_go_on(tmp_path, monkeypatch):
    folder = series(tmp_path / "s", 3)
    np.savez(folder / "2D_CT_x.npz", imgs=np.zeros(SHAPE, np.uint8))
    monkeypatch.setitem(sys.modules, "pydicom", None)
    jobs = find_jobs([folder], tmp_path / "out")
    assert [job.path.name for job in jobs] == ["2D_CT_x.npz", *(f"IM{i:04d}.dcm" for i in range(5))]


def test_slices_of_several_series_need_a_choice(tmp_path):
    out, folder = tmp_path / "out", tmp_path / "study"
    series(folder, 3)
    for path in folder.iterdir():
        path.rename(path.with_name("a" + path.name))
    series(folder, 4)
    with pytest.raises(CaseError, match=r"holds 2: 3 \(CT, 5 images.*; 4 \(CT, 5 .*--series"):
        find_jobs([folder], out)
    (job,) = find_jobs([folder], out, series="4")
    assert (job.path, job.target) == (folder, out / "study_series4")
    with pytest.raises(CaseError, match="--series chooses in a folder, DICOMDIR or ZIP"):
        find_jobs([folder / "aIM0000.dcm"], out, series="4")


def test_nothing_tells_whose_it_is(predictor, tmp_path):
    """Every output of a series, a picture and a ZIP: no planted identifier in any but the segmentation, which says so."""
    pytest.importorskip("highdicom")
    pytest.importorskip("nibabel")
    secrets = {"PatientBirthDate": "19700101", "AccessionNumber": "ACC4711"}
    folder, out = series(tmp_path / "s", 3, **secrets), tmp_path / "out"
    picture = write(tmp_path / "p.dcm", np.zeros(SHAPE, np.int16), **TAGS, **secrets)
    options = SegmentOptions(("npz", "label", "overlay", "dicom-seg"))
    jobs = find_jobs([folder], out, seeds_from_boxes(np.array([[5, 5, 1, 20, 20, 3]])))
    jobs += find_jobs([picture], out, (Prompt(box=(5, 5, 20, 20), name="liver"),))
    records, failures = run_jobs(predictor, jobs, options)
    assert not failures
    written = sorted(path.name for path in out.iterdir())
    assert written == ["p.json", "p.npz", "p_label.png", "p_overlay.png", "p_seg.dcm",
                       "s.json", "s.npz", "s_label.nii.gz", "s_overlay.png", "s_seg.dcm"]  # fmt: skip
    for path in out.iterdir():
        content = path.read_bytes()
        if path.suffix == ".gz":
            import gzip

            content = gzip.decompress(content)
        if path.suffix == ".npz":
            with np.load(path) as arrays:
                content = b"".join(arrays[key].tobytes() for key in arrays) + " ".join(arrays).encode()
        for planted in PLANTED:
            is_needed = path.name.endswith("_seg.dcm") and planted != "St. Nowhere"
            assert (planted.encode() in content) == is_needed, (path.name, planted)
    for record in records:
        assert any("patient and study modules are copied from the source" in note for note in record["notes"])
        assert len(record["model_sha256"]) == 64
    again = run_job(predictor, jobs[0], options)
    assert again["skipped"]


def test_labels_and_segmentation_are_the_same_voxels(predictor, tmp_path):
    hd, nibabel = pytest.importorskip("highdicom"), pytest.importorskip("nibabel")
    folder, out = series(tmp_path / "s", 3), tmp_path / "out"
    (job,) = find_jobs([folder], out, seeds_from_boxes(np.array([[5, 8, 1, 20, 30, 3], [25, 8, 0, 40, 30, 2]])))
    run_job(predictor, job, SegmentOptions(("npz", "label", "dicom-seg"), seg_type="labelmap"))
    labels = np.load(out / "s.npz")["segs"]
    assert set(np.unique(labels)) == {0, 1, 2}
    nifti = np.asarray(nibabel.load(out / "s_label.nii.gz").dataobj)
    assert np.array_equal(nifti.transpose(2, 1, 0), labels)
    seg = hd.seg.segread(out / "s_seg.dcm")
    heights = {}
    for path in folder.iterdir():
        header = pydicom.dcmread(path, stop_before_pixels=True)
        heights[header.ImagePositionPatient[2]] = header.SOPInstanceUID
    found = seg.get_pixels_by_source_instance([heights[z] for z in sorted(heights)], combine_segments=True)
    assert np.array_equal(found, labels)


def test_a_segmentation_is_for_dicom(predictor, tmp_path):
    np.savez(tmp_path / "2D_CT_x.npz", imgs=np.zeros(SHAPE, np.uint8))
    job = Job(tmp_path / "2D_CT_x.npz", tmp_path / "out" / "x", (Prompt(box=(1, 1, 9, 9)),))
    with pytest.raises(CaseError, match="refers to DICOM images"):
        run_job(predictor, job, SegmentOptions(("dicom-seg",)))
    with pytest.raises(CaseError, match="--frame is for NIfTI"):
        run_job(predictor, Job(*[tmp_path / "a.png", tmp_path / "o", job.prompts]), SegmentOptions(frame=1))
    with pytest.raises(ValueError, match="may overlap, a label map can't"):
        SegmentOptions(("dicom-seg",), overlap="stack", seg_type="labelmap")


def test_info_lists_the_series(tmp_path):
    from click.testing import CliRunner

    from lite_medsam.cli import group

    (tmp_path / "s").mkdir()
    series(tmp_path / "s" / "a", 3)
    series(tmp_path / "s" / "b", 12, Modality="MR")
    result = CliRunner().invoke(group, ["info", str(tmp_path / "s")])
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.output.splitlines()]
    assert [line[:4] for line in lines[1:]] == [["3", "CT", "5", "5"], ["12", "MR", "5", "5"]]
    assert not any(planted in result.output for planted in PLANTED)
    listed = json.loads(CliRunner().invoke(group, ["info", str(tmp_path / "s"), "--json"]).output)
    assert [row["is_volume"] for row in listed["series"]] == [True, True]
