"""Small whole files of every kind, made here: what the damage starts from."""

import dataclasses
import gzip
import io
import json
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]


def images() -> list[bytes]:
    """PNG, JPEG, BMP and TIFF: grey, colour, alpha, palettes, 1 to 32 bits, turned, packed, tiled."""
    from PIL import Image

    rng = np.random.default_rng(0)
    grey = rng.integers(0, 256, (9, 12), np.uint8)
    rgb, rgba = (rng.integers(0, 256, (9, 12, n), np.uint8) for n in (3, 4))
    palette = Image.fromarray(rgb).quantize(7)
    bits = Image.fromarray(grey > 100)
    exif = Image.Exif()
    exif[274] = 6
    files = []
    for picture in (Image.fromarray(grey), Image.fromarray(rgb), Image.fromarray(rgba), palette, bits):
        files.append(_saved(picture, "PNG"))
    files.append(_saved(Image.fromarray(rgba[..., :2], "LA"), "PNG", exif=exif))
    files.append(_saved(palette, "PNG", transparency=1, bits=4))
    files.append(_saved(Image.fromarray(grey.astype(np.uint16) * 200), "PNG"))
    for picture in (Image.fromarray(grey), Image.fromarray(rgb), Image.fromarray(rgba, "CMYK")):
        files += [_saved(picture, "JPEG", exif=exif), _saved(picture, "JPEG", progressive=True)]
    for picture in (Image.fromarray(grey), Image.fromarray(rgb), palette, bits):
        files.append(_saved(picture, "BMP"))
    for picture in (Image.fromarray(grey), Image.fromarray(rgb), palette, bits):
        for packed in (None, "tiff_lzw", "tiff_adobe_deflate", "packbits"):
            files.append(_saved(picture, "TIFF", compression=packed))
    files += [_saved(Image.fromarray(rgb), "TIFF", compression="jpeg"), _saved(bits, "TIFF", compression="group4")]
    return files + _tiffs(rng)


def _tiffs(rng) -> list[bytes]:
    import cv2
    import tifffile

    deep = rng.integers(0, 65536, (20, 18), np.uint16)
    files = []
    for array, options in (
        (deep, {}),
        (deep, {"tile": (16, 16)}),
        (deep, {"bigtiff": True}),
        (deep, {"byteorder": ">", "photometric": "miniswhite"}),
        (deep.astype(np.float32), {"predictor": False}),
        (np.stack([deep] * 3), {"planarconfig": "separate", "photometric": "rgb"}),
        (deep.astype(np.int16), {"extratags": [(274, 3, 1, 6, True)]}),
        (deep.astype(np.uint32), {"resolution": (10, 10)}),
        (deep.astype(np.float64), {}),
        (np.stack([deep, deep]), {"imagej": True}),
    ):
        packed = io.BytesIO()
        tifffile.imwrite(packed, array, **options)
        files.append(packed.getvalue())
    for array in (deep, np.dstack([deep] * 3), deep.astype(np.float32)):  # LZW by libtiff, as OpenCV writes
        files.append(cv2.imencode(".tif", array)[1].tobytes())
    return files


def _saved(picture, kind: str, **options) -> bytes:
    packed = io.BytesIO()
    if picture.mode == "CMYK" or kind != "JPEG" or picture.mode in ("L", "RGB"):
        picture.save(packed, kind, **{k: v for k, v in options.items() if v is not None})
    return packed.getvalue()


def cases() -> list[bytes]:
    """Cases of ours and as the challenge writes them: pictures, volumes, boxes, names."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (8, 10, 3), np.uint8)
    label = np.zeros((8, 10), np.int32)
    label[2:5, 3:7], label[6:8, 1:4] = 1, 2
    volume = rng.integers(0, 256, (4, 8, 10), np.uint8)
    boxes = np.array([[3, 2, 6, 4], [1, 6, 3, 7]])
    several = [
        {"imgs": image, "gts": label, "boxes": boxes, "spacing": np.array([0.5, 0.7])},
        {"imgs": volume, "gts": np.stack([label] * 4), "spacing": np.array([0.5, 0.5, 2.0])},
        {"imgs": volume, "boxes": np.array([[1, 2, 0, 5, 6, 3]]), "spacing": np.array([1.0, 1, 1])},
    ]
    files = []
    for arrays in several:
        packed = io.BytesIO()
        np.savez(packed, **arrays)
        files.append(packed.getvalue())
    return files + _own_cases()


def _own_cases() -> list[bytes]:
    import tempfile

    from lite_medsam.cases.case import Case, save_case

    label = np.zeros((9, 9), np.int32)
    label[2:6, 2:6] = 3
    case = Case(np.full((9, 9), 7, np.uint8), label, modality="OCT", group="p1", name="c", label_names={3: "fluid"})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "case.npz"
        save_case(path, case)
        return [path.read_bytes()]


def npy() -> list[bytes]:
    """Arrays as picture and label map of a pair."""
    rng = np.random.default_rng(0)
    files = []
    for array in (rng.integers(0, 3, (6, 7), np.uint8), rng.random((6, 7)), rng.integers(0, 9, (6, 7, 3), np.uint8)):
        packed = io.BytesIO()
        np.save(packed, array)
        files.append(packed.getvalue())
    return files


def npy_infos() -> list[bytes]:
    """What is written beside such pairs."""
    info = {
        "slices": None,
        "spacing_xyz_mm": [1, 1, 2.5],
        "label_names": {"1": "fluid"},
        "modality": "OCT",
        "group": "p",
    }
    return [json.dumps(info).encode(), json.dumps({**info, "slices": 1}).encode()]


def prompts() -> list[bytes]:
    """Prompt files of pictures, with and without a mask beside them."""
    documents = [
        {"version": 1, "objects": [{"box": [1, 2, 8, 9], "name": "a"}, {"points": [[3, 4, 1], [5.5, 6, 0]]}]},
        {"version": 1, "description": "d", "objects": [{"box": [0, 0, 3.5, 3], "target": "fluid", "mask": "mask.png"}]},
        {
            "version": 1,
            "objects": [{"mask": "logits.tif"}, {"box": [1, 1, 2, 2], "points": [[1, 1, 1]], "final": True}],
        },
    ]
    return [json.dumps(document).encode() for document in documents]


def volume_prompts() -> list[bytes]:
    """Prompt files of volumes."""
    slices = [{"z": 2, "box": [1, 1, 5, 5]}, {"z": 4, "points": [[2, 2, 1]]}, {"z": 5, "mask": "mask.png"}]
    several = [{"name": "a", "target": "t", "z_range": [0, 8], "bounds": [0, 0, 9, 9], "slices": slices}]
    return [
        json.dumps({"version": 1, "volume": True, "objects": objects}).encode() for objects in (several, several * 2)
    ]


def protocols() -> list[bytes]:
    """The protocols that come with the package."""
    return [path.read_bytes() for path in sorted((ROOT / "prompts/protocols").glob("*.json"))]


def vocabularies() -> list[bytes]:
    """A few of the names that an object may have."""
    document = json.loads((ROOT / "prompts/targets.json").read_text(encoding="utf-8"))
    key = next(key for key, value in document.items() if isinstance(value, list))
    return [json.dumps({**document, key: document[key][:3]}).encode()]


def nifti() -> list[bytes]:
    """NIfTI 1 and 2 of several types, scaled, turned, packed, a time series, a picture."""
    import nibabel

    rng = np.random.default_rng(0)
    files = []
    for dtype in (np.uint8, np.int16, np.float32, np.float64, np.uint16):
        array = rng.integers(0, 200, (5, 6, 4)).astype(dtype)
        affine = np.array([[0, -0.7, 0, 3], [0.5, 0, 0, -4], [0, 0, 2, 9], [0, 0, 0, 1.0]])
        image = nibabel.Nifti1Image(array, affine)
        image.header.set_xyzt_units("mm")
        files.append(image.to_bytes())
    image.header.set_slope_inter(2, -1024)
    files += [image.to_bytes(), nibabel.Nifti2Image(array, affine).to_bytes()]
    files.append(nibabel.Nifti1Image(rng.integers(0, 9, (4, 4, 3, 2)).astype(np.int16), np.eye(4)).to_bytes())
    files.append(nibabel.Nifti1Image(rng.integers(0, 9, (7, 5)).astype(np.uint8), np.diag([1, 1, 1, 1])).to_bytes())
    return files


def nifti_gz() -> list[bytes]:
    """The same, packed."""
    return [gzip.compress(data, 1, mtime=0) for data in nifti()]


def dicom() -> list[bytes]:
    """DICOM files of one and several frames, grey and colour, plain and packed."""
    import tempfile

    import dicom_files
    from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

    rng = np.random.default_rng(0)
    slice_ = rng.integers(-1000, 1000, (6, 8)).astype(np.int16)
    plain = {"PixelSpacing": [0.7, 0.5], "RescaleSlope": 1, "RescaleIntercept": -1024, "InstanceNumber": 1}
    placed = {"ImagePositionPatient": [0.0, 0, 5], "ImageOrientationPatient": dicom_files.AXIAL, **plain}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.dcm"
        made = [
            dicom_files.write(path, slice_, **placed, WindowCenter=40, WindowWidth=400).read_bytes(),
            dicom_files.write(path, np.stack([slice_] * 3), Modality="OPT").read_bytes(),
            dicom_files.write(path, rng.integers(0, 255, (6, 8, 3), np.uint8), Modality="ES").read_bytes(),
            dicom_files.write(path, slice_, ImplicitVRLittleEndian, **plain).read_bytes(),
            dicom_files.write(path, slice_.view(np.uint16), PhotometricInterpretation="MONOCHROME1").read_bytes(),
            dicom_files.write(path, slice_, DeflatedExplicitVRLittleEndian, **plain).read_bytes(),
        ]
        import pydicom

        dataset = pydicom.dcmread(io.BytesIO(made[0]))
        dataset.compress(RLELossless)
        dataset.save_as(path)
        return [*made, path.read_bytes()]


def labelme() -> list[bytes]:
    """Labelme files with every shape that the tool draws."""
    shapes = [
        {"label": "a", "points": [[1, 1], [6, 2], [4, 7]], "shape_type": "polygon", "group_id": None, "flags": {}},
        {"label": "b", "points": [[2, 2], [5, 6]], "shape_type": "rectangle"},
        {"label": "a", "points": [[4, 4], [6, 6]], "shape_type": "circle"},
        {"label": "b", "points": [[1, 1], [3, 3]], "shape_type": "line"},
        {"label": "b", "points": [[1, 7], [3, 3], [5, 5]], "shape_type": "linestrip"},
        {"label": "a", "points": [[2, 7]], "shape_type": "point"},
        {"label": "a", "points": [[2, 7], [3, 3]], "shape_type": "points"},
        {"label": "a", "points": [[2, 2], [4, 4]], "shape_type": "mask", "mask": _base64_png()},
    ]
    document = {"version": "5.4", "flags": {}, "imagePath": "a.png", "imageHeight": 10, "imageWidth": 12}
    return [json.dumps({**document, "shapes": part}).encode() for part in (shapes, shapes[:1], shapes[3:])]


def _base64_png() -> str:
    import base64

    from PIL import Image

    return base64.b64encode(_saved(Image.fromarray(np.full((3, 3), 1, np.uint8)), "PNG")).decode()


def target_tables() -> list[bytes]:
    """Tables of names, in the ways that spreadsheets write them."""
    text = "dataset,label,target\nraspnet(_retina),*,retina\nduke,1,fluid\nduke,2,\n"
    return [text.encode(), ("\ufeff" + text).encode(), text.replace("\n", "\r\n").encode(), text.encode("utf-16")]


def group_tables() -> list[bytes]:
    """Tables of groups."""
    text = 'file,group\na.npz,p1\nb.npz,"p ""2"""\nc.npz,p1\n'
    return [text.encode(), ("\ufeff" + text).encode(), text.replace(",", ";").encode()]


def specs() -> list[bytes]:
    """The spec of the bundled model, and one with every optional part."""
    from lite_medsam.model.spec import ModelSpec

    text = (ROOT / "weights/lite-medsam/spec.json").read_text(encoding="utf-8")
    spec = ModelSpec.from_json(text)
    full = dataclasses.replace(spec, int8=dataclasses.replace(spec.int8, source="a" * 64), targets=("a", "b"))
    return [text.encode(), full.to_json().encode()]


def splits() -> list[bytes]:
    """A split as it is written."""
    import tempfile

    from lite_medsam.cases.adapters.split import Entry, make_split
    from lite_medsam.cases.adapters.split_file import save_split

    entries = [Entry(f"case{i}", f"p{i // 2}", sha256=f"{i:064d}") for i in range(8)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "split.json"
        save_split(path, make_split(entries, {"train": 0.5, "val": 0.5}))
        return [path.read_bytes()]


def checkpoints() -> list[bytes]:
    """A state dict by torch.save, wrapped and plain, in the old and new format, and as safetensors."""
    import safetensors.torch
    import torch

    state = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2, dtype=torch.float16)}
    files = [safetensors.torch.save(state)]
    for record, options in (
        (state, {}),
        ({"model": {f"module.{k}": v for k, v in state.items()}, "epoch": 3}, {}),
        (state, {"_use_new_zipfile_serialization": False}),
    ):
        packed = io.BytesIO()
        torch.save(record, packed, **options)
        files.append(packed.getvalue())
    return files


def manifests() -> list[bytes]:
    """The manifest of published weights."""
    return [(ROOT / "weights/manifest.json").read_bytes()] if (ROOT / "weights/manifest.json").exists() else []


def recipes() -> list[bytes]:
    """The committed training recipes."""
    return [
        path.read_bytes() for path in sorted((ROOT / "weights/recipes").glob("*.json")) if path.stat().st_size < 9999
    ]


def finetune_settings() -> list[bytes]:
    """The settings of a fine-tuning run, as it saves them."""
    from lite_medsam.learning.finetuning.settings import FinetuneSettings

    return [json.dumps(dataclasses.asdict(FinetuneSettings()), default=str).encode()]
