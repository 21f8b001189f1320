"""The demo's requests without Gradio and without a browser: files in, masks and downloads out, users kept apart."""

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from demo_desk import CASES, OCT, Page, gradient, mask_of, png_of

from lite_medsam.cases.case import save_case
from lite_medsam.cli.demo_loading import load_demo
from lite_medsam.phantoms import make_phantom, make_phantom_volume

actions, seats, models, opening = (load_demo(name) for name in ("actions", "seats", "models", "opening"))


def picture_of(view):
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(base64.b64decode(view["image"]["png"].split(",")[1]))))


def dicom_bytes(values, z=0.0, modality="CT"):
    pydicom = pytest.importorskip("pydicom")
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    ds = Dataset()
    ds.file_meta = meta
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = "1.2.3", "1.2.3.4", "1.2.3.5"
    ds.Modality, ds.PatientName, ds.PatientID = modality, "Secret^Name", "SECRET1"
    ds.Rows, ds.Columns = values.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit, ds.PixelRepresentation = 15, 1
    ds.RescaleSlope, ds.RescaleIntercept = 1, -1024
    ds.PixelSpacing, ds.SliceThickness = [0.5, 0.8], 3.0
    ds.ImagePositionPatient, ds.ImageOrientationPatient = [0.0, 0.0, z], [1, 0, 0, 0, 1, 0]
    ds.PixelData = (values + 1024).astype(np.int16).tobytes()
    file = io.BytesIO()
    pydicom.dcmwrite(file, ds, enforce_file_format=True)
    return file.getvalue()


def test_every_sample_opens_and_there_is_one_per_modality(fake_desk):
    page = Page(fake_desk)
    samples = page.ask("hello")["about"]["samples"]
    assert {CASES[s["name"]].modality for s in samples if s["name"] in CASES} >= {
        "CT", "MR", "PET", "XRay", "US", "Mammography", "OCT", "Endoscopy", "Fundus", "Dermoscopy", "Microscopy",
    }  # fmt: skip
    assert sum("OCT" in s["title"] for s in samples) >= 2
    for sample in samples:
        image = page.do("sample", name=sample["name"])["image"]
        assert image["png"].startswith("data:image/png;base64,") and image["width"] >= 96
        assert image["volume"] == sample["name"].startswith("3D")


def test_the_canvas_shows_the_pixels_that_the_model_sees(fake_desk):
    page = Page(fake_desk)
    view = page.do("sample", name=OCT)
    assert np.array_equal(picture_of(view), CASES[OCT].image)
    again = page.do("look", have=view["image"]["key"])
    assert "png" not in again["image"]  # a picture is sent once
    fundus = next(name for name, case in CASES.items() if case.modality == "Fundus")
    assert np.array_equal(picture_of(page.do("sample", name=fundus)), CASES[fundus].image)


def test_pictures_of_all_kinds_open(fake_desk, tmp_path):
    import tifffile

    page = Page(fake_desk)
    grey = gradient(dtype=np.uint8, top=255)
    assert np.array_equal(picture_of(page.upload(("a.png", png_of(grey)))["view"]), grey)
    file = io.BytesIO()
    tifffile.imwrite(file, gradient())
    view = page.upload(("sixteen.tif", file.getvalue()))["view"]
    assert view["image"]["name"] == "sixteen" and view["image"]["grey"] and picture_of(view).max() == 255
    assert view["image"]["range"] == [0, 4000] and view["image"]["window"] is None
    window = page.do("window", centre=1000, width=200)
    assert window["image"]["window"] == [1000, 200] and picture_of(window)[gradient() >= 1100].min() == 255
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(CASES[OCT].image).save(file, "JPEG")
    assert page.upload(("Bild mit Ümläut.JPG", file.getvalue()))["view"]["image"]["name"] == "Bild mit Ümläut"
    save_case(tmp_path / "c.npz", make_phantom("mr", 1))
    image = page.upload(("2D_case.npz", (tmp_path / "c.npz").read_bytes()))["view"]["image"]
    assert image["modality"] == "MR" and image["spacing_mm"] and not image["volume"]
    save_case(tmp_path / "v.npz", make_phantom_volume("ct", 0, (4, 128, 128)))
    image = page.upload(("3D_case.npz", (tmp_path / "v.npz").read_bytes()))["view"]["image"]
    assert image["volume"] and image["slices"] == 4 and image["slice"] == 2


def test_large_pictures_are_shown_smaller_and_segmented_in_full(fake_desk):
    page = Page(fake_desk)
    view = page.upload(("wide.png", png_of(np.zeros((301, 4201), np.uint8))))["view"]
    assert view["image"]["width"] == 4201 and view["image"]["step"] == 2 and picture_of(view).shape == (151, 2101)
    view = page.do("paint", stroke=[[4200, 300]], radius=4, add=True)
    assert view["objects"][0]["measures"][0] == ["area", "17 px"]  # a quarter of the brush, in full resolution
    mask = view["objects"][0]["mask"]
    assert mask["x"] + mask["w"] == 2101 and mask["y"] + mask["h"] == 151
    assert page.do("click", x=4200, y=300, positive=True)["objects"][0]["points"] == [[4200, 300, 1]]


def test_a_ct_has_its_window_and_its_spacing_but_no_patient(fake_desk):
    values = gradient((64, 48), np.int16, 1500) - 500
    page = Page(fake_desk)
    answer = page.upload(("scan.dcm", dicom_bytes(values)))
    assert answer["ok"], answer
    image = answer["view"]["image"]
    assert image["hounsfield"] and image["window"] == [40, 400] and image["spacing_mm"] == [0.5, 0.8]
    assert (picture_of(answer["view"])[values <= -160] == 0).all() and (
        picture_of(answer["view"])[values >= 240] == 255
    ).all()
    assert "Secret" not in json.dumps(answer) and "SECRET1" not in json.dumps(answer)
    lung = page.do("window", centre=-600, width=1500)
    assert lung["image"]["key"] != image["key"]
    assert page.do("window", centre=None)["image"]["window"] == [40, 400]


def test_a_dicom_series_is_one_volume_in_order(fake_desk):
    files = [(f"{i}.dcm", dicom_bytes(np.full((32, 40), 100 * i, np.int16), z=3.0 * i)) for i in (2, 0, 3, 1)]
    answer = Page(fake_desk).upload(*files)
    assert answer["ok"], answer
    image = answer["view"]["image"]
    assert image["slices"] == 4 and image["spacing_mm"] == pytest.approx([3.0, 0.5, 0.8])


def test_a_nifti_goes_home_with_its_own_geometry(real_desk, tmp_path):
    nibabel = pytest.importorskip("nibabel")
    case = make_phantom_volume("mr", 0, (6, 96, 112))
    affine = np.array([[-0.9, 0, 0, 12], [0, -0.8, 0, -7], [0, 0, 2.5, 33], [0, 0, 0, 1.0]])
    source = nibabel.Nifti1Image(case.image.transpose(2, 1, 0).astype(np.int16) * 7, affine)
    nibabel.save(source, tmp_path / "head.nii.gz")
    page = Page(real_desk)
    answer = page.upload(("head.nii.gz", (tmp_path / "head.nii.gz").read_bytes()))
    assert answer["ok"], answer
    image = answer["view"]["image"]
    assert image["slices"] == 6 and image["spacing_mm"] == pytest.approx([2.5, 0.8, 0.9])
    shown = picture_of(answer["view"]).shape
    page.do("box", box=[shown[1] // 3, shown[0] // 3, 2 * shown[1] // 3, 2 * shown[0] // 3], slice=3)
    item = page.do("look", slice=3)["objects"][0]
    home = page.ask("save", what="nifti", slice=3)["file"]
    (tmp_path / "label.nii.gz").write_bytes(base64.b64decode(home["data"]))
    label = nibabel.load(tmp_path / "label.nii.gz")
    source = nibabel.load(tmp_path / "head.nii.gz")
    assert label.shape == source.shape and np.array_equal(label.affine, source.affine)
    assert int((np.asarray(label.dataobj) == 1).sum()) == mask_of(item, shown).sum() > 0


BAD = {
    "empty.png": b"",
    "text.png": b"this is no picture",
    "cut.png": png_of(gradient(dtype=np.uint8, top=255))[:60],
    "noise.dcm": bytes(range(256)) * 9,
    "noise.nii.gz": b"\x1f\x8b" + bytes(300),
    "noise.npz": b"PK\x03\x04" + bytes(500),
    "what.docx": b"PK\x03\x04 words",
    "..": b"x",
    "a/../../etc/passwd": b"root",
    "no-ending": b"\0\1\2",
    "weird\n\0name\u202e.tif": b"II*\0" + bytes(40),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_give_one_line_and_the_session_goes_on(fake_desk, name):
    page = Page(fake_desk)
    page.do("sample", name=OCT)
    answer = page.upload((name, BAD[name]))
    assert not answer["ok"] and answer["code"] == "bad", answer
    assert "\n" not in answer["error"] and len(answer["error"]) < 500 and "lite-medsam-demo-" not in answer["error"]
    assert page.do("box", box=[10, 10, 60, 60])["objects"][0]["mask"]["runs"]  # what was open is still open


def test_pictures_are_refused_by_their_header(fake_desk, tmp_path):
    page = Page(fake_desk)
    huge = bytearray(png_of(np.zeros((4, 4), np.uint8)))
    huge[16:24] = (60_000).to_bytes(4, "big") * 2
    import zlib

    huge[29:33] = zlib.crc32(huge[12:29]).to_bytes(4, "big")
    assert "at most" in page.upload(("huge.png", bytes(huge)))["error"]
    large = png_of(np.zeros((3000, 2000), np.uint8))
    answer = page.upload(("large.png", large))
    assert "at most 5,000,000 pixels" in answer["error"] and "large.png" in answer["error"]
    import tifffile

    file = io.BytesIO()
    tifffile.imwrite(file, np.zeros((3000, 2000, 3), np.uint16), compression="zlib")
    assert "at most" in page.upload(("large.tif", file.getvalue()))["error"]
    np.savez_compressed(tmp_path / "bomb.npz", imgs=np.zeros((400, 400, 400), np.uint8))
    assert not page.upload(("3D_bomb.npz", (tmp_path / "bomb.npz").read_bytes()))["ok"]


def test_uploads_keep_to_what_was_announced_and_leave_nothing_behind(fake_desk):
    import tempfile

    def folders():
        return set(Path(tempfile.gettempdir()).glob("lite-medsam-demo-*"))

    before = folders()
    page = Page(fake_desk)
    assert "at most" in page.ask("upload", files=[{"name": "a.png", "size": 10**9}])["error"]
    assert not page.ask("upload", files=[])["ok"]
    page.ask("upload", files=[{"name": "a.png", "size": 10}])
    assert not page.ask("piece", file=0, data=base64.b64encode(bytes(11)).decode())["ok"]
    assert not page.ask("piece", file=3, data="")["ok"] and not page.ask("piece", file=0, data="!")["ok"]
    assert "did not arrive whole" in page.ask("open")["error"] and "choose it again" in page.ask("open")["error"]
    assert folders() == before
    page.ask("upload", files=[{"name": "a.png", "size": 10}])
    page.ask("piece", file=0, data=base64.b64encode(bytes(4)).decode())
    assert len(folders()) == len(before) + 1
    fake_desk.seats.close()
    assert folders() == before


@pytest.mark.parametrize(
    "request_",
    [
        None, 7, [], "box", {}, {"op": "box"}, {"op": None}, {"op": ["x"]}, {"op": "__class__"},
        {"op": "box", "box": [1, 2, 3]}, {"op": "box", "box": [1, 2, 3, "4"]}, {"op": "box", "box": None},
        {"op": "box", "box": [1, 2, float("inf"), 4]}, {"op": "click", "x": True, "y": 1}, {"op": "click", "x": 1},
        {"op": "click", "x": 1e300, "y": 1}, {"op": "scribble", "stroke": {"a": 1}}, {"op": "scribble"},
        {"op": "paint", "stroke": [[1, 1]], "radius": 1e9}, {"op": "look", "slice": "x"}, {"op": "look", "slice": 1.5},
        {"op": "box", "box": [1, 2, 3, 4], "slice": 99}, {"op": "box", "box": [1, 2, 3, 4], "object": 99},
        {"op": "sample", "name": "../../etc"}, {"op": "sample", "name": 5}, {"op": "window", "centre": 0, "width": 0},
        {"op": "spacing", "mm": [0, 1]}, {"op": "spacing", "mm": [1]}, {"op": "model", "model": "x", "engine": "y"},
        {"op": "save", "what": "../x"}, {"op": "choose", "number": 4}, {"op": "merge", "objects": [1, 2]},
        {"op": "propagate"}, {"op": "compare", "model": "fake", "engine": "fake"}, {"op": "rename", "object": 1, "name": ""},
        {"op": "add", "name": "x" * 500}, {"op": "unclick", "number": -1}, {"op": "split"}, {"op": "clear"},
    ],
    ids=str,
)  # fmt: skip
def test_no_request_is_an_exception(fake_desk, request_):
    page = Page(fake_desk)
    page.do("sample", name=OCT)
    if isinstance(request_, dict):
        request_ = {"token": page.token, **request_}
    answer = fake_desk.answer(request_)
    assert answer["ok"] is False and answer["error"] and "\n" not in answer["error"], answer
    assert page.do("box", box=[10, 10, 60, 60])["objects"]


def test_prompts_before_a_picture_are_told_to_open_one(fake_desk):
    page = Page(fake_desk)
    for op in ("box", "click", "undo", "save", "window", "propagate"):
        assert "nothing is open" in page.ask(op, box=[1, 1, 2, 2], x=1, y=1)["error"]


def test_names_of_files_are_made_harmless():
    assert opening.clean_name("C:\\x\\..\\a b.png") == "a b.png" and opening.clean_name("/etc/passwd") == "passwd"
    assert opening.clean_name("a\nb\0.png") == "a?b?.png"
    assert (
        opening._stem("scan.nii.gz") == "scan"
        and opening._stem("..") == "image"
        and opening._stem("a/b:c.png") == "a_b_c"
    )


def test_masks_open_beside_the_picture_as_objects(fake_desk):
    page = Page(fake_desk)
    labels = np.zeros((60, 80), np.uint8)
    labels[10:20, 10:30], labels[40:50, 50:60] = 1, 2
    assert not page.upload(("a_label.png", png_of(labels)), op="masks")["ok"]  # nothing is open yet
    page.upload(("a.png", png_of(gradient(dtype=np.uint8, top=255))))
    answer = page.upload(("a_label.png", png_of(labels)), op="masks")
    assert answer["ok"] and "2 objects" in answer["message"]
    objects = answer["view"]["objects"]
    assert [np.array_equal(mask_of(item, (60, 80)), labels == i) for i, item in enumerate(objects, 1)] == [True, True]
    assert all(item["painted"] for item in objects)
    error = page.upload(("other.png", png_of(labels[1:])), op="masks")["error"]
    assert "other.png" in error and "(60, 80)" in error
    assert len(page.ask("look")["view"]["objects"]) == 2
    assert not page.ask("undo")["view"]["objects"]
    for name in ("first.png", "again.png"):  # numbers of the file, until they were given to somebody here
        objects = page.upload((name, png_of(np.array([0, 7, 3], np.uint8)[labels])), op="masks")["view"]["objects"]
    assert [item["number"] for item in objects] == [3, 7, 8, 9]
    case = make_phantom_volume("ct")
    page.ask("sample", name="3D_ct")
    file = io.BytesIO()
    np.savez_compressed(file, segs=case.label)
    answer = page.upload(("segs.npz", file.getvalue()), op="masks")
    wanted = [value for value in np.unique(case.label) if value]
    assert answer["ok"] and len(answer["view"]["objects"]) == len(wanted)
    for item, value in zip(answer["view"]["objects"], wanted, strict=True):
        assert item["slices"] == np.flatnonzero((case.label == value).any((1, 2))).tolist()


@pytest.mark.parametrize("ending", [".mhd", ".nhdr"])
def test_a_header_and_its_data_are_a_volume_and_are_masks(fake_desk, tmp_path, ending):
    sitk = pytest.importorskip("SimpleITK")
    rng, page = np.random.default_rng(0), Page(fake_desk)
    labels = np.zeros((4, 20, 30), np.uint8)
    labels[1:3, 4:12, 5:15] = 3
    for name, array in (("scan", rng.integers(0, 900, labels.shape, np.int16)), ("mask", labels)):
        sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / f"{name}{ending}"))
    files = {
        name: sorted(((path.name, path.read_bytes()) for path in tmp_path.glob(f"{name}.*")), reverse=ending == ".mhd")
        for name in ("scan", "mask")
    }
    assert len(files["scan"]) == 2
    answer = page.upload(*files["scan"])
    assert answer["ok"] and answer["view"]["image"]["slices"] == 4, answer
    answer = page.upload(*files["mask"], op="masks")
    assert answer["ok"], answer
    (item,) = answer["view"]["objects"]
    assert item["number"] == 3 and item["slices"] == [1, 2]
