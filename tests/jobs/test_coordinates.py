"""Boxes, points and slices in the voxels of the file: the object is found where every other tool shows it."""

import itertools
import json

import numpy as np
import pytest
from fakes import FakeBackend

from lite_medsam.errors import PromptError
from lite_medsam.jobs.batch import Job, SegmentOptions, find_jobs, run_job
from lite_medsam.prompts.prompt_set import Prompt
from lite_medsam.prompts.volume_objects import VolumeObject
from lite_medsam.prompts.volume_prompt_set import load_volume_prompts, volume_prompt_files
from lite_medsam.scans.reading import load_volume
from lite_medsam.segment.predictor import Predictor
from lite_medsam.volumes.propagation import propagate, seeds_from_boxes

nibabel = pytest.importorskip("nibabel")
pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")
CODES = ["".join(code) for a in itertools.permutations(("RL", "AP", "SI")) for code in itertools.product(*a)]
SHAPE, BOX = (48, 40, 30), (10, 6, 4, 29, 19, 13)  # voxels i0 j0 k0 i1 j1 k1, the last inside


@pytest.fixture
def predictor():
    return Predictor(FakeBackend(), zoom="off")


def affine_of(codes, spacing=(1.0, 1.0, 1.0), tilt=0.0):
    matrix = np.zeros((4, 4))
    matrix[3, 3] = 1
    for axis, letter in enumerate(codes):
        world = next(i for i, pair in enumerate(("RL", "AP", "SI")) if letter in pair)
        matrix[world, axis] = spacing[axis] * (1 if letter in "RAS" else -1)
    turn = np.eye(4)
    c, s = np.cos(tilt), np.sin(tilt)
    turn[:2, :2] = [[c, -s], [s, c]]
    return turn @ matrix


def volume(path, codes="LPS", spacing=(1.0, 1.0, 1.0), tilt=0.0, shape=SHAPE):
    values = np.random.default_rng(0).integers(40, 60, shape).astype(np.int16)
    if len(shape) == 3 and min(shape) > 1:
        i0, j0, k0, i1, j1, k1 = BOX
        values[i0 : i1 + 1, j0 : j1 + 1, k0 : k1 + 1] += 100
    nibabel.save(nibabel.Nifti1Image(values, affine_of(codes, spacing, tilt)), path)
    return path


def truth():
    inside = np.zeros(SHAPE, bool)
    i0, j0, k0, i1, j1, k1 = BOX
    inside[i0 : i1 + 1, j0 : j1 + 1, k0 : k1 + 1] = True
    return inside


def label(folder, stem="a"):
    return np.asarray(nibabel.load(folder / f"{stem}_label.nii.gz").dataobj)


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


@pytest.mark.parametrize("codes", CODES)
def test_a_box_in_voxels_finds_the_object_whatever_the_orientation(predictor, tmp_path, codes):
    path = volume(tmp_path / "a.nii.gz", codes)
    record = run_job(predictor, Job(path, tmp_path / "out" / "a", tuple(seeds_from_boxes([BOX]))), SegmentOptions())
    found = label(tmp_path / "out") == 1
    assert iou(found, truth()) > 0.7
    (item,) = record["objects"]
    held = np.argwhere(found)
    assert item["box_voxel"] == [*held.min(0), *held.max(0)]
    segs = np.load(tmp_path / "out" / "a.npz")
    assert str(segs["segs_coordinates"]) == "display"
    z, y, x = (np.flatnonzero(segs["segs"].any(other)) for other in ((1, 2), (0, 2), (0, 1)))
    assert item["box_display"] == [x[0], y[0], z[0], x[-1], y[-1], z[-1]] and item["slices_display"] == [z[0], z[-1]]
    assert item["prompt"]["voxel"]["box"] == list(BOX)
    frame = record["coordinates"]
    assert frame["prompts"] == "voxel" and frame["segs"] == "display" and frame["label"] == "voxel"
    axis = frame["display"]["z"]["file_axis"]
    first = "ijk".index(axis)
    assert item["slices_voxel"] == {"axis": axis, "first": held.min(0)[first], "last": held.max(0)[first]}
    json.dumps(record)


@pytest.mark.parametrize("thick", [0, 1, 2])
@pytest.mark.parametrize(("codes", "tilt"), [("RAS", 0.0), ("ASL", 0.0), ("LPS", 0.3), ("IPR", -0.2)])
def test_sagittal_coronal_and_oblique_scans(predictor, tmp_path, thick, codes, tilt):
    spacing = [1.0, 1.0, 1.0]
    spacing[thick] = 4.0
    path = volume(tmp_path / "a.nii.gz", codes, spacing, tilt)
    assert load_volume(path).geometry.axes[0] == thick
    document = {"version": 1, "volume": True, "objects": [{"name": "block", "box": BOX}]}
    (tmp_path / "p.json").write_text(json.dumps(document))
    run_job(predictor, Job(path, tmp_path / "out" / "a", prompt_file=tmp_path / "p.json"), SegmentOptions())
    assert iou(label(tmp_path / "out") == 1, truth()) > 0.7


@pytest.mark.parametrize("thick", [0, 1, 2])
@pytest.mark.parametrize("codes", ["RAS", "ASL", "IPR"])
@pytest.mark.parametrize("axis", [None, "i", "j", "k"])
def test_prompts_on_slices_count_along_the_named_axis(predictor, tmp_path, thick, codes, axis):
    """z is k, box is i j, whatever way the scan is shown; another axis can be named."""
    spacing = [1.0, 1.0, 1.0]
    spacing[thick] = 4.0
    path = volume(tmp_path / "a.nii.gz", codes, spacing)
    across = "ijk".index(axis or "k")
    u, v = (a for a in range(3) if a != across)
    low, high = BOX[:3], BOX[3:]
    rectangle = [low[u], low[v], high[u], high[v]]
    slices = [
        {"z": low[across] + 1, "box": rectangle},
        {"z": high[across] - 2, "points": [[low[u] + 3, low[v] + 4, 1]]},
    ]
    item = {"slices": slices, "z_range": [low[across], high[across]], "bounds": rectangle}
    document = {"version": 1, "volume": True, "coordinates": "voxel", "objects": [item]}
    document |= {} if axis is None else {"axis": axis}
    (tmp_path / "p.json").write_text(json.dumps(document))
    record = run_job(predictor, Job(path, tmp_path / "out" / "a", prompt_file=tmp_path / "p.json"), SegmentOptions())
    found = label(tmp_path / "out") == 1
    assert found.sum() == (found & truth()).sum() > 0
    assert {low[across] + 1, high[across] - 2} <= set(np.flatnonzero(found.any((u, v))).tolist())
    assert found.take(low[across] + 1, across)[low[u] : high[u] + 1, low[v] : high[v] + 1].mean() > 0.8
    assert record["coordinates"]["display"]["z"]["file_axis"] == (axis or "k")
    asked = record["objects"][0]["prompt"]["voxel"]["slices"]
    asked = sorted(asked, key=lambda entry: entry[axis or "k"])
    assert [entry[axis or "k"] for entry in asked] == [low[across] + 1, high[across] - 2]
    point = [0, 0, 0, 1]
    point[u], point[v], point[across] = low[u] + 3, low[v] + 4, high[across] - 2
    assert asked[1]["points"] == [point]


def test_masks_of_slices_are_pictures_of_the_file(predictor, tmp_path):
    """Rows are j and columns i, as SimpleITK's arrays have them."""
    path = volume(tmp_path / "a.nii.gz", "PSR")
    mask = np.zeros((SHAPE[1], SHAPE[0]), bool)  # (j, i)
    mask[3:9, 20:40] = True
    item = VolumeObject({7: Prompt(mask=mask)}, z_range=(7, 7))
    run_job(predictor, Job(path, tmp_path / "out" / "a", (item,)), SegmentOptions())
    found = label(tmp_path / "out") == 1
    assert np.array_equal(found[:, :, 7], mask.T) and found.sum() == mask.sum()


def test_display_coordinates_are_what_the_demo_writes(predictor, tmp_path):
    path = volume(tmp_path / "a.nii.gz", "RAS", (1, 4, 1))
    scan = load_volume(path)
    objects = [
        VolumeObject(
            {20: Prompt(box=(3.25, 4, 20, 21)), 25: Prompt(mask=np.eye(30, 48) > 0, final=True)}, "a", (18, 26)
        )
    ]
    for name, content in volume_prompt_files(objects).items():
        (tmp_path / name).write_bytes(content)
    assert json.loads((tmp_path / "prompts.json").read_text())["coordinates"] == "display"
    for default in ("voxel", "display"):  # what the file says wins
        job = Job(path, tmp_path / default / "a", prompt_file=tmp_path / "prompts.json")
        record = run_job(predictor, job, SegmentOptions(coordinates=default))
        segs = np.load(tmp_path / default / "a.npz")["segs"]
        assert np.array_equal(segs, propagate(predictor, scan.to_uint8(), objects).label_map())
        assert record["coordinates"]["prompts"] == "display"
    (again,) = load_volume_prompts(tmp_path / "prompts.json")
    assert again.prompts[20].box == (3.25, 4, 20, 21) and again.prompts[25].final and again.z_range == (18, 26)
    assert np.array_equal(again.prompts[25].mask, np.eye(30, 48) > 0)


def test_coordinates_by_option(predictor, tmp_path):
    path = volume(tmp_path / "a.nii.gz", "RAS")
    geometry = load_volume(path).geometry
    shown = geometry.box_to_display(np.array(BOX, float))
    assert not np.array_equal(shown, BOX)
    for coordinates, box in (("voxel", BOX), ("display", shown)):
        job = find_jobs([path], tmp_path / coordinates, tuple(seeds_from_boxes([box])))[0]
        run_job(predictor, job, SegmentOptions(coordinates=coordinates))
        assert iou(label(tmp_path / coordinates) == 1, truth()) > 0.7
    with pytest.raises(ValueError, match="coordinates must be one of voxel, display"):
        SegmentOptions(coordinates="world")


@pytest.mark.parametrize("codes", ["LPS", "RAS", "RSA", "ASL", "SPR"])
@pytest.mark.parametrize("shape", [(30, 20), (30, 20, 1), (30, 1, 20), (1, 30, 20)])
def test_a_picture_in_voxels(predictor, tmp_path, codes, shape):
    """2D NIfTI: x and y are the two axes of the file that lie in the picture."""
    path = volume(tmp_path / "a.nii.gz", codes, shape=shape)
    record = run_job(predictor, Job(path, tmp_path / "out" / "a", (Prompt(box=(3, 2, 14, 7)),)), SegmentOptions())
    found = label(tmp_path / "out")
    assert found.shape == shape
    flat = found.reshape(30, 20)
    assert flat[3:15, 2:8].any() and flat.sum() == flat[3:15, 2:8].sum() >= 40
    (item,) = record["objects"]
    held = np.argwhere(flat)
    assert item["box_voxel"] == [*held.min(0), *held.max(0)] and item["prompt"]["voxel"]["box"] == [3, 2, 14, 7]
    record = run_job(
        predictor, Job(path, tmp_path / "click" / "a", (Prompt(points=[(29, 0)], point_labels=[1]),)), SegmentOptions()
    )
    assert label(tmp_path / "click").reshape(30, 20)[29, 0] == 1
    assert record["objects"][0]["prompt"]["voxel"]["points"] == [[29, 0, 1]]


def test_the_python_reader_needs_the_geometry_for_voxels(tmp_path):
    path = volume(tmp_path / "a.nii.gz", "RAS")
    document = {
        "version": 1,
        "volume": True,
        "coordinates": "voxel",
        "objects": [{"slices": [{"z": 3, "box": [1, 2, 9, 8]}]}],
    }
    (tmp_path / "p.json").write_text(json.dumps(document))
    with pytest.raises(PromptError, match="need the geometry of the scan"):
        load_volume_prompts(tmp_path / "p.json")
    scan = load_volume(path)
    (item,) = load_volume_prompts(tmp_path / "p.json", scan.geometry)
    ((z, prompt),) = item.prompts.items()
    back = scan.geometry.box_to_voxel(np.array([*prompt.box[:2], z, *prompt.box[2:], z]))
    assert back.tolist() == [1, 2, 3, 9, 8, 3]
    sagittal = load_volume(path, plane="sagittal")
    with pytest.raises(PromptError, match="lie along k of the file"):
        load_volume_prompts(tmp_path / "p.json", sagittal.geometry)
    assert (
        load_volume_prompts(tmp_path / "p.json", sagittal.across(2).geometry)[0].prompts.keys() == item.prompts.keys()
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"coordinates": "world"}, "coordinates must be one of voxel, display"),
        ({"axis": "x"}, "axis must be the axis of the file"),
        ({"axis": "k", "coordinates": "display"}, "axis must be left out"),
        ({"objects": [{"box": [1, 2, 3, 4]}]}, "array of 6 values"),
        ({"objects": [{"box": [9, 2, 3, 4, 5, 6]}]}, "each first edge up to the last"),
        ({"objects": [{"box": [1, 2, 3, 4, 5, 6], "z_range": [1, 2]}]}, "not both"),
        ({"objects": [{"name": "a"}]}, "must have the key slices, or a box of six"),
    ],
)
def test_wrong_frames(tmp_path, change, message):
    document = {"version": 1, "volume": True, "objects": [{"slices": [{"z": 3, "box": [1, 2, 9, 8]}]}]} | change
    (tmp_path / "p.json").write_text(json.dumps(document))
    with pytest.raises(PromptError, match=message):
        load_volume_prompts(tmp_path / "p.json")


@pytest.mark.parametrize("codes", ["LPS", "RAI"])
@pytest.mark.parametrize(("first", "last"), [(4, 99), (-30, 9), (20, 60), (-90, 70)])
def test_a_box_over_the_ends_is_cut_first(predictor, tmp_path, codes, first, last):
    path = volume(tmp_path / "a.nii.gz", codes)
    box = (10, 6, first, 29, 19, last)
    record = run_job(predictor, Job(path, tmp_path / "out" / "a", tuple(seeds_from_boxes([box]))), SegmentOptions())
    start, end = max(first, 0), min(last, SHAPE[2] - 1)
    asked = record["objects"][0]["prompt"]["voxel"]
    assert asked["box"] == [10, 6, start, 29, 19, end]
    assert abs(2 * asked["slices"][0]["k"] - (start + end)) <= 1


@pytest.mark.parametrize(
    "box", [(10, 6, 30, 29, 19, 40), (10, 6, -9, 29, 19, -1), (48, 6, 4, 60, 19, 13), (1, -9, 4, 5, -2, 9)]
)
def test_a_box_outside_is_an_error(predictor, tmp_path, box):
    path = volume(tmp_path / "a.nii.gz", "RAS")
    with pytest.raises(PromptError, match=r"must (overlap|be first <= last and meet)"):
        run_job(predictor, Job(path, tmp_path / "out" / "a", tuple(seeds_from_boxes([box]))), SegmentOptions())
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())
