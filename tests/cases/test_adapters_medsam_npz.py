"""medsam-npz: challenge npz in 2D and 3D, npy pairs of the reference and our own, both directions."""

import numpy as np
import pytest

from lite_medsam.cases.adapters import Options, open_adapter
from lite_medsam.cases.adapters.write import check_source, prepare_cases
from lite_medsam.cases.case import Case, load_case, save_case
from lite_medsam.errors import CaseError

RNG = np.random.default_rng(0)


def disc(shape, value=1):
    label = np.zeros(shape, np.uint8)
    label[..., 4:9, 5:11] = value
    return label


@pytest.fixture
def npz_folder(tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    colour = RNG.integers(0, 256, (20, 24, 3), np.uint8)
    volume = RNG.integers(0, 256, (5, 20, 24), np.uint8)
    label = disc((5, 20, 24), 44)
    label[0] = 0  # an empty first slice
    np.savez(raw / "2D_Dermoscopy_isic_1.npz", imgs=colour, gts=disc((20, 24)))
    np.savez(raw / "3D_CT_liver_2.npz", imgs=volume, gts=label, spacing=np.array([0.5, 0.7, 5.0]))
    return raw


def prepare(source, out, layout="npz", **options):
    adapter = open_adapter("medsam-npz", source, Options(**options))
    return prepare_cases(adapter, adapter.settings, out, layout=layout)


def run(source, **options):
    adapter = open_adapter("medsam-npz", source, Options(**options))
    return check_source(adapter, adapter.settings)


def same(a: Case, b: Case) -> bool:
    fields = ("name", "modality", "group", "spacing_mm", "is_volume", "label_names", "metadata")
    return (
        np.array_equal(a.image, b.image)
        and np.array_equal(a.label, b.label)
        and all(getattr(a, f) == getattr(b, f) for f in fields)
    )


def test_npz_cases_keep_name_spacing_and_volume(npz_folder, tmp_path):
    assert not prepare(npz_folder, tmp_path / "out").all_problems
    case = load_case(tmp_path / "out" / "3D_CT_liver_2.npz")
    assert case.is_volume and case.spacing_mm == (5.0, 0.7, 0.5) and case.modality == "CT"
    assert case.image.shape == (5, 20, 24)
    picture = load_case(tmp_path / "out" / "2D_Dermoscopy_isic_1.npz")
    assert picture.image.shape == (20, 24, 3) and not picture.is_volume


def test_npz_to_npy_and_back_loses_nothing(npz_folder, tmp_path):
    save_case(
        npz_folder / "2D_OCT_x-012.npz",
        Case(
            disc((20, 24)), disc((20, 24), 2), modality="OCT", group="P 7", label_names={2: "cyst"}, metadata={"a": "b"}
        ),
    )
    prepare(npz_folder, tmp_path / "npz")
    report = prepare(npz_folder, tmp_path / "npy", layout="npy")
    assert report.written == 3
    image = np.load(tmp_path / "npy" / "imgs" / "3D_CT_liver_2-000.npy")
    assert image.dtype == np.uint8 and image.shape == (20, 24, 3)
    names = sorted(p.name for p in (tmp_path / "npy" / "gts").glob("3D*"))
    assert names == [f"3D_CT_liver_2-00{z}.npy" for z in range(5)]  # the empty slice too: no gap closes
    assert not prepare(tmp_path / "npy", tmp_path / "back").all_problems
    written = sorted((tmp_path / "npz").glob("*.npz"))
    assert len(written) == 3
    for path in written:
        assert same(load_case(path), load_case(tmp_path / "back" / path.name)), path.name


def test_the_references_own_npy_files(tmp_path):
    """float (H, W, 3) in 0..1, slice by slice, without an info file."""
    for folder in ("imgs", "gts"):
        (tmp_path / "npy" / folder).mkdir(parents=True)
    grey = RNG.integers(0, 256, (3, 20, 24))
    for z in range(3):
        stretched = (grey[z] - grey[z].min()) / (grey[z].max() - grey[z].min())
        np.save(tmp_path / "npy" / "imgs" / f"CT_Abd_7-00{z}.npy", np.repeat(stretched[..., None], 3, axis=2))
        np.save(tmp_path / "npy" / "gts" / f"CT_Abd_7-00{z}.npy", disc((20, 24)))
    colour = RNG.random((20, 24, 3))
    np.save(tmp_path / "npy" / "imgs" / "Dermoscopy_1.npy", colour)
    np.save(tmp_path / "npy" / "gts" / "Dermoscopy_1.npy", disc((20, 24)).astype(np.int64))
    found = run(tmp_path / "npy", modality="CT")
    assert not found.all_problems
    assert {f.name: f.group for f in found.facts} == {
        "CT_Abd_7-000": "CT_Abd_7", "CT_Abd_7-001": "CT_Abd_7", "CT_Abd_7-002": "CT_Abd_7", "Dermoscopy_1": None,
    }  # fmt: skip
    assert {f.name: f.modality for f in found.facts}["Dermoscopy_1"] == "Dermoscopy"
    prepare(tmp_path / "npy", tmp_path / "out")
    assert np.array_equal(load_case(tmp_path / "out" / "Dermoscopy_1.npz").image, np.rint(colour * 255))
    assert load_case(tmp_path / "out" / "CT_Abd_7-000.npz").image.shape == (20, 24)


def test_an_incomplete_volume_is_refused(npz_folder, tmp_path):
    prepare(npz_folder, tmp_path / "npy", layout="npy")
    (tmp_path / "npy" / "imgs" / "3D_CT_liver_2-002.npy").unlink()
    found = run(tmp_path / "npy")
    assert sorted(p.kind for p in found.errors) == ["unpaired-mask", "unreadable"]
    assert "5 slices, found 4" in " ".join(p.message for p in found.errors)


def test_planted_faults_are_reported_file_by_file(npz_folder):
    good = RNG.integers(0, 256, (20, 24, 3), np.uint8)
    np.savez(npz_folder / "2D_US_size.npz", imgs=good, gts=disc((20, 23)))
    np.savez(npz_folder / "2D_US_nan.npz", imgs=np.full((20, 24), np.nan), gts=disc((20, 24)))
    np.savez(npz_folder / "2D_US_half.npz", imgs=good, gts=disc((20, 24)) * 0.5)
    np.savez(npz_folder / "2D_US_unlabelled.npz", imgs=good)
    np.savez(npz_folder / "2D_US_empty.npz", imgs=good, gts=np.zeros((20, 24)))
    np.savez(npz_folder / "2D_US_keys.npz", image=good)
    np.savez(npz_folder / "2D_US_pickle.npz", imgs=np.array([{"a": 1}], dtype=object), gts=disc((20, 24)))
    (npz_folder / "2D_US_text.npz").write_text("no archive")
    found = run(npz_folder)
    assert sorted((p.path, p.kind) for p in found.all_problems) == [
        ("2D_US_empty.npz", "empty-mask"),
        ("2D_US_half.npz", "unexpected-labels"),
        ("2D_US_keys.npz", "unreadable"),
        ("2D_US_nan.npz", "nan"),
        ("2D_US_pickle.npz", "unreadable"),
        ("2D_US_size.npz", "size-mismatch"),
        ("2D_US_text.npz", "unreadable"),
        ("2D_US_unlabelled.npz", "unpaired-image"),
    ]
    assert sum(f.is_usable for f in found.facts) == 3
    assert "unpaired-image" not in {p.kind for p in run(npz_folder, unlabelled=True).all_problems}


@pytest.mark.parametrize("damage", ["cut", "pickle", "header", "shape"])
def test_damaged_npy_files_are_refused(npz_folder, tmp_path, damage):
    prepare(npz_folder, tmp_path / "npy", layout="npy")
    path = tmp_path / "npy" / "imgs" / "2D_Dermoscopy_isic_1.npy"
    data = path.read_bytes()
    if damage == "cut":
        path.write_bytes(data[:-10])
    elif damage == "pickle":
        np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    elif damage == "header":
        path.write_bytes(data[:4] + b"\xff" * 60)
    else:
        np.save(path, np.zeros((4, 4, 4, 4), np.uint8))
    found = run(tmp_path / "npy")
    assert [(p.kind, p.path) for p in found.errors] == [("unreadable", "imgs/2D_Dermoscopy_isic_1.npy")]


def test_instances_in_a_volume_and_no_resizing_of_volumes(npz_folder, tmp_path):
    prepare(npz_folder, tmp_path / "out", instances=True)
    label = load_case(tmp_path / "out" / "3D_CT_liver_2.npz").label
    assert label.max() == 1
    found = run(npz_folder, resize_px=10)
    assert [(p.kind, p.path) for p in found.errors] == [("unsupported", "3D_CT_liver_2.npz")]


def test_groups_from_names_and_files(npz_folder):
    save_case(npz_folder / "2D_OCT_a_1.npz", Case(disc((20, 24)), disc((20, 24)), group="P1"))
    assert {f.group for f in run(npz_folder).facts} == {None, "P1"}
    assert {f.group for f in run(npz_folder, group_regex=r"_(\d)$").facts} == {"1", "2"}


def test_two_files_of_one_name_are_refused(npz_folder):
    (npz_folder / "deep").mkdir()
    np.savez(npz_folder / "deep" / "2D_Dermoscopy_isic_1.npz", imgs=disc((20, 24)), gts=disc((20, 24)))
    assert [p.kind for p in run(npz_folder).errors] == ["name-clash"] * 2


def test_nothing_to_read_is_said(tmp_path):
    with pytest.raises(CaseError, match="must hold npz cases, or imgs and gts"):
        run(tmp_path)
