"""Prompts on the other planes of a volume: answered there, seen on the slices, followed, and saved."""

import json
from dataclasses import replace

import numpy as np
import pytest
from fakes import DISC_RADIUS, FakeBackend

from lite_medsam.errors import PromptError
from lite_medsam.prompts.volume_coordinates import volume_to_display
from lite_medsam.prompts.volume_prompt_set import read_volume_prompts
from lite_medsam.scans.geometry import Geometry
from lite_medsam.scans.scan import Scan
from lite_medsam.segment.predictor import Predictor
from lite_medsam.segment.region import Region
from lite_medsam.session.interactive import Session
from lite_medsam.session.plane_files import plane_prompt_files
from lite_medsam.session.planes import PlanePrompts
from lite_medsam.volumes.planes import Squared, planes_of

SHAPE = (40, 60, 50)


def session_of(shape=SHAPE, spacing_mm=(1.0, 1.0, 1.0), modality="CT", **more):
    values = np.random.default_rng(0).integers(0, 200, shape, np.uint8)
    values[10:30, 20:40, 15:35] = 250
    geometry = Geometry.from_spacing(shape, spacing_mm)
    scan = Scan(values, spacing_mm, modality, geometry, is_volume=True, **more)
    return Session(Predictor(FakeBackend(64), "off"), scan)


def stacked(item, shape=SHAPE):
    mask = np.zeros(shape, bool)
    for z, region in item.regions().items():
        mask[z] = region.full()
    return mask


@pytest.mark.parametrize("modality", ["CT", "OCT"])
def test_pictures_and_masks_of_a_plane_go_there_and_back(modality):
    shape = (4, 5, 6)
    rng = np.random.default_rng(1)
    volume, mask = rng.integers(0, 255, shape, np.uint8), rng.random(shape) > 0.5
    regions = {z: Region.of(mask[z]) for z in range(4)}
    for plane in planes_of(Geometry.from_spacing(shape, None), modality):
        assert np.array_equal(plane.unturned(plane.turned(volume)), volume)
        for index in range(shape[plane.axis]):
            assert np.array_equal(plane.region(regions, index, shape).full(), plane.picture(mask, index))
            if plane.axis:
                new = rng.random(plane.shape_hw(shape)) > 0.5
                drawn = plane.drawn(regions, index, new, shape[1:])
                expected = mask.copy()
                plane.turned(expected)[index] = new
                assert np.array_equal(stacked(Found(drawn), shape), expected)


class Found:
    def __init__(self, regions):
        self.regions = lambda: regions


def test_planes_are_turned_as_radiology_shows_them():
    axial, coronal, sagittal = planes_of(Geometry.from_spacing((4, 5, 6), None))
    assert [plane.name for plane in (axial, coronal, sagittal)] == ["axial", "coronal", "sagittal"]
    # slices count from the feet: the head is up on both, the patient's right on the left, the front on the left
    assert coronal.upside_down and sagittal.upside_down and not coronal.mirrored and not sagittal.mirrored
    assert (coronal.rows, coronal.columns, sagittal.rows, sagittal.columns) == (0, 2, 0, 1)
    _, above, across = planes_of(Geometry.from_spacing((4, 5, 6), None), "OCT")
    assert (above.rows, above.columns) == (0, 2) and (across.rows, across.columns) == (1, 0)  # depth runs down


def test_a_box_on_a_coronal_picture_is_answered_there_and_seen_on_every_slice():
    session = session_of()
    prompts = PlanePrompts(session)
    prompts.draw_box([15, 10, 34, 29], 1, 30)
    item = session.now.objects[0]
    mask = stacked(item)
    ys = np.flatnonzero(mask.any((0, 2)))
    assert ys.tolist() == [30]  # on that picture alone, until it is followed
    seen = prompts.region(item, 1, 30)
    assert seen.box == (15, 10, 34, 29)  # what the fake fills
    assert np.array_equal(mask[:, 30, :][::-1], seen.full())
    assert prompts.region(item, 2, 20).area_px == mask[:, :, 20].sum()
    assert item.planes[1, 30].box == (15, 10, 34, 29) and item.is_settled
    session.undo()
    assert not session.now.objects
    session.redo()
    assert np.array_equal(stacked(session.now.objects[0]), mask)


def test_clicks_on_a_plane_refine_and_are_taken_back():
    session = session_of()
    prompts = PlanePrompts(session)
    prompts.click(25, 20, True, 2, 22)
    item = session.now.objects[0]
    seen = prompts.region(item, 2, 22).full()
    y, x = np.mgrid[:40, :60]
    reach = DISC_RADIUS * 60 / 64 - 2
    assert seen[np.hypot(x - 25, y - 20) < reach].all() and seen.sum() < 3000
    assert session.missed == ()
    prompts.click(25, 20, False, 2, 22)  # the fake answers with the first click alone
    assert session.missed == ((25, 20, 0),)
    prompts.remove_point(1, 2, 22)
    prompts.remove_point(0, 2, 22)
    assert not session.now.objects[0].planes and not session.now.objects[0].regions()
    with pytest.raises(PromptError, match="a click must be one of"):
        prompts.remove_point(0, 2, 22)
    with pytest.raises(PromptError, match="axis 1 or 2"):
        prompts.click(1, 1, True, 0, 5)
    with pytest.raises(PromptError, match="axis 1 or 2"):
        prompts.picture(1, 60)


def test_a_slice_with_prompts_keeps_its_own_mask():
    session = session_of()
    session.draw_box([15, 20, 34, 39], 20)
    own = session.now.objects[0].region(20).full()
    PlanePrompts(session).draw_box([2, 2, 45, 37], 1, 5)
    item = session.now.objects[0]
    assert np.array_equal(item.region(20).full(), own)
    assert item.region(12).full()[5].any() and not item.region(12).full()[6].any()


def test_an_object_follows_from_a_plane_and_keeps_what_was_said():
    session = session_of()
    PlanePrompts(session).draw_box([14, 9, 35, 30], 1, 30)
    seen = PlanePrompts(session).region(session.now.objects[0], 1, 30).full()
    session.adopt(session.propagate())
    item = session.now.objects[0]
    mask = stacked(item)
    assert len(np.flatnonzero(mask.any((0, 2)))) > 10  # it went on to other pictures of that plane
    assert np.array_equal(PlanePrompts(session).region(item, 1, 30).full(), seen)
    assert np.array_equal(session.label_map() > 0, mask)
    (seed,), (saved,), _ = session.volume_objects()
    assert np.array_equal(saved, mask)
    # saved prompts are final masks on every slice: they make the same once more
    assert {z for z, prompt in seed.prompts.items() if prompt.mask.any()} == set(item.regions())
    assert [end.why for end in item.ended] == ["plane", "plane"]


def test_long_pixels_are_made_square_for_the_model():
    plane = planes_of(Geometry.from_spacing((8, 60, 50), (5.0, 1.0, 1.0)))[1]
    squared = Squared.of(plane, (5.0, 1.0, 1.0))
    picture = np.random.default_rng(2).random((8, 50)) > 0.5
    assert squared.picture(picture).shape == (40, 50)
    assert np.array_equal(squared.mask(squared.picture(picture), (8, 50)), picture)
    assert squared.box((3, 2, 10, 4)) == (3, 10, 10, 24) and squared.point(3, 0) == (3, 2)
    session = session_of((8, 60, 50), (5.0, 1.0, 1.0))
    PlanePrompts(session).draw_box([10, 1, 40, 6], 1, 30)
    assert session.predictor.backend.encoded[-1].shape == (1, 3, 64, 64)
    assert PlanePrompts(session).region(session.now.objects[0], 1, 30).box == (10, 1, 40, 6)


def test_a_picture_has_no_other_planes():
    scan = Scan(np.zeros((20, 20), np.uint8), None, "US", Geometry.from_spacing((20, 20), None))
    with pytest.raises(PromptError, match="one plane"):
        PlanePrompts(Session(Predictor(FakeBackend(64), "off"), scan))


def test_what_was_said_on_a_plane_is_kept_in_a_record():
    session = session_of()
    prompts = PlanePrompts(session)
    prompts.draw_box([15, 10, 34, 29], 1, 30)
    prompts.click(40, 20, False, 1, 30)
    mask = stacked(session.now.objects[0])
    document, masks = session.to_record()
    again = Session.from_record(session.predictor, session.scan, json.loads(json.dumps(document)), masks)
    item = again.now.objects[0]
    assert item.is_settled and np.array_equal(stacked(item), mask)
    answer = item.planes[1, 30]
    assert answer.box == (15, 10, 34, 29) and answer.points == ((40, 20, 0),)
    assert np.array_equal(again.label_map() > 0, mask)
    document["objects"][0]["planes"][0]["index"] = 60
    with pytest.raises(PromptError, match="index"):
        Session.from_record(session.predictor, session.scan, document, masks)


@pytest.mark.parametrize("flipped", [(False, False, False), (True, True, False)])
def test_prompts_of_a_plane_are_saved_in_voxels_of_the_file_and_read_again(tmp_path, flipped):
    values = np.random.default_rng(0).integers(0, 200, SHAPE, np.uint8)
    geometry = replace(Geometry.from_spacing(SHAPE, (1.0, 1.0, 1.0)), flipped=flipped)
    scan = Scan(values, (1.0, 1.0, 1.0), "CT", geometry, is_volume=True)
    session = Session(Predictor(FakeBackend(64), "off"), scan)
    prompts = PlanePrompts(session)
    prompts.draw_box([15, 10, 34, 29], 1, 30)
    prompts.click(20, 12, True, 1, 30)
    for name, data in plane_prompt_files(session.now, prompts.planes, geometry).items():
        (tmp_path / name).write_bytes(data)
    turned = scan.across(1).geometry  # as `lite-medsam segment` cuts the volume for this file
    objects, frame = read_volume_prompts(tmp_path / f"prompts_{prompts.planes[1].name}.json", "voxel")
    ((z, prompt),) = volume_to_display(objects, frame, turned)[0].prompts.items()
    assert np.array_equal(scan.across(1).values[z], prompts.picture(1, 30))
    assert prompt.box == (15, 10, 34, 29) and prompt.points.tolist() == [[20, 12]] and prompt.final
    assert np.array_equal(prompt.mask > 0, prompts.region(session.now.objects[0], 1, 30).full())
