"""Label files of every kind opened as objects: the masks come back as they were, and damaged files are named."""

import importlib.util
import io
import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from fakes import FakeBackend
from PIL import Image

from lite_medsam.errors import PromptError
from lite_medsam.images.png_writing import png_bytes
from lite_medsam.jobs.batch import Job, SegmentOptions, find_jobs, run_job
from lite_medsam.prompts.from_labels import prompts_from_labels
from lite_medsam.prompts.label_files import label_kind, read_label_objects
from lite_medsam.prompts.prompt_set import Prompt, load_prompts
from lite_medsam.prompts.volume_prompt_set import load_volume_prompts
from lite_medsam.results.annotations import Names, annotation_files, pictures_of
from lite_medsam.results.result import Result
from lite_medsam.results.take_home import label_png, take_home_files, write_zip
from lite_medsam.scans.geometry import Geometry
from lite_medsam.scans.nifti import nifti_bytes
from lite_medsam.scans.reading import load_volume
from lite_medsam.segment.predictor import Predictor

needs_nibabel = pytest.mark.skipif(importlib.util.find_spec("nibabel") is None, reason="nibabel is not installed")
RNG = np.random.default_rng(5)
IMAGE = RNG.integers(0, 256, (40, 60), np.uint8)


@pytest.fixture
def labels():
    y, x = np.mgrid[:40, :60]
    labels = np.zeros((40, 60), np.uint8)
    labels[(x - 20) ** 2 + (y - 15) ** 2 < 80] = 1
    ring = (x - 40) ** 2 + (y - 25) ** 2
    labels[(ring < 120) & (ring > 30)] = 2
    labels[2:5, 50:58] = labels[35, 3] = 3
    return labels


@pytest.fixture
def volume_labels():
    labels = np.zeros((6, 10, 12), np.uint8)
    labels[1:3, 3:6, 3:7] = labels[4, 3:6, 3:7] = 1  # not on slice 3
    labels[2:5, 7:9, 8:11] = 2
    return labels


def write(path, content):
    path.write_bytes(content)
    return path


def annotated(path, kind, labels, names=("cyst 1", "cyst 2", "scar")):
    masks = [labels == i + 1 for i in range(len(names))]
    files, _ = annotation_files([kind], path.stem, pictures_of(path.stem, labels.shape, masks), Names(names))
    for ending, content in files.items():
        (path.parent / (path.stem + ending)).write_bytes(content)
    return path.parent / (path.stem + next(iter(files)))


def tif(pages):
    file = io.BytesIO()
    tifffile.imwrite(file, pages, photometric="minisblack", compression="zlib")
    return file.getvalue()


def npz(**arrays):
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


KINDS = {
    "png": lambda folder, labels: write(folder / "a.png", label_png(labels)),
    "grey png": lambda folder, labels: write(folder / "a", png_bytes(labels)),
    "tif": lambda folder, labels: write(folder / "a.tif", tif(labels)),
    "tif stack": lambda folder, labels: write(
        folder / "a.tif", tif(np.stack([labels == i for i in (1, 2, 3)]).view("u1"))
    ),
    "npz": lambda folder, labels: write(folder / "a.npz", npz(segs=labels)),
    "npz stack": lambda folder, labels: write(folder / "a.npz", npz(segs=np.stack([labels == i for i in (1, 2, 3)]))),
    "coco": lambda folder, labels: annotated(folder / "a", "coco", labels),
    "labelme": lambda folder, labels: annotated(folder / "a", "labelme", labels),
    "polygons": lambda folder, labels: annotated(folder / "a", "polygons", labels),
}


@pytest.mark.parametrize("kind", [*KINDS])
def test_masks_of_pictures_come_back(kind, labels, tmp_path):
    path = KINDS[kind](tmp_path, labels)
    for prompts in (load_prompts(path), load_prompts(path, (40, 60)), prompts_from_labels(path, (40, 60))):
        assert len(prompts) == 3 and all(prompt.final for prompt in prompts)
        for i, prompt in enumerate(prompts):
            assert np.array_equal(prompt.mask, labels == i + 1)
    if kind in ("coco", "labelme", "polygons"):
        assert [prompt.name for prompt in prompts] == ["cyst 1", "cyst 2", "scar"]
    with pytest.raises(PromptError, match=r"\b41\b"):
        load_prompts(path, (41, 60))


def test_yolo_comes_back_but_for_holes_and_groups(labels, tmp_path):
    path = annotated(tmp_path / "a", "yolo", labels)
    with pytest.raises(PromptError, match="do not say how large"):
        load_prompts(path)
    prompts = load_prompts(path, (40, 60))
    assert [prompt.name for prompt in prompts] == ["cyst", "cyst", "scar", "scar"]
    assert np.array_equal(prompts[0].mask, labels == 1)
    assert np.array_equal(prompts[2].mask | prompts[3].mask, labels == 3)
    again = annotated(tmp_path / "b", "yolo", labels).read_bytes()
    assert path.read_bytes() == again


@pytest.mark.parametrize("kind", ["coco", "labelme", "polygons", "npz", "png"])
def test_labels_out_in_and_out_again_are_equal(kind, labels, tmp_path):
    (tmp_path / "scan.png").write_bytes(png_bytes(IMAGE))
    first = KINDS[kind](tmp_path, labels)
    predictor, save = Predictor(FakeBackend()), ("npz", "label", "coco", "labelme", "polygons", "yolo")
    ending = {"npz": ".npz", "png": "_label.png"}.get(kind, f"_{kind}.json")
    outputs = []
    for turn, given in (("1", first), ("2", tmp_path / "1" / f"scan{ending}")):
        job = Job(tmp_path / "scan.png", tmp_path / turn / "scan", prompt_file=given)
        record = run_job(predictor, job, SegmentOptions(save))
        outputs.append({name: (tmp_path / turn / name).read_bytes() for name in record["outputs"]})
        assert np.array_equal(np.load(tmp_path / turn / "scan.npz")["segs"], labels)
    same = [name for name in outputs[0] if not name.endswith(".npz")]  # (an npz has the time in it)
    assert [outputs[0][name] for name in same] == [outputs[1][name] for name in same]


@needs_nibabel
@pytest.mark.parametrize("ending", [".nii.gz", ".mha", ".nrrd"])
def test_no_number_of_a_label_map_is_a_mark_of_no_data(ending, volume_labels, tmp_path):
    def written(array):
        if ending == ".nii.gz":
            nibabel = pytest.importorskip("nibabel")
            nibabel.save(nibabel.Nifti1Image(array.transpose(2, 1, 0), np.eye(4)), tmp_path / f"a{ending}")
        else:
            sitk = pytest.importorskip("SimpleITK")
            sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / f"a{ending}"))
        return tmp_path / f"a{ending}"

    full = np.where(volume_labels == 0, 5, volume_labels)  # no background at all but what is NaN
    numbers = np.where(volume_labels == 2, np.nan, full).astype(np.float32)
    found = read_label_objects(written(numbers), volume_labels.shape)
    assert [item.number for item in found] == [1, 5]
    assert sum(mask.sum() for item in found for mask in item.slices.values()) == (volume_labels != 2).sum()
    far = np.array([0, 1, 32767], np.int16)[volume_labels]
    assert [item.number for item in read_label_objects(written(far), volume_labels.shape)] == [1, 32767]
    for wrong in (np.array([-9999, 1, 2], np.int16)[volume_labels], far - np.int16(1)):
        with pytest.raises(PromptError, match="must be integers from 0, got -"):
            read_label_objects(written(wrong), volume_labels.shape)
    with pytest.raises(PromptError, match="infinite"):
        read_label_objects(written(np.where(numbers == 1, np.inf, numbers)), volume_labels.shape)


@pytest.mark.parametrize("ending", ["_label.png", ".npz", "_coco.json", "_labelme.json", "_polygons.json"])
def test_numbers_come_back_where_some_are_missing(ending, labels, tmp_path):
    """Objects that were removed leave gaps, and the first one in a file need not have the smallest number."""
    (tmp_path / "scan.png").write_bytes(png_bytes(IMAGE))
    wanted = np.array([0, 7, 0, 3], np.uint8)[labels]
    (tmp_path / "a.png").write_bytes(label_png(wanted))
    for out, given in (("1", tmp_path / "a.png"), ("2", tmp_path / "1" / f"scan{ending}")):
        job = Job(tmp_path / "scan.png", tmp_path / out / "scan", prompt_file=given)
        options = SegmentOptions(("npz", "label", "coco", "labelme", "polygons"))
        record = run_job(Predictor(FakeBackend()), job, options)
        assert np.array_equal(np.load(tmp_path / out / "scan.npz")["segs"], wanted)
        assert {item["id"]: item["area_px"] for item in record["objects"]} == {v: (wanted == v).sum() for v in (3, 7)}
    assert (tmp_path / "1/scan_label.png").read_bytes() == (tmp_path / "2/scan_label.png").read_bytes()


def test_a_mask_of_0_and_255_is_object_1_and_numbers_that_no_label_map_holds_are_none(labels, tmp_path):
    for kind in ("png", "npz"):
        assert load_prompts(KINDS[kind](tmp_path, (labels == 1).astype(np.uint8) * 255))[0].number is None
    assert [prompt.number for prompt in load_prompts(KINDS["npz"](tmp_path, labels * np.int64(40_000)))] == [None] * 3
    document = json.loads(annotated(tmp_path / "a", "coco", labels).read_text())
    for annotation in document["annotations"]:
        annotation["object_id"] = f"cell {annotation['object_id']}"
    (tmp_path / "b.json").write_text(json.dumps(document))
    assert [prompt.number for prompt in load_prompts(tmp_path / "b.json")] == [None] * 3


def test_overlapping_objects_keep_their_masks(tmp_path):
    masks = np.zeros((2, 40, 60), bool)
    masks[0, 5:20, 5:20] = masks[1, 10:30, 10:30] = True
    files = take_home_files(Result(IMAGE, masks[0].astype(np.uint8), (), masks, name="x"))
    write_zip(tmp_path / "all.zip", files)
    prompts = load_prompts(tmp_path / "all.zip")
    assert label_kind(tmp_path / "all.zip") == "zip"
    assert all(np.array_equal(p.mask, m) for p, m in zip(prompts, masks[: len(prompts)], strict=True)) and prompts


def test_refining_asks_the_model(labels, tmp_path):
    prompts = prompts_from_labels(KINDS["png"](tmp_path, labels), (40, 60), final=False)
    assert [prompt.box for prompt in prompts][2] == (3, 2, 57, 35) and not any(prompt.final for prompt in prompts)


@pytest.mark.parametrize("kind", ["npz", "tif", "coco", "polygons"])
def test_masks_of_volumes_come_back(kind, volume_labels, tmp_path):
    path = {
        "npz": lambda: write(tmp_path / "a.npz", npz(segs=volume_labels)),
        "tif": lambda: write(tmp_path / "a.tif", tif(volume_labels)),
    }.get(kind, lambda: annotated(tmp_path / "a", kind, volume_labels, ("liver", "cyst")))()
    objects = load_volume_prompts(path, Geometry.from_spacing(volume_labels.shape, None))
    for value, item in enumerate(objects, start=1):
        stack = np.zeros(volume_labels.shape, bool)
        for z, prompt in item.prompts.items():
            stack[z] = prompt.mask
        assert np.array_equal(stack, volume_labels == value)
    assert objects[0].z_range == (1, 4) and [item.number for item in objects] == [1, 2]
    if kind in ("coco", "polygons"):
        assert [item.name for item in objects] == ["liver", "cyst"]


def test_a_volume_is_segmented_as_its_labels_say(volume_labels, tmp_path):
    image = RNG.integers(0, 256, volume_labels.shape, np.uint8)
    write(tmp_path / "3D_CT_a.npz", npz(imgs=image, is_volume=np.array(True)))
    # (what begins on the first slice has the larger number)
    wanted = np.array([0, 9, 4], np.uint8)[volume_labels]
    write(tmp_path / "labels.npz", npz(segs=wanted))
    for given in (tmp_path / "labels.npz", tmp_path / "out" / "a_coco.json"):
        job = Job(tmp_path / "3D_CT_a.npz", tmp_path / "out" / "a", prompt_file=given)
        run_job(Predictor(FakeBackend()), job, SegmentOptions(("npz", "coco")))
        assert np.array_equal(np.load(tmp_path / "out" / "a.npz")["segs"], wanted)


@needs_nibabel
@pytest.mark.parametrize("turn", [((0, 1, 2), (1, 1, 1)), ((2, 0, 1), (1, -1, 1)), ((1, 2, 0), (-1, -1, -1))])
def test_nifti_labels_in_any_orientation_and_as_a_part(turn, volume_labels, tmp_path):
    axes, signs = turn
    affine = np.array([[0, -2.0, 0.1, 5], [1.5, 0, 0, -7], [0, 0.1, 3, 20], [0, 0, 0, 1]])
    scan = Geometry(affine, volume_labels.shape[::-1], (2, 1, 0), (True, False, True), plane="axial")
    voxels = scan.to_file(volume_labels)[1:, :, :]  # a part: the first voxels along i are background
    step = affine.copy()
    step[:3, 3] += affine[:3, 0]
    turned, theirs = voxels.transpose(axes), step.copy()
    for k, axis in enumerate(axes):
        theirs[:3, k] = step[:3, axis] * signs[k]
        if signs[k] < 0:
            turned = np.flip(turned, k)
            theirs[:3, 3] += step[:3, axis] * (voxels.shape[axis] - 1)
    geometry = Geometry(theirs, turned.shape)
    path = write(tmp_path / "l.nii.gz", nifti_bytes(geometry.from_file(turned), geometry))
    objects = load_volume_prompts(path, scan)
    for value, item in enumerate(objects, start=1):
        assert {z for z, p in item.prompts.items() if p.mask.any()} == {
            *np.flatnonzero((volume_labels == value).any((1, 2)))
        }
        assert all(np.array_equal(p.mask, volume_labels[z] == value) for z, p in item.prompts.items())
    shifted = replace(scan, affine=affine + np.array([[0, 0, 0, 0.7]] + [[0] * 4] * 3))
    with pytest.raises(PromptError, match=r"l\.nii\.gz.*resample"):
        load_volume_prompts(path, shifted)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.json", b'{"images": [], "annotations": []}', "COCO of 0 pictures"),
        (
            "a.json",
            b'{"images": [{"id": 1, "height": 4, "width": 5, "file_name": "a"}], "annotations": [{}]}',
            "KeyError",
        ),
        ("a.json", b'{"shapes": [], "imageHeight": 4, "imageWidth": 5}', "must hold an object"),
        ("a.json", b'{"shapes": [{"points": 3}], "imageHeight": 4, "imageWidth": 5}', "a.json"),
        ("a.json", b'{"shapes": [], "imageHeight": 99999999, "imageWidth": 99999999}', "99999999"),
        ("a.json", b'{"type": "FeatureCollection", "features": [], "image_hw": [4, 5]}', "must hold an object"),
        ("a.npz", b"PK\x03\x04 no more", "a.npz"),
        ("a.png", b"\x89PNG\r\n\x1a\n no more", "a.png"),
        ("a.tif", b"II*\0 no more", "a.tif"),
        ("a.nii.gz", b"\x1f\x8b no more", "a.nii.gz"),
        ("a.txt", b"0 0.1 0.1 0.2 0.2\n", "segmentation, not boxes"),
    ],
)
def test_damaged_files_are_named(name, content, says, tmp_path):
    if name.endswith(".gz") and importlib.util.find_spec("nibabel") is None:
        pytest.skip("nibabel is not installed")
    path = write(tmp_path / name, content)
    with pytest.raises(PromptError, match=says) as error:
        load_prompts(path, (4, 5))
    assert name in str(error.value) and "\n" not in str(error.value)


def test_cocos_packed_run_lengths_and_polygons(tmp_path):
    # packed by pycocotools: a 3 x 4 mask with rows 1 and 2 of column 1 inside, counts [4, 2, 6]
    image = {"id": 7, "height": 3, "width": 4, "file_name": "x/a.jpg"}
    base = {"image_id": 7, "category_id": 3}
    annotations = [
        {**base, "segmentation": {"size": [3, 4], "counts": "426"}},
        {**base, "segmentation": [[1, 1, 3, 1, 3, 3, 1, 3]]},
    ]
    document = {"images": [image, {**image, "id": 8, "file_name": "b.jpg"}], "annotations": annotations}
    document["categories"] = [{"id": 3, "name": "cell"}]
    path = write(tmp_path / "coco.json", json.dumps(document).encode())
    packed, corners = read_label_objects(path, (3, 4), stem="a")
    wanted = np.zeros((3, 4), bool)
    wanted[1:3, 1] = True
    assert np.array_equal(packed.slices[0], wanted) and packed.name == corners.name == "cell"
    wanted[1:3, 1:3] = True
    assert np.array_equal(corners.slices[0], wanted)
    with pytest.raises(PromptError, match="must name one of them"):
        read_label_objects(path, (3, 4), stem="c")


def test_label_values_are_names_where_they_do_not_count(tmp_path):
    labels = np.zeros((4, 5), np.uint16)
    labels[0, 0], labels[1, 1:3] = 7, 300
    assert [p.name for p in load_prompts(write(tmp_path / "a.png", png_bytes(labels)))] == ["label 7", "label 300"]
    named = npz(segs=labels, label_ids=np.array([7, 300]), label_names=np.array(["iris", "lens"]))
    assert [p.name for p in load_prompts(write(tmp_path / "a.npz", named))] == ["iris", "lens"]
    colours = np.zeros((4, 5, 3), np.uint8)
    colours[0, 0], colours[2] = (255, 0, 0), (0, 255, 0)
    Image.fromarray(colours).save(tmp_path / "c.png")
    assert [int(p.mask.sum()) for p in load_prompts(tmp_path / "c.png")] == [5, 1]


def test_a_folder_may_hold_masks_and_a_prompt_set_is_no_label_file(labels, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "masks").mkdir()
    write(tmp_path / "in" / "a.png", png_bytes(IMAGE))
    write(tmp_path / "masks" / "a_label.png", label_png(labels))
    (job,) = find_jobs([tmp_path / "in"], tmp_path / "out", prompt_path=tmp_path / "masks")
    assert job.prompt_file == tmp_path / "masks" / "a_label.png"
    path = write(tmp_path / "p.json", b'{"version": 1, "objects": [{"box": [1, 2, 3, 4]}]}')
    assert label_kind(path) is None and isinstance(load_prompts(path)[0], Prompt)
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("a.txt", "hello")
    assert label_kind(tmp_path / "other.zip") is None and label_kind(tmp_path / "nothing") is None


def test_dicom_segmentations_lie_on_the_slices_of_their_series(volume_labels, tmp_path):
    highdicom, pydicom = pytest.importorskip("highdicom"), pytest.importorskip("pydicom")
    from pydicom import uid

    frame, series = uid.generate_uid(), uid.generate_uid()
    sources = []
    (tmp_path / "ct").mkdir()
    for z in range(len(volume_labels)):
        item = pydicom.Dataset()
        item.file_meta = pydicom.dataset.FileMetaDataset()
        item.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
        item.SOPClassUID = item.file_meta.MediaStorageSOPClassUID = uid.CTImageStorage
        item.SOPInstanceUID = item.file_meta.MediaStorageSOPInstanceUID = uid.generate_uid()
        item.StudyInstanceUID = item.SeriesInstanceUID = series
        item.FrameOfReferenceUID, item.Modality, item.InstanceNumber, item.SeriesNumber = frame, "CT", z + 1, 1
        for keyword in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
                        "AccessionNumber", "StudyID", "ReferringPhysicianName"):  # fmt: skip
            setattr(item, keyword, "")
        # (lying on the side, feet last)
        item.ImageOrientationPatient, item.ImagePositionPatient = [0, 1, 0, -1, 0, 0], [4, -9, 40 - 3.0 * z]
        item.PixelSpacing, item.SliceThickness = [0.7, 0.8], 3
        item.Rows, item.Columns = volume_labels.shape[1:]
        item.SamplesPerPixel, item.PhotometricInterpretation, item.PixelRepresentation = 1, "MONOCHROME2", 0
        item.BitsAllocated, item.BitsStored, item.HighBit, item.RescaleSlope, item.RescaleIntercept = 16, 16, 15, 1, 0
        item.PixelData = np.full(volume_labels.shape[1:], 7 * z, np.uint16).tobytes()
        item.save_as(tmp_path / "ct" / f"{z}.dcm", enforce_file_format=True)
        sources.append(item)
    code = highdicom.sr.CodedConcept("91723000", "SCT", "Anatomical Structure")
    manual = highdicom.seg.SegmentAlgorithmTypeValues.MANUAL
    segments = [highdicom.seg.SegmentDescription(i, n, code, code, manual) for i, n in ((1, "liver"), (2, "cyst"))]
    stack = np.stack([volume_labels == 1, volume_labels == 2], axis=-1).astype(np.uint8)
    kind = highdicom.seg.SegmentationTypeValues.BINARY
    seg = highdicom.seg.Segmentation(
        sources, stack, kind, segments, uid.generate_uid(), 1, uid.generate_uid(), 1, "a", "b", "1", "1"
    )
    seg.save_as(tmp_path / "seg")
    scan = load_volume(tmp_path / "ct")
    order = [*range(len(volume_labels))] if scan.values[0, 0, 0] == 0 else [*range(len(volume_labels))][::-1]
    objects = read_label_objects(tmp_path / "seg", scan.label_shape, scan.geometry)
    assert label_kind(tmp_path / "seg") == "dicom" and [item.name for item in objects] == ["liver", "cyst"]
    for value, item in enumerate(objects, start=1):
        for z, file_slice in enumerate(order):
            wanted = volume_labels[file_slice] == value
            assert np.array_equal(item.slices.get(z, np.zeros_like(wanted)), wanted)
    with pytest.raises(PromptError, match="must be a DICOM segmentation"):
        read_label_objects(tmp_path / "ct" / "0.dcm", scan.label_shape, scan.geometry)
