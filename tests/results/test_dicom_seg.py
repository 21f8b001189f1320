"""DICOM segmentations: read by highdicom, pydicom and SimpleITK with the same voxels at the same place."""

import json

import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom")
hd = pytest.importorskip("highdicom")
from dicom_files import AXIAL, write, write_series  # noqa: E402
from places import ROOT  # noqa: E402
from pydicom.dataset import Dataset  # noqa: E402
from pydicom.sr.codedict import codes  # noqa: E402
from pydicom.uid import EnhancedMRImageStorage, generate_uid  # noqa: E402

from lite_medsam.errors import CaseError, PromptError  # noqa: E402
from lite_medsam.prompts.label_files import read_label_objects  # noqa: E402
from lite_medsam.prompts.volume_prompt_set import load_volume_prompts  # noqa: E402
from lite_medsam.results.dicom_seg import Algorithm, Segment, save_dicom_seg  # noqa: E402
from lite_medsam.results.dicom_seg_source import source_headers  # noqa: E402
from lite_medsam.scans.reading import load_volume  # noqa: E402

ALGORITHM = Algorithm("lite-medsam", "ab" * 32, "1.0")
C, S = np.cos(0.3), np.sin(0.3)
OBLIQUE = [C, 0, S, 0, 1, 0]
TAGS = {"StudyInstanceUID": generate_uid(), "FrameOfReferenceUID": generate_uid(), "SeriesNumber": 3}
SEGMENTS = [Segment("my liver", "liver"), Segment("Größe\\\n2")]


def labels_of(shape):
    labels = np.zeros(shape, np.uint8)
    labels[1:4, 1:5, 2:6] = 1
    labels[2, 3:6, :3] = 2
    return labels


def enhanced(path, places):
    """Frames in the order of `places`; frame f holds 100 f."""
    frames = np.stack([np.full((6, 7), 100 * f, np.int16) for f in range(len(places))])
    shared, orientation, measures = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = AXIAL
    measures.PixelSpacing, measures.SliceThickness = [0.7, 0.5], 2.5
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    per_frame = []
    for number, z in enumerate(places, start=1):
        item, plane, content = Dataset(), Dataset(), Dataset()
        plane.ImagePositionPatient = [0.0, 0.0, z]
        content.DimensionIndexValues = [number]
        item.PlanePositionSequence, item.FrameContentSequence = [plane], [content]
        per_frame.append(item)
    return write(
        path, frames, Modality="MR", SOPClassUID=EnhancedMRImageStorage, SharedFunctionalGroupsSequence=[shared],
        PerFrameFunctionalGroupsSequence=per_frame, **TAGS,
    )  # fmt: skip


@pytest.mark.parametrize("seg_type", ["binary", "labelmap"])
@pytest.mark.parametrize(
    ("axes", "step"), [(AXIAL, (0, 0, 2.5)), (OBLIQUE, (-2.5 * S, 0, 2.5 * C)), ([1, 0, 0, 0, 0, -1], (0, -2.5, 0))]
)
def test_same_voxels_and_frame_of_reference(tmp_path, axes, step, seg_type):
    scan = load_volume(write_series(tmp_path / "s", axes=axes, step=step, **TAGS))
    labels, path = labels_of(scan.values.shape), tmp_path / "seg.dcm"
    save_dicom_seg(path, labels, scan.geometry, scan.dicom, SEGMENTS, ALGORITHM, seg_type)
    seg = hd.seg.segread(path)
    assert np.array_equal(seg.get_pixels_by_source_instance(list(scan.dicom.instances), combine_segments=True), labels)
    volume = seg.get_volume(combine_segments=True)  # places come from the segmentation itself
    for value in (1, 2):
        theirs = volume.map_indices_to_reference(np.argwhere(volume.array == value))
        k, j, i = np.nonzero(labels == value)
        ours = (scan.geometry.affine @ np.array([i, j, k, np.ones(len(i))]))[:3].T * [-1, -1, 1]
        assert sorted(map(tuple, theirs.round(3))) == sorted(map(tuple, ours.round(3)))
    data = pydicom.dcmread(path)
    assert data.FrameOfReferenceUID == TAGS["FrameOfReferenceUID"]
    assert data.SegmentationType == seg_type.upper()
    if seg_type == "binary":  # pydicom's own frames, by the segment that each says
        groups = data.PerFrameFunctionalGroupsSequence
        numbers = np.array([g.SegmentIdentificationSequence[0].ReferencedSegmentNumber for g in groups])
        for value in (1, 2):
            assert data.pixel_array[numbers == value].sum() == (labels == value).sum()


def test_simpleitk_reads_the_same(tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    # (GDCM drops the last bits of a file whose pixels fill no whole byte)
    scan = load_volume(write_series(tmp_path / "s", shape=(8, 16), axes=OBLIQUE, step=(-2.5 * S, 0, 2.5 * C), **TAGS))
    labels = np.ones(scan.values.shape, np.uint8)
    labels[:, :2] = 0
    save_dicom_seg(tmp_path / "seg.dcm", labels, scan.geometry, scan.dicom, SEGMENTS[:1], ALGORITHM)
    image = sitk.ReadImage(str(tmp_path / "seg.dcm"))
    voxels = sitk.GetArrayFromImage(image) > 0
    direction = np.array(image.GetDirection()).reshape(3, 3)
    rises = direction[:, 2] @ (scan.geometry.affine[:3, 2] * [-1, -1, 1]) > 0
    assert np.array_equal(voxels[:: 1 if rises else -1], labels > 0)
    assert direction[:, 0] == pytest.approx([C, 0, S])
    first = scan.geometry.affine[:3, 3] + (0 if rises else 4) * scan.geometry.affine[:3, 2]
    assert image.GetOrigin() == pytest.approx(tuple(first * [-1, -1, 1]), abs=1e-3)


def test_frames_of_an_enhanced_file_keep_their_order(tmp_path):
    scan = load_volume(enhanced(tmp_path / "a.dcm", [5.0, 0.0, 2.5]))
    assert scan.dicom.frames == (1, 2, 0)
    labels = np.zeros(scan.values.shape, np.uint8)
    labels[0, 1:3], labels[2, 4] = 1, 2
    save_dicom_seg(tmp_path / "seg.dcm", labels, scan.geometry, scan.dicom, SEGMENTS, ALGORITHM)
    seg = hd.seg.segread(tmp_path / "seg.dcm")
    found = seg.get_pixels_by_source_frame(
        scan.dicom.instances[0], [2, 3, 1], combine_segments=True, ignore_spatial_locations=True,
        assert_missing_frames_are_empty=True,
    )  # fmt: skip
    assert np.array_equal(found, labels)


def test_another_cut_and_an_empty_object(tmp_path):
    scan = load_volume(write_series(tmp_path / "s", **TAGS))
    labels = labels_of(scan.values.shape)
    turned = scan.across(0)
    theirs = turned.geometry.cut(scan.geometry.uncut(labels))
    for name, array, geometry in (("a", labels, scan.geometry), ("b", theirs, turned.geometry)):
        save_dicom_seg(tmp_path / name, array, geometry, scan.dicom, SEGMENTS, ALGORITHM)
    one, two = (hd.seg.segread(tmp_path / name) for name in "ab")
    assert np.array_equal(one.pixel_array, two.pixel_array)
    assert one.SOPInstanceUID == two.SOPInstanceUID  # the same result is the same object
    save_dicom_seg(tmp_path / "c", labels * 0, scan.geometry, scan.dicom, SEGMENTS[:1], ALGORITHM)
    assert not hd.seg.segread(tmp_path / "c").pixel_array.any()


def placed(folder, step, places):
    """A series whose slices are at these multiples of the step."""
    write_series(folder, step=step, **TAGS)
    for path in folder.iterdir():
        data = pydicom.dcmread(path)
        k = round((data.ImagePositionPatient[2] - 30) / step[2])
        data.ImagePositionPatient = [round(a + b * places[k], 5) for a, b in zip((-10.0, -20, 30), step, strict=True)]
        data.save_as(path)
    return folder


@pytest.mark.parametrize("seg_type", ["binary", "labelmap"])
@pytest.mark.parametrize(
    ("step", "places"),
    [((0, 0, 2.5), (0, 1, 2, 3, 4)), ((0, 0.8, 2.5), (0, 1, 2, 3, 4)), ((0, 0, 2.5), (0, 1, 2, 4, 5)),
     ((0, 0, 2.5), (0, 2, 2.5, 3, 4)), ((0, 0, 2.5), (0, 0.8, 2.2, 3.1, 4.5))],
    ids=["even", "tilted gantry", "a slice missing", "closer in places", "uneven"],
)  # fmt: skip
def test_they_open_again_on_the_slices_that_they_were_made_on(tmp_path, step, places, seg_type):
    scan = load_volume(placed(tmp_path / "s", step, places))
    labels, path = labels_of(scan.values.shape), tmp_path / "seg.dcm"
    save_dicom_seg(path, labels, scan.geometry, scan.dicom, SEGMENTS, ALGORITHM, seg_type)
    for view in (scan, scan.across(0)):
        objects = read_label_objects(path, view.label_shape, view.geometry, source=view.dicom)
        assert np.array_equal(drawn(objects, view.label_shape), view.geometry.cut(scan.geometry.uncut(labels)))
    single = labels * (np.arange(5) == 3)[:, None, None]  # one frame has no slice distance of its own
    save_dicom_seg(path, single, scan.geometry, scan.dicom, SEGMENTS, ALGORITHM, seg_type)
    objects = load_volume_prompts(path, scan.geometry, scan.dicom)
    assert [(item.z_range, np.array_equal(item.prompts[3].mask, single[3] > 0)) for item in objects] == [((3, 3), True)]


@pytest.mark.parametrize("places", [[5.0, 0.0, 2.5], [9.0, 0.0, 2.5]], ids=["even", "uneven"])
def test_those_of_an_enhanced_file_open_again(tmp_path, places):
    scan = load_volume(enhanced(tmp_path / "a.dcm", places))
    labels = np.zeros(scan.values.shape, np.uint8)
    labels[0, 1:3], labels[2, 4], labels[1, 2, 3:] = 1, 2, 2
    save_dicom_seg(tmp_path / "seg.dcm", labels, scan.geometry, scan.dicom, SEGMENTS, ALGORITHM)
    objects = read_label_objects(tmp_path / "seg.dcm", scan.label_shape, scan.geometry, source=scan.dicom)
    assert np.array_equal(drawn(objects, scan.label_shape), labels)


def test_a_segmentation_of_other_images_is_told_from_no_segmentation(tmp_path):
    scan = load_volume(placed(tmp_path / "s", (0, 0.8, 2.5), (0, 1, 2, 3, 4)))
    path = tmp_path / "seg.dcm"
    save_dicom_seg(path, labels_of(scan.values.shape), scan.geometry, scan.dicom, SEGMENTS, ALGORITHM)
    other = load_volume(write_series(tmp_path / "t", **TAGS))
    with pytest.raises(PromptError, match="refer to the images of the scan"):
        read_label_objects(path, other.label_shape, other.geometry, source=other.dicom)
    with pytest.raises(PromptError, match="must be a DICOM segmentation"):
        read_label_objects(next((tmp_path / "t").iterdir()), other.label_shape, other.geometry, source=other.dicom)


def test_half_of_a_probability_is_inside(tmp_path):
    scan = load_volume(write_series(tmp_path / "s", **TAGS))
    images = source_headers(scan.dicom)
    sure = np.zeros(scan.values.shape, np.float32)
    sure[1:4, 1:5, 1:6], sure[2, 2:4, 2:4] = 0.2, 0.9
    code = codes.SCT.AnatomicalStructure
    what = hd.seg.SegmentDescription(1, "a", code, code, hd.seg.SegmentAlgorithmTypeValues.MANUAL)
    uids = [generate_uid(), 1, generate_uid(), 1]
    seg = hd.seg.Segmentation(images, sure, "FRACTIONAL", [what], *uids, "a", "b", "1", "1")
    seg.save_as(tmp_path / "seg.dcm")
    for source in (scan.dicom, None):
        objects = read_label_objects(tmp_path / "seg.dcm", scan.label_shape, scan.geometry, source=source)
        assert np.array_equal(drawn(objects, scan.label_shape), sure > 0.5)


def test_random_damage_ends_in_one_line(tmp_path):
    scan = load_volume(write_series(tmp_path / "s", **TAGS))
    path = tmp_path / "seg.dcm"
    save_dicom_seg(path, labels_of(scan.values.shape), scan.geometry, scan.dicom, SEGMENTS, ALGORITHM)
    whole, rng, told = path.read_bytes(), np.random.default_rng(0), 0
    for _ in range(40):
        data = bytearray(whole)
        for place in rng.integers(132, len(data), 12):
            data[place] = rng.integers(256)
        path.write_bytes(bytes(data))
        try:
            read_label_objects(path, scan.label_shape, scan.geometry, source=scan.dicom)
        except PromptError as error:
            told += 1
            assert "\n" not in str(error)
    assert told > 10


def drawn(objects, shape):
    labels = np.zeros(shape, np.uint8)
    for item in objects:
        for z, mask in item.slices.items():
            labels[z][mask] = item.number
    return labels


def test_names_codes_algorithm_and_patient(tmp_path):
    scan = load_volume(write_series(tmp_path / "s", **TAGS))
    save_dicom_seg(tmp_path / "a", labels_of(scan.values.shape), scan.geometry, scan.dicom, SEGMENTS, ALGORITHM)
    data = pydicom.dcmread(tmp_path / "a")
    first, second = data.SegmentSequence
    kind = first.SegmentedPropertyTypeCodeSequence[0]
    assert (first.SegmentLabel, kind.CodeValue, kind.CodingSchemeDesignator) == ("my liver", "10200004", "SCT")
    kind = second.SegmentedPropertyTypeCodeSequence[0]
    assert (second.SegmentLabel, kind.CodeMeaning, kind.CodingSchemeDesignator) == (
        "Größe 2",
        "Größe 2",
        "99LITEMEDSAM",
    )
    made = first.SegmentationAlgorithmIdentificationSequence[0]
    assert (made.AlgorithmName, made.AlgorithmVersion) == ("lite-medsam", "1.0")
    assert "ab" * 32 in made.AlgorithmParameters
    assert (data.PatientName, data.PatientID) == ("Doe^Jane", "SECRET77")  # the standard demands it
    assert "InstitutionName" not in data
    referred = {item.ReferencedSOPInstanceUID for item in data.ReferencedSeriesSequence[0].ReferencedInstanceSequence}
    assert referred <= set(scan.dicom.instances)


def test_overlapping_objects_of_a_picture(tmp_path):
    scan = load_volume(write(tmp_path / "p.dcm", np.zeros((6, 7), np.int16), **TAGS, ImagePositionPatient=[0, 0, 0],
                             ImageOrientationPatient=AXIAL, PixelSpacing=[1, 1], SliceThickness=1))  # fmt: skip
    stack = np.zeros((2, 6, 7), bool)
    stack[0, :4], stack[1, 2:] = True, True
    save_dicom_seg(tmp_path / "a", stack, scan.geometry, scan.dicom, SEGMENTS, ALGORITHM)
    seg = hd.seg.segread(tmp_path / "a")
    assert np.array_equal(seg.get_pixels_by_source_instance([scan.dicom.instances[0]])[0].transpose(2, 0, 1), stack)
    with pytest.raises(CaseError, match="objects that overlap need the type binary"):
        save_dicom_seg(tmp_path / "b", stack, scan.geometry, scan.dicom, SEGMENTS, ALGORITHM, "labelmap")
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("syntax", ["RLELossless", "JPEGLSLossless", "JPEG2000Lossless"])
def test_images_may_be_packed(tmp_path, syntax):
    folder = write_series(tmp_path / "s", shape=(32, 48), **TAGS)
    for path in folder.iterdir():
        data = pydicom.dcmread(path)
        data.PixelRepresentation = 0
        try:
            data.compress(getattr(pydicom.uid, syntax))
        except (RuntimeError, NotImplementedError) as error:  # a library that is not there
            pytest.skip(str(error).splitlines()[0])
        data.save_as(path)
    scan = load_volume(folder)
    labels = (scan.values > scan.values[2].mean()).astype(np.uint8)
    save_dicom_seg(tmp_path / "a", labels, scan.geometry, scan.dicom, SEGMENTS[:1], ALGORITHM)
    found = hd.seg.segread(tmp_path / "a").get_pixels_by_source_instance(
        list(scan.dicom.instances), combine_segments=True, assert_missing_frames_are_empty=True
    )
    assert np.array_equal(found, labels)


def test_sizes_without_a_thickness(tmp_path):
    """Slices are as thick as they are apart; a picture that lies nowhere has no size in its segmentation. Both are read back."""
    folder = write_series(tmp_path / "s", **TAGS)
    for path in folder.iterdir():
        data = pydicom.dcmread(path)
        del data.SliceThickness
        data.save_as(path)
    keys = {"StudyInstanceUID": TAGS["StudyInstanceUID"], "SOPClassUID": pydicom.uid.ComputedRadiographyImageStorage}
    film = write(tmp_path / "cr.dcm", np.zeros((6, 7), np.uint16), Modality="CR", PixelSpacing=[0.1, 0.1], **keys)
    for source, thickness in ((folder, 2.5), (film, None)):
        scan = load_volume(source)
        labels = np.ones(scan.label_shape, np.uint8)
        save_dicom_seg(tmp_path / "a", labels, scan.geometry, scan.dicom, SEGMENTS[:1], ALGORITHM)
        seg = hd.seg.segread(tmp_path / "a")
        assert seg.pixel_array.all()
        shared = seg.SharedFunctionalGroupsSequence[0]
        assert ("PixelMeasuresSequence" in shared) == (thickness is not None)
        if thickness:
            assert shared.PixelMeasuresSequence[0].SliceThickness == thickness


def test_what_cannot_be_referred_to(tmp_path):
    scan = load_volume(write_series(tmp_path / "s"))
    with pytest.raises(CaseError, match="its images must have StudyInstanceUID"):
        save_dicom_seg(tmp_path / "a", scan.values > 0, scan.geometry, scan.dicom, SEGMENTS, ALGORITHM)
    (tmp_path / "s" / "IM0000.dcm").unlink()
    with pytest.raises(CaseError, match="1 of its 5 images are no longer there"):
        save_dicom_seg(tmp_path / "a", labels_of(scan.values.shape), scan.geometry, scan.dicom, SEGMENTS, ALGORITHM)


def test_every_code_is_in_the_code_dictionary():
    """No code is invented: value and meaning are those of DICOM PS3.16 in pydicom, and names of targets are spelled right."""
    document = json.loads((ROOT / "prompts" / "snomed.json").read_text())
    known = {(codes.SCT.__getattr__(name).value, codes.SCT.__getattr__(name).meaning) for name in codes.SCT.dir()}
    for row in document["codes"]:
        for part in {"category", "type", "region"} & set(row):
            assert (row[part]["value"], row[part]["meaning"]) in known, row
    categories = {code.value for code in (getattr(codes.cid7150, name) for name in codes.cid7150.dir())}
    assert {row["category"]["value"] for row in document["codes"]} <= categories
    names = [row["name"] for row in document["codes"]]
    assert len(names) == len(set(names))
    targets = {row["name"] for row in json.loads((ROOT / "prompts" / "targets.json").read_text())["targets"]}
    assert len(targets & set(names)) >= 20


def test_the_table_fits_its_schema():
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((ROOT / "prompts" / "snomed.schema.json").read_text())
    jsonschema.validate(json.loads((ROOT / "prompts" / "snomed.json").read_text()), schema)
