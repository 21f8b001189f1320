"""The case and its npz: what is written comes back, foreign archives are understood by the stated rules."""

import io
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lite_medsam.cases.case import (
    MODALITIES,
    Case,
    load_case,
    load_image,
    modality_from_name,
    save_case,
    save_segs,
    slices,
    to_uint8,
)
from lite_medsam.errors import CaseError

IMAGE = np.arange(20, dtype=np.uint8).reshape(4, 5)
VOLUME = np.arange(60, dtype=np.uint8).reshape(3, 4, 5)


def write_npz(path, **arrays):
    np.savez_compressed(path, **arrays)
    return path


def same(a: Case, b: Case) -> bool:
    arrays = all(
        (x is None and y is None) or (x.dtype == y.dtype and np.array_equal(x, y))
        for x, y in ((a.image, b.image), (a.label, b.label), (a.boxes, b.boxes))
    )
    fields = ("spacing_mm", "name", "modality", "group", "is_volume")
    return (
        arrays
        and all(getattr(a, f) == getattr(b, f) for f in fields)
        and (a.label_names or {}) == (b.label_names or {})
    )


names = st.text(
    st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=("C",)), min_size=1, max_size=8
)


@st.composite
def cases(draw):
    is_volume = draw(st.booleans())
    shape = (
        draw(hnp.array_shapes(min_dims=3, max_dims=3, max_side=7))
        if is_volume
        else draw(hnp.array_shapes(min_dims=2, max_dims=2, max_side=9))
    )
    colour = () if is_volume or draw(st.booleans()) else (3,)
    high = draw(st.sampled_from([1, 255, 256, 70_000, 2**32 - 1]))
    label = draw(st.none() | hnp.arrays(np.int64, shape, elements=st.integers(0, high)))
    spacing = st.floats(1e-3, 1e3)
    return Case(
        image=draw(hnp.arrays(np.uint8, shape + colour)),
        label=label,
        boxes=draw(
            st.none()
            | hnp.arrays(
                np.float32,
                (draw(st.integers(0, 3)), 6 if is_volume else 4),
                elements=st.floats(-1e6, 1e6, width=32),
            )
        ),
        spacing_mm=draw(st.none() | st.tuples(*[spacing] * len(shape))),
        name="stem.with.dots",
        modality=draw(st.none() | st.sampled_from(MODALITIES)),
        group=draw(st.none() | names),
        is_volume=is_volume,
        label_names=draw(st.none() | st.dictionaries(st.integers(0, 300), names, max_size=3)),
    )


@given(case=cases())
@settings(max_examples=40, deadline=None)
def test_what_is_saved_comes_back(case, tmp_path_factory):
    path = tmp_path_factory.mktemp("case") / "stem.with.dots.npz"
    save_case(path, case)
    assert same(load_case(path), case)


def test_the_file_holds_the_challenges_keys_without_pickle(tmp_path):
    case = Case(VOLUME, VOLUME, np.ones((1, 6)), (3.0, 2.0, 1.0), "a", "CT", "patient 7", True, {1: "liver"})
    save_case(tmp_path / "a.npz", case)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as stored:
        assert {"imgs", "gts", "boxes", "spacing"} <= set(stored.files)
        assert stored["spacing"].tolist() == [1.0, 2.0, 3.0]  # x, y, z
        assert all(stored[key].dtype != object for key in stored.files)


def test_spacing_is_turned_into_array_order(tmp_path):
    path = write_npz(tmp_path / "3D_CT_1.npz", imgs=VOLUME, spacing=np.array([0.5, 0.7, 5.0]))
    assert load_case(path).spacing_mm == (5.0, 0.7, 0.5)
    path = write_npz(tmp_path / "2D_CT_1.npz", imgs=IMAGE, spacing=np.array([0.5, 0.7]))
    assert load_case(path).spacing_mm == (0.7, 0.5)
    path = write_npz(tmp_path / "2D_CT_2.npz", imgs=IMAGE, spacing=np.array([0.5, 0.7, 9.0]))
    assert load_case(path).spacing_mm == (0.7, 0.5)


@pytest.mark.parametrize(
    ("name", "shape", "is_volume"),
    [
        ("x", (6, 7), False),
        ("x", (6, 7, 3), False),
        ("x", (6, 7, 4), False),
        ("x", (6, 7, 1), False),
        ("x", (6, 7, 5), True),
        ("2DBox_CT_1", (6, 7, 3), False),
        ("3DBox_CT_1", (6, 7, 3), True),
        ("3d_mr_1", (6, 7, 4), True),
        ("3D_MR_1", (6, 7, 2), True),
        ("3D_MR_1", (6, 7, 1), True),
    ],
)
def test_colour_or_volume(tmp_path, name, shape, is_volume):
    image = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    case = load_case(write_npz(tmp_path / f"{name}.npz", imgs=image))
    assert case.is_volume is is_volume
    assert case.label_shape == (shape if is_volume else shape[:2])


def test_a_saved_volume_of_three_columns_stays_a_volume(tmp_path):
    save_case(tmp_path / "x.npz", Case(np.zeros((4, 5, 3), np.uint8), is_volume=True))
    assert load_case(tmp_path / "x.npz").is_volume


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_all_packings_are_read(tmp_path, method):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", method) as archive:
        for key, array in (("imgs", IMAGE), ("gts", np.asfortranarray(IMAGE))):
            buffer = io.BytesIO()
            np.save(buffer, array)
            archive.writestr(f"{key}.npy", buffer.getvalue())
    case = load_case(tmp_path / "a.npz")
    assert np.array_equal(case.image, IMAGE)
    assert np.array_equal(case.label, IMAGE)


@pytest.mark.parametrize(
    ("gts", "dtype"),
    [
        (IMAGE.astype(np.int64), np.uint8),
        (IMAGE.astype(np.float64), np.uint8),
        (IMAGE > 3, np.uint8),
        (IMAGE.astype(np.int32) * 100, np.uint16),
        (IMAGE.astype(">u8") * 100_000, np.uint32),
        (IMAGE[..., None], np.uint8),
    ],
)
def test_label_types(tmp_path, gts, dtype):
    label = load_case(write_npz(tmp_path / "a.npz", imgs=IMAGE, gts=gts)).label
    assert label.dtype == dtype
    assert np.array_equal(label, gts.reshape(IMAGE.shape))


def test_other_image_types_are_stretched_a_volume_as_a_whole(tmp_path):
    wide = np.linspace(-1000, 3000, 60, dtype=np.float32).reshape(3, 4, 5)
    image = load_case(write_npz(tmp_path / "a.npz", imgs=wide)).image
    assert image.dtype == np.uint8
    assert (image[0].max(), image[2].min()) == (82, 173)  # 19/59 and 40/59 of 255: one scale
    flat = load_case(write_npz(tmp_path / "b.npz", imgs=wide[0])).image
    assert (flat.min(), flat.max()) == (0, 255)


def test_modality_and_group_from_file_and_name(tmp_path):
    assert load_case(write_npz(tmp_path / "3DBox_MR_0001.npz", imgs=VOLUME)).modality == "MR"
    path = write_npz(tmp_path / "2D_CT_1.npz", imgs=IMAGE, modality=np.array("OCT"), group=np.array("eye 3"))
    assert (load_case(path).modality, load_case(path).group) == ("OCT", "eye 3")
    path = write_npz(tmp_path / "2D_CT_2.npz", imgs=IMAGE, modality=np.array(7), group=np.ones(3))
    assert (load_case(path).modality, load_case(path).group) == ("CT", None)


@pytest.mark.parametrize(
    ("name", "modality"),
    [
        ("2DBox_XRay_0001", "XRay"),
        ("2DBox_X-Ray_0001", "XRay"),
        ("2D_x_ray_1", "XRay"),
        ("xray-3", "XRay"),
        ("2D_CT_bhsd_120018", "CT"),
        ("3d_mr_x", "MR"),
        ("3DBox_PET_01.npz", "PET"),
        ("OCT_0001", "OCT"),
        ("2D_Microscopy", "Microscopy"),
        ("CTA_1", None),
        ("octopus", None),
        ("patient_CT_3", None),
        ("2D", None),
        ("", None),
    ],
)
def test_modality_from_name(name, modality):
    assert modality_from_name(name) == modality


def test_slices_are_labelled_evenly_spread_and_keep_the_patient():
    label = np.zeros((20, 4, 5), np.uint16)
    label[4:16, 1, 2] = 300
    volume = np.arange(20, dtype=np.uint8)[:, None, None] * np.ones((1, 4, 5), np.uint8)
    case = Case(volume, label, None, (5.0, 0.7, 0.5), "v", "CT", None, True, {300: "x"})
    taken = slices(case, 3)
    assert [s.name for s in taken] == ["v_z006", "v_z010", "v_z014"]
    assert [int(s.image[0, 0]) for s in taken] == [6, 10, 14]
    assert all(s.label.max() == 300 and not s.is_volume and s.spacing_mm == (0.7, 0.5) for s in taken)
    assert {s.group for s in taken} == {"v"}
    assert len(slices(case, 100)) == 12
    assert [s.name for s in slices(case, 1)] == ["v_z010"]
    assert slices(Case(volume, np.zeros_like(label), is_volume=True), 3) == []
    for wrong in (Case(IMAGE, IMAGE), Case(volume, is_volume=True)):
        with pytest.raises(CaseError, match="labelled volume"):
            slices(wrong, 3)


@pytest.mark.parametrize(("high", "dtype"), [(255, np.uint8), (256, np.uint16), (65_536, np.uint32)])
def test_segs_take_the_smallest_type(tmp_path, high, dtype):
    segs = np.array([[0, high]])
    save_segs(tmp_path / "new" / "a.npz", segs)
    with np.load(tmp_path / "new" / "a.npz") as stored:
        assert stored.files == ["segs"]
        assert stored["segs"].dtype == dtype
        assert np.array_equal(stored["segs"], segs)


@pytest.mark.parametrize(
    "segs", [np.zeros(3), np.array([[-1]]), np.array([[0.5]]), np.array([[2**32]]), np.zeros((0, 3))]
)
def test_segs_refuse_what_is_no_label_map_and_leave_nothing(tmp_path, segs):
    with pytest.raises(CaseError, match="segs must"):
        save_segs(tmp_path / "a.npz", segs)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    save_segs(tmp_path / "a.npz", IMAGE)

    def full_disk(file, **arrays):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full_disk)
    with pytest.raises(OSError, match="No space"):
        save_segs(tmp_path / "a.npz", IMAGE + 1)
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]
    with np.load(tmp_path / "a.npz") as stored:
        assert np.array_equal(stored["segs"], IMAGE)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"image": IMAGE.astype(float)}, "image must be a uint8 array, got float64"),
        ({"image": [[1]]}, "image must be a uint8 array, got list"),
        ({"image": IMAGE[..., None]}, "got shape (4, 5, 1); convert it with case.to_uint8"),
        ({"image": IMAGE[:0]}, "image must have pixels"),
        ({"image": IMAGE, "is_volume": True}, "a volume must be (D, H, W), got shape (4, 5)"),
        ({"label": IMAGE[:3]}, "the label map must have the image's shape (4, 5), got (3, 5)"),
        ({"label": IMAGE - 0.5}, "whole numbers"),
        ({"label": IMAGE.astype(int) - 1}, "values from 0 to 4294967295, got -1 to 18"),
        ({"label": IMAGE.astype(str)}, "must hold integers"),
        (
            {"boxes": np.zeros(4)},
            "boxes must be (N, 4) as x0 y0 x1 y1, got shape (4,); wrap a single box: [[x0, y0, x1, y1]]",
        ),
        ({"boxes": np.zeros((1, 6))}, "boxes must be (N, 4)"),
        ({"boxes": [[0, 0, np.nan, 1]]}, "boxes must be finite"),
        ({"boxes": [[0, 0, 1e300, 1]]}, "boxes must be finite"),
        ({"spacing_mm": (1.0,)}, "spacing must be 2 positive numbers"),
        ({"spacing_mm": (1.0, 0.0)}, "spacing must be 2 positive numbers"),
        ({"spacing_mm": 1.0}, "spacing must be 2 positive numbers"),
        ({"name": "../a"}, "path separators"),
        ({"name": ""}, "non-empty"),
        ({"modality": "Xray"}, "modality must be one of CT, MR"),
        ({"group": 3}, "group must be a text"),
        ({"label_names": {"1": "x"}}, "label_names must map"),
    ],
)
def test_construction_checks(fields, message):
    with pytest.raises(CaseError) as caught:
        Case(**{"image": IMAGE, **fields})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_boxes_is_an_empty_array():
    assert Case(IMAGE, boxes=[]).boxes.shape == (0, 4)


def test_the_image_functions_are_offered_here_too():
    assert load_image.__module__ == "lite_medsam.images.reading"
    assert to_uint8.__module__ == "lite_medsam.images.intensity"
