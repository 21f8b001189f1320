"""Prompts in space: mm of the patient, voxels, points and lines, on whatever plane the volume is cut along."""

import importlib.util
import json

import numpy as np
import pytest
from fakes import FakeBackend

from lite_medsam.cli.segment import objects_from_options
from lite_medsam.errors import PromptError
from lite_medsam.images.png_writing import png_bytes
from lite_medsam.jobs.batch import Job, SegmentOptions, run_job
from lite_medsam.prompts.diameter_lines import RULES, SHORT_AXIS, longest_line, prompt_of_line
from lite_medsam.prompts.prompt_set import load_prompts
from lite_medsam.prompts.spatial_objects import SpatialObject
from lite_medsam.prompts.volume_prompt_set import load_volume_prompts
from lite_medsam.scans.geometry import Geometry
from lite_medsam.scans.nifti import nifti_bytes
from lite_medsam.scans.reading import load_volume
from lite_medsam.segment.predictor import Predictor

needs_nibabel = pytest.mark.skipif(importlib.util.find_spec("nibabel") is None, reason="nibabel is not installed")
# oblique, anisotropic, mirrored
AFFINE = np.array([[-0.8, 0.06, 0.2, 30], [0.05, 0.7, -0.4, -12], [0.1, 0.1, 2.5, 55], [0, 0, 0, 1.0]])
SHAPE_IJK = (40, 36, 12)


def document(tmp_path, coordinates, item, **more):
    path = tmp_path / "p.json"
    said = {"version": 1, "volume": True, "coordinates": coordinates, "objects": [item], **more}
    path.write_text(json.dumps(said))
    return path


def in_mm(ijk, coordinates):
    ras = np.asarray(ijk, float) @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    return (ras * (-1, -1, 1) if coordinates == "lps_mm" else ras).tolist()


@pytest.mark.parametrize("axis", [None, "i", "j", "k"])
@pytest.mark.parametrize("coordinates", ["voxel", "lps_mm", "ras_mm"])
def test_points_boxes_and_lines_lie_where_the_same_voxels_lie(coordinates, axis, tmp_path):
    geometry = Geometry(AFFINE, SHAPE_IJK, (2, 1, 0), (True, True, False), plane="axial")
    geometry = geometry if axis is None else geometry.across("ijk".index(axis))
    place = (lambda v: v) if coordinates == "voxel" else (lambda v: in_mm(v, coordinates))
    more = {} if axis is None else {"axis": axis}
    box = [*place([5, 7, 3]), *place([11, 20, 6])]
    (found,) = load_volume_prompts(document(tmp_path, coordinates, {"name": "a", "box": box}, **more), geometry)
    wanted = geometry.box_to_display(np.array([5, 7, 3, 11, 20, 6.0]))
    in_voxels = np.array([*found.bounds[:2], found.z_range[0], *found.bounds[2:], found.z_range[1]])
    if coordinates == "voxel":
        assert np.allclose(in_voxels, wanted)
    else:  # two corners say a box with sides along the file's axes, as they lie in the patient
        assert np.allclose(in_voxels, wanted, atol=1e-4)
    item = {"name": "b", "points": [[*place([8, 9, 4]), 1], [*place([20, 30, 4]), 0]]}
    (found,) = load_volume_prompts(document(tmp_path, coordinates, item, **more), geometry)
    for ijk, label in (([8, 9, 4], 1), ([20, 30, 4], 0)):
        x, y, z = geometry.to_display(np.array(ijk, float))
        k = [*map(tuple, found.prompts[int(z)].points.round(3).tolist())].index((x, y))
        assert found.prompts[int(z)].point_labels[k] == label
    ends = np.array([[5, 6, 4], [5, 6, 4.0]])
    ends[1, [a for a in range(3) if a != geometry.axes[0]]] += (6, 3)
    item = {"line": [place(end) for end in ends.tolist()]}
    (found,) = load_volume_prompts(document(tmp_path, coordinates, item, **more), geometry)
    shown = geometry.to_display(ends)
    ((z, prompt),) = found.prompts.items()
    assert z == shown[0, 2] and np.allclose(prompt.box, prompt_of_line(shown[:, :2])[0], atol=1e-4)


@needs_nibabel
@pytest.mark.parametrize("axis", ["i", "j", "k"])
def test_segment_cuts_the_volume_so_that_the_model_sees_the_plane(axis, tmp_path):
    values = np.random.default_rng(0).integers(0, 200, SHAPE_IJK).astype(np.uint8)
    geometry = Geometry(AFFINE, SHAPE_IJK)
    (tmp_path / "a.nii.gz").write_bytes(nifti_bytes(geometry.from_file(values), geometry))
    box = np.array([5, 7, 3, 20, 25, 9.0])
    prompts = (SpatialObject(box),)
    results = {}
    for coordinates in ("voxel", "ras_mm"):
        given = document(tmp_path, coordinates, {"line": [in_mm([5, 7, 4], "ras_mm"), in_mm([5, 20, 4], "ras_mm")]})
        job = Job(tmp_path / "a.nii.gz", tmp_path / f"{coordinates}{axis}" / "a", prompts if coordinates == "voxel" else None,
                  None if coordinates == "voxel" else given)  # fmt: skip
        if coordinates == "ras_mm" and axis == "j":
            with pytest.raises(PromptError, match=r"a line must lie in one slice, its ends are 13\.0 slices apart"):
                run_job(Predictor(FakeBackend()), job, SegmentOptions(("label",), axis=axis))
            continue
        results[coordinates] = run_job(Predictor(FakeBackend()), job, SegmentOptions(("label",), axis=axis))
    item = results["voxel"]["objects"][0]
    assert item["slices_voxel"]["axis"] == axis
    n = "ijk".index(axis)
    assert (item["slices_voxel"]["first"], item["slices_voxel"]["last"]) == (box[n], box[n + 3])
    labels = load_volume(tmp_path / f"voxel{axis}" / "a_label.nii.gz")
    inside = labels.geometry.uncut(labels.values)
    held = np.argwhere(inside > 0)
    assert inside.shape == SHAPE_IJK and held.min(0)[n] == box[n] and held.max(0)[n] == box[n + 3]
    assert item["ended"]["first"]["why"] == item["ended"]["last"]["why"] == "limit"


@pytest.mark.parametrize(
    ("coordinates", "item", "says"),
    [
        ("lps_mm", {"slices": [{"z": 1, "box": [1, 2, 3, 4]}]}, "have a box, points or a line in lps_mm"),
        ("ras_mm", {"points": [[1, 2, 3, 2]]}, "end in 1"),
        ("voxel", {"line": [[1, 2, 3], [1, 2, 3]]}, "two different ends"),
        ("voxel", {"line": [[1, 2, 3], [1, 2, 9]]}, "object 1: a line must lie in one slice"),
        ("voxel", {"box": [1, 2, 3, 4, 5, 6], "points": [[1, 2, 3, 1]]}, "not both"),
        ("voxel", {"points": []}, "one point at least"),
        ("mm", {"points": [[1, 2, 3, 1]]}, "be one of voxel, display, lps_mm, ras_mm"),
    ],
)
def test_what_cannot_be_is_said(coordinates, item, says, tmp_path):
    with pytest.raises(PromptError, match=says):
        load_volume_prompts(document(tmp_path, coordinates, item), Geometry(AFFINE, SHAPE_IJK))


def test_a_line_becomes_the_box_of_an_ellipse_in_files(tmp_path):
    box, points = prompt_of_line(np.array([[10, 20], [50, 20]]))
    assert box == pytest.approx((10, 20 - 20 * SHORT_AXIS, 50, 20 + 20 * SHORT_AXIS)) and not len(points)
    # an ellipse at 45 degrees, by its outline
    angle = np.linspace(0, 2 * np.pi, 4000)
    along, across = np.cos(angle) * 20, np.sin(angle) * 20 * SHORT_AXIS
    outline = np.column_stack([along - across, along + across]) / np.sqrt(2) + 30
    ends = np.array([[30, 30], [30, 30]]) + np.array([[-20], [20]]) / np.sqrt(2)
    assert prompt_of_line(ends)[0] == pytest.approx((*outline.min(0), *outline.max(0)), abs=1e-3)
    (tmp_path / "a.json").write_text('{"version": 1, "objects": [{"line": [[10, 20], [50, 20]], "name": "lesion 1"}]}')
    (prompt,) = load_prompts(tmp_path / "a.json")
    assert prompt.box == pytest.approx(box) and prompt.name == "lesion 1"
    for wrong in ('"line": [[1, 2], [1, 2]]', '"line": [[1, 2], [3, 2]], "box": [1, 2, 3, 4]', '"line": [[1, 2]]'):
        (tmp_path / "a.json").write_text('{"version": 1, "objects": [{' + wrong + "}]}")
        with pytest.raises(PromptError, match=r"objects\[0\]"):
            load_prompts(tmp_path / "a.json")


def test_all_rules_give_what_their_names_say():
    for rule in RULES:
        box, points = prompt_of_line(np.array([[0, 0], [8, 6]]), rule)
        assert (box is None) == (rule == "points") and len(points) == {"s": 3, "e": 1}.get(rule[-1], 0)
    mask = np.zeros((20, 30), bool)
    mask[4, 3:25] = mask[5, 10] = True
    assert sorted(longest_line(mask).tolist()) == [[3, 4], [24, 4]]


@pytest.mark.parametrize(("boxes", "kind"), [(("1,2,3,4,5,6",), "SpatialObject"), (("1,2,3,4",), "Prompt")])
def test_boxes_of_the_command_line_in_mm(boxes, kind):
    objects = objects_from_options(boxes, (), in_space=True)
    assert [type(item).__name__ for item in objects] == [kind]


def test_a_picture_without_a_place_in_a_patient_has_no_mm(tmp_path):
    (tmp_path / "a.png").write_bytes(png_bytes(np.zeros((20, 20), np.uint8)))
    job = Job(tmp_path / "a.png", tmp_path / "out" / "a", (SpatialObject(np.arange(6.0)),))
    with pytest.raises(PromptError, match="has no place in a patient"):
        run_job(Predictor(FakeBackend()), job, SegmentOptions(coordinates="ras_mm"))
