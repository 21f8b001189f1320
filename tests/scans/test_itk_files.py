"""NRRD and MetaImage: the same voxels at the same place as SimpleITK has them, back in the same format; one of several volumes."""

import itertools

import numpy as np
import pytest
from fakes import FakeBackend

sitk = pytest.importorskip("SimpleITK")
pytest.importorskip("nibabel")

from lite_medsam.errors import CaseError  # noqa: E402
from lite_medsam.jobs.batch import Job, SegmentOptions, run_job  # noqa: E402
from lite_medsam.scans.itk_files import save_itk  # noqa: E402
from lite_medsam.scans.reading import load_volume  # noqa: E402
from lite_medsam.segment.predictor import Predictor  # noqa: E402
from lite_medsam.volumes.propagation import seeds_from_boxes  # noqa: E402

ENDINGS = ("nrrd", "nhdr", "mha", "mhd")
C, S = np.cos(0.3), np.sin(0.3)


def image(array, spacing=(0.5, 0.7, 2.5), origin=(-10.0, 20.0, 30.0), direction=(1, 0, 0, 0, 1, 0, 0, 0, 1)):
    """`array` (k, j, i), as SimpleITK has them."""
    made = sitk.GetImageFromArray(array)
    made.SetSpacing(spacing)
    made.SetOrigin(origin)
    made.SetDirection([float(v) for v in direction])
    return made


def ramp(shape=(4, 5, 6), dtype=np.int16):
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


def where(made, labels):
    """Places in mm of labelled voxels, right and anterior turned to left and posterior."""
    return sorted(
        tuple(np.round(made.TransformIndexToPhysicalPoint([int(v) for v in place[::-1]]), 3))
        for place in np.argwhere(labels)
    )


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    "direction", [(1, 0, 0, 0, 1, 0, 0, 0, 1), (0, 0, 1, -1, 0, 0, 0, -1, 0), (C, 0, S, 0, 1, 0, -S, 0, C)]
)
def test_labels_come_back_on_the_same_voxels(tmp_path, ending, direction):
    given = image(ramp(), direction=direction)
    sitk.WriteImage(given, str(tmp_path / f"a.{ending}"))
    scan = load_volume(tmp_path / f"a.{ending}")
    assert np.array_equal(scan.geometry.to_file(scan.values).transpose(2, 1, 0), ramp())
    out = tmp_path / ("out.nrrd" if ending in ("nrrd", "nhdr") else "out.mha")
    save_itk(out, (scan.values % 7 == 3).astype(np.uint8), scan.geometry)
    back = sitk.ReadImage(str(out))
    assert np.array_equal(sitk.GetArrayFromImage(back), ramp() % 7 == 3)
    for name in ("Spacing", "Origin", "Direction"):
        assert getattr(back, f"Get{name}")() == pytest.approx(getattr(given, f"Get{name}")())


def test_one_volume_in_eight_orders_gives_one_mask(tmp_path):
    """Flipped along i, j, k in the file, the same patient is shown the same, and the same box gives the same places."""
    array = np.zeros((10, 40, 48), np.int16)
    array[3:8, 10:30, 12:34] = 200
    given = image(array, spacing=(1.0, 1.0, 3.0))
    predictor, places = Predictor(FakeBackend(), zoom="off"), []
    for number, flips in enumerate(itertools.product((False, True), repeat=3)):
        path = tmp_path / f"v{number}.{ENDINGS[number % 4]}"
        sitk.WriteImage(sitk.Flip(given, flips), str(path))
        objects = tuple(seeds_from_boxes(np.array([[12, 10, 3, 33, 29, 7]])))
        run_job(predictor, Job(path, tmp_path / "out" / f"v{number}", objects), SegmentOptions(coordinates="display"))
        (label,) = (tmp_path / "out").glob(f"v{number}_label.*")
        found = sitk.ReadImage(str(label))
        assert found.GetSize() == given.GetSize()
        places.append(where(found, sitk.GetArrayFromImage(found)))
    assert places[0]
    assert all(same == places[0] for same in places)


@pytest.mark.parametrize("ending", ["nrrd", "mha"])
def test_one_of_several_volumes(tmp_path, ending):
    frames = [ramp() + 1000 * t for t in range(3)]
    sitk.WriteImage(sitk.JoinSeries([image(f) for f in frames]), str(tmp_path / f"t.{ending}"))
    channels = sitk.Compose([image(f) for f in frames])
    sitk.WriteImage(channels, str(tmp_path / f"c.{ending}"))
    for name in (f"t.{ending}", f"c.{ending}"):
        with pytest.raises(CaseError, match=r"must be one volume, holds 3 .*from 0 to 2 \(--frame\)"):
            load_volume(tmp_path / name)
        scan = load_volume(tmp_path / name, frame=1)
        assert np.array_equal(scan.geometry.to_file(scan.values).transpose(2, 1, 0), frames[1])
        assert scan.spacing_mm == pytest.approx((2.5, 0.7, 0.5))
        assert "volume 1 of 3, counted from 0" in scan.notes
        with pytest.raises(CaseError, match="holds 3 volumes, counted from 0; got frame 3"):
            load_volume(tmp_path / name, frame=3)


def test_4d_nifti(tmp_path):
    import nibabel

    array = np.arange(4 * 5 * 6 * 3).reshape(4, 5, 6, 3).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(array, np.diag([-1.0, -1, 3, 1])), tmp_path / "a.nii.gz")
    scan = load_volume(tmp_path / "a.nii.gz", frame=2)
    assert np.array_equal(scan.geometry.to_file(scan.values), array[..., 2])
    assert scan.spacing_mm == pytest.approx((3, 1, 1))
    with pytest.raises(CaseError, match="got frame 7"):
        load_volume(tmp_path / "a.nii.gz", frame=7)


def test_hostile_and_damaged_headers(tmp_path):
    secret = tmp_path / "secret.raw"
    secret.write_bytes(b"\1" * 240)
    folder = tmp_path / "in"
    folder.mkdir()
    meta = "ObjectType = Image\nNDims = 3\nDimSize = 6 5 4\nElementType = MET_SHORT\nElementDataFile = {}\n"
    nrrd = "NRRD0004\ntype: short\ndimension: 3\nsizes: 6 5 4\nencoding: raw\nendian: little\ndata file: {}\n\n"
    for name, text in (("a.mhd", meta), ("a.nhdr", nrrd), ("a.nrrd", nrrd)):
        for target in (str(secret), "../secret.raw"):
            (folder / name).write_text(text.format(target))
            with pytest.raises(CaseError, match="data must lie beside the header"):
                load_volume(folder / name)
        (folder / name).write_text(text.format("LIST"))
        with pytest.raises(CaseError, match="LIST"):
            load_volume(folder / name)
    lines = "".join(f"# {k}\n" for k in range(150_000))
    for name, text, words in (
        ("a.mhd", meta.replace("File =", "File:"), "beside the header"),
        ("a.mhd", meta.replace("Element", ": Element"), "beside the header"),
        ("a.mhd", f"Comment = ElementDataFile = LOCAL\n{lines}{meta}", "must end within 1 MiB"),
        ("a.nhdr", nrrd.replace("encoding", f"{lines}encoding"), "must end within 1 MiB"),
    ):
        (folder / name).write_text(text.format(secret))
        with pytest.raises(CaseError, match=words):
            load_volume(folder / name)
    sitk.WriteImage(image(ramp()), str(folder / "b.nrrd"))
    (folder / "b.nrrd").write_bytes((folder / "b.nrrd").read_bytes()[:-50])
    with pytest.raises(CaseError, match=r"^\S*b.nrrd: must be a readable NRRD or MetaImage file, got: [^\n]*$"):
        load_volume(folder / "b.nrrd")
    sitk.WriteImage(image(ramp()), str(folder / "c.mha"))
    with pytest.raises(CaseError, match="at most 100 voxels"):
        load_volume(folder / "c.mha", max_voxels=100)
    (folder / "d.nrrd").write_bytes(b"NRRD nonsense\n" * 20)
    with pytest.raises(CaseError, match="must be a readable NRRD"):
        load_volume(folder / "d.nrrd")


def test_labels_out_are_labels_in(tmp_path):
    from lite_medsam.prompts.label_files import read_label_objects

    for ending in ("nrrd", "mha"):
        sitk.WriteImage(image(ramp(), direction=(0, 0, 1, -1, 0, 0, 0, -1, 0)), str(tmp_path / f"a.{ending}"))
        scan = load_volume(tmp_path / f"a.{ending}")
        labels = np.zeros(scan.values.shape, np.uint8)
        labels[1:3, 1:3, 1:3] = 1
        save_itk(tmp_path / f"a_label.{ending}", labels, scan.geometry)
        (found,) = read_label_objects(tmp_path / f"a_label.{ending}", scan.label_shape, scan.geometry)
        assert sorted(found.slices) == [1, 2]
        assert all(np.array_equal(mask, labels[z] == 1) for z, mask in found.slices.items())
