"""The client package of nnInteractive drives the service on a CT phantom; what comes back is our own propagation."""

import numpy as np
import pytest

pytest.importorskip("nnInteractive.inference.remote")
pytest.importorskip("fastapi")

import httpx
from nnInteractive.inference.remote import SessionExpiredError
from nnInteractive.inference.remote import nnInteractiveRemoteInferenceSession as Client
from viewer_server import dice, running

from lite_medsam.phantoms import make_phantom_volume
from lite_medsam.prompts.prompt_set import Prompt
from lite_medsam.segment.predictor import Predictor
from lite_medsam.volumes.propagation import VolumeObject, propagate

KIDNEY = 4


@pytest.fixture(scope="module")
def case():
    return make_phantom_volume("ct", 0, (12, 112, 112))


@pytest.fixture(scope="module")
def predictor():
    return Predictor.open(threads=1)


@pytest.fixture(scope="module")
def address():
    with running(max_sessions=2) as url:
        yield url


@pytest.fixture
def client(address, case):
    with Client(address) as session:
        session.set_image(case.image[None], {"spacing": case.spacing_mm})
        session.set_target_buffer(np.zeros(case.image.shape, np.uint8))
        yield session


def drawn_box(mask: np.ndarray, axis: int):
    """The slice across an axis on which an object is largest, its box there as the client says it, and as a prompt."""
    planes = np.moveaxis(mask, axis, 0)
    index = int(planes.sum((1, 2)).argmax())
    rows, columns = np.flatnonzero(planes[index].any(1)), np.flatnonzero(planes[index].any(0))
    coords = [[int(rows[0]), int(rows[-1]) + 1], [int(columns[0]), int(columns[-1]) + 1]]
    coords.insert(axis, [index, index + 1])
    return index, coords, (columns[0], rows[0], columns[-1], rows[-1])


def ours(predictor, case, prompts: dict[int, Prompt], axis: int = 0) -> np.ndarray:
    volume = np.ascontiguousarray(np.moveaxis(case.image, axis, 0))
    return np.moveaxis(propagate(predictor, volume, [VolumeObject(prompts)]).mask(0), 0, axis)


def kidney(case) -> np.ndarray:
    return case.label == KIDNEY


def test_what_the_model_can_do_is_told_and_why_it_cannot_do_the_rest(address, client):
    assert client.supported_interactions == {
        "points": True, "bbox2d": True, "bbox3d": False, "scribble": True, "lasso": True,
    }  # fmt: skip
    assert client.supports_undo and client.supports_initial_label and "research" in client.license
    told = httpx.get(f"{address}/capabilities").json()
    assert "2D" in told["refused"]["bbox3d"] and client.ping()


@pytest.mark.parametrize("axis", (0, 1, 2))
def test_a_box_on_any_axis_gives_our_propagation(client, case, predictor, axis):
    index, coords, box = drawn_box(kidney(case), axis)
    changed = client.add_bbox_interaction(coords, True)
    expected = ours(predictor, case, {index: Prompt(box=box)}, axis)
    assert dice(client.target_buffer, expected) == 1
    assert dice(client.target_buffer, kidney(case)) > 0.5
    held = np.argwhere(expected)
    assert changed == [[low, high + 1] for low, high in zip(held.min(0), held.max(0), strict=True)]


def test_clicks_give_our_propagation_and_undo_takes_them_back(client, case, predictor):
    index, _, _ = drawn_box(kidney(case), 0)
    rows, columns = np.nonzero(kidney(case)[index])
    y, x = int(np.median(rows)), int(np.median(columns))
    client.add_point_interaction((index, y, x), True)
    one = client.target_buffer.copy()
    assert dice(one, ours(predictor, case, {index: Prompt(points=[[x, y]], point_labels=[1])})) == 1
    ring = np.argwhere(one[index] & ~kidney(case)[index])
    row, column = ring[0].tolist() if len(ring) else (y + 30, x)
    client.add_point_interaction((index, row, column), False)
    prompt = Prompt(points=[[x, y], [column, row]], point_labels=[1, 0])
    assert dice(client.target_buffer, ours(predictor, case, {index: prompt})) == 1
    assert client.undo() is True and np.array_equal(client.target_buffer, one)
    assert client.undo() is True and not client.target_buffer.any()
    assert client.undo() is False


def test_a_click_on_another_slice_refines_what_is_shown_there(client, case, predictor):
    index, coords, box = drawn_box(kidney(case), 0)
    client.add_bbox_interaction(coords, True)
    shown = client.target_buffer.copy()
    other = index + 1
    rows, columns = np.nonzero(shown[other])
    x, y = int(columns.min()), int(rows[columns.argmin()])
    client.add_point_interaction((other, y, x), False)
    around = (columns.min(), rows.min(), columns.max(), rows.max())
    corrected = Prompt(box=around, points=[[x, y]], point_labels=[0], mask=shown[other] > 0)
    expected = ours(predictor, case, {index: Prompt(box=box), other: corrected})
    assert dice(client.target_buffer, expected) == 1 and not np.array_equal(client.target_buffer, shown)


def test_a_scribble_is_clicks_along_it_and_may_come_in_a_part_of_the_volume(client, case):
    index, _, (x0, y0, x1, y1) = drawn_box(kidney(case), 0)
    y = (y0 + y1) // 2
    whole = np.zeros(case.image.shape, np.uint8)
    whole[index, y - 1 : y + 1, x0 + 3 : x1 - 2] = 1
    client.add_scribble_interaction(whole, True)
    first = client.target_buffer.copy()
    assert first[index][whole[index] > 0].mean() > 0.9 and dice(first, kidney(case)) > 0.4
    client.reset_interactions()
    part = np.ones((1, 2, x1 - x0 - 5), np.uint8)
    bounds = [[index, index + 1], [int(y - 1), int(y + 1)], [int(x0 + 3), int(x1 - 2)]]
    client.add_scribble_interaction(part, True, interaction_bbox=bounds)
    assert np.array_equal(client.target_buffer, first)
    away = np.zeros(case.image.shape, np.uint8)
    away[index, y0 : y0 + 2, x0:x1] = 1
    client.add_scribble_interaction(away, False)
    assert not np.array_equal(client.target_buffer, first) and client.target_buffer.any()


def test_a_lasso_is_the_box_around_it_and_a_negative_one_cuts_exactly(client, case, predictor):
    index, _, (x0, y0, x1, y1) = drawn_box(kidney(case), 0)
    outline = np.zeros(case.image.shape, np.uint8)
    outline[index, y0 : y1 + 1, x0 : x1 + 1] = 1
    outline[index, y0 + 1 : y1, x0 + 1 : x1] = 0  # a closed line, not an area
    client.add_lasso_interaction(outline, True)
    assert dice(client.target_buffer, ours(predictor, case, {index: Prompt(box=(x0, y0, x1, y1))})) == 1
    before = client.target_buffer[index].copy()
    away = np.zeros(case.image.shape, np.uint8)
    away[index, : (y0 + y1) // 2] = 1
    client.add_lasso_interaction(away, False)
    assert np.array_equal(client.target_buffer[index], np.where(away[index], 0, before))
    assert client.target_buffer[:index].any() or client.target_buffer[index + 1 :].any()


def test_a_negative_box_on_another_axis_cuts_what_was_followed(client, case):
    _, coords, (x0, _, x1, _) = drawn_box(kidney(case), 0)
    client.add_bbox_interaction(coords, True)
    before, x = client.target_buffer.copy(), int(x0 + x1) // 2
    assert before[:, :, x].any()
    client.add_bbox_interaction([[0, 12], [0, 112], [x, x + 1]], False)
    before[:, :, x] = 0
    assert np.array_equal(client.target_buffer, before)


def test_boxes_on_two_axes_are_united(client, case, predictor):
    (i, first, a), (j, second, b) = drawn_box(kidney(case), 0), drawn_box(kidney(case), 2)
    client.add_bbox_interaction(first, True)
    client.add_bbox_interaction(second, True)
    united = ours(predictor, case, {i: Prompt(box=a)}) | ours(predictor, case, {j: Prompt(box=b)}, 2)
    assert dice(client.target_buffer, united) == 1


def test_a_segmentation_to_begin_with_is_kept_corrected_and_refined(client, case):
    index, coords, _ = drawn_box(kidney(case), 0)
    start = kidney(case).astype(np.uint8)
    start[index, :40] = 0
    client.add_initial_seg_interaction(start)
    assert np.array_equal(client.target_buffer, start)
    client.add_bbox_interaction(coords, True)
    grown = client.target_buffer.copy()
    assert grown[index].any() and (grown[start > 0]).all()
    assert client.undo() and np.array_equal(client.target_buffer, start)
    rows, columns = np.nonzero(start[index + 1])
    client.add_point_interaction((index + 1, int(rows[0]), int(columns[0])), False)
    rest = np.arange(12) != index + 1
    assert np.array_equal(client.target_buffer[rest], start[rest])  # a correction changes its own slice
    client.add_initial_seg_interaction(start, run_prediction=True)
    assert dice(client.target_buffer, kidney(case)) > 0.7
    assert not np.array_equal(client.target_buffer, start)


def test_prompts_wait_until_they_are_asked_for(client, case, predictor):
    index, coords, box = drawn_box(kidney(case), 0)
    x, y = int(box[0] + box[2]) // 2, int(box[1] + box[3]) // 2
    assert client._predict() is None
    client.add_bbox_interaction(coords, True, run_prediction=False)
    client.add_point_interaction((index, y, x), True, run_prediction=False)
    assert not client.target_buffer.any()
    assert client._predict() is not None
    prompt = Prompt(box=box, points=[[x, y]], point_labels=[1])
    assert dice(client.target_buffer, ours(predictor, case, {index: prompt})) == 1
    assert client._predict() is None


def test_another_buffer_or_object_starts_empty_and_zoom_can_be_switched_off(client, case):
    _, coords, box = drawn_box(kidney(case), 0)
    client.add_bbox_interaction(coords, True)
    zoomed = client.target_buffer.copy()
    client.set_target_buffer(np.zeros(case.image.shape, bool))
    client.add_point_interaction((coords[0][0], int(box[1] + box[3]) // 2, int(box[0] + box[2]) // 2), True)
    assert client.target_buffer.dtype == bool and client.target_buffer.any()
    client.reset_interactions()
    assert not client.target_buffer.any() and client.undo() is False
    client.set_do_autozoom(False)
    client.add_bbox_interaction(coords, True)
    assert client.target_buffer.any() and not np.array_equal(client.target_buffer, zoomed)


def test_two_clients_have_their_own_volumes_and_a_third_has_to_wait(address, case):
    _, coords, _ = drawn_box(kidney(case), 0)
    with Client(address) as one, Client(address) as two:
        for client, volume in ((one, case.image), (two, np.full((6, 96, 96), 9, np.uint8))):
            client.set_image(volume[None])
            client.set_target_buffer(np.zeros(volume.shape, np.uint8))
        one.add_bbox_interaction(coords, True)
        assert one.target_buffer.any() and not two.target_buffer.any()
        assert two.undo() is False
        with pytest.raises(httpx.HTTPStatusError):
            two.add_bbox_interaction([[0, 1], [90, 120], [100, 130]], True)  # of the other one's volume
        third = httpx.post(f"{address}/claim")
        assert third.status_code == 503 and "2 places" in third.json()["detail"]
    with Client(address) as three:
        own = three._http.headers["X-Lease-Token"]
        three._http.headers["X-Lease-Token"] = "x" * 43
        with pytest.raises(SessionExpiredError):
            three.undo()
        three._http.headers["X-Lease-Token"] = own


def test_clients_that_work_at_the_same_time_get_what_they_would_get_alone(address, case):
    from concurrent.futures import ThreadPoolExecutor

    def all_of(label: int) -> list[np.ndarray]:
        _, coords, _ = drawn_box(case.label == label, 0)
        with Client(address) as session:
            session.set_image(case.image[None])
            session.set_target_buffer(np.zeros(case.image.shape, np.uint8))
            session.add_bbox_interaction(coords, True)
            boxed = session.target_buffer.copy()
            session.add_point_interaction((coords[0][0], coords[1][0], coords[2][0]), False)
            return [boxed, session.target_buffer]

    alone = [all_of(label) for label in (1, KIDNEY)]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(all_of, (1, KIDNEY)))
    assert np.array_equal(alone, together)
