"""Places of clients: idle, dead, released, working; and places of Slicer, which sends no token."""

import gzip
import io
import threading
import time

import numpy as np
import pytest

pytest.importorskip("nnInteractive.inference.remote")
pytest.importorskip("fastapi")

import httpx
from nnInteractive.inference.remote import nnInteractiveRemoteInferenceSession as Client
from viewer_server import dice, running

from lite_medsam.phantoms import make_phantom_volume
from lite_medsam.prompts.prompt_set import Prompt
from lite_medsam.segment.predictor import Predictor
from lite_medsam.serve.lease import Leases
from lite_medsam.serve.limits import Limits, Refused
from lite_medsam.volumes.propagation import VolumeObject, propagate


class Nobody:
    """A workspace that knows only whether it was closed."""

    nbytes = 100
    closed = False

    def close(self):
        self.closed = True


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def leases(clock):
    limits = Limits(max_sessions=2, idle_timeout_seconds=100, liveness_timeout_seconds=10, max_memory_mb=1)
    return Leases(Nobody, limits, clock)


def test_a_client_that_shows_no_life_loses_its_place_first(leases, clock):
    quiet, alive = leases.claim(), leases.claim()
    with pytest.raises(Refused, match="2 places"):
        leases.claim()
    for clock.now in (6.0, 12.0):
        leases.find(alive.token)
    assert quiet.workspace.closed and len(leases) == 1
    with pytest.raises(Refused) as caught:
        leases.find(quiet.token)
    assert caught.value.status == 410
    leases.claim()


def test_a_heartbeat_does_not_prolong_idleness_and_looking_prolongs_nothing(leases, clock):
    lease = leases.claim()
    for clock.now in range(5, 100, 5):
        leases.find(lease.token)
    assert leases.remaining_seconds(lease) == 5
    leases.used(lease)
    clock.now += 9
    leases.peek(lease.token)
    clock.now += 9
    with pytest.raises(Refused):
        leases.peek(lease.token)


def test_work_in_progress_is_not_taken_away(leases, clock):
    lease = leases.claim()
    lease.inside = 1
    clock.now = 1000.0
    assert leases.peek(lease.token) is lease
    lease.inside = 0
    leases.sweep()
    assert lease.workspace.closed


def test_memory_counts_that_of_all(leases):
    one, two = leases.claim(), leases.claim()
    leases.room_for(one.workspace, 2**20 - 100)
    with pytest.raises(Refused, match="memory"):
        leases.room_for(one.workspace, 2**20 - 99)
    leases.release(two.token)
    leases.release(two.token)
    leases.room_for(one.workspace, 2**20)


def test_a_client_without_token_keeps_its_place_without_heartbeats(leases, clock):
    assert leases.named("me", make=False) is None
    mine = leases.named("me", make=True)
    clock.now = 50.0
    assert leases.named("me", make=False) is mine and leases.named("you", make=True) is not mine
    clock.now = 120.0
    leases.sweep()
    assert leases.named("me", make=False) is None


def test_a_lost_heartbeat_frees_the_place_of_a_real_client():
    with running(max_sessions=1, liveness_timeout_seconds=1) as url:
        lost = Client(url)
        lost._stop_heartbeat.set()  # as if its process had died
        assert httpx.post(url + "/claim").status_code == 503
        end = time.monotonic() + 10
        while httpx.post(url + "/claim").status_code != 200:
            assert time.monotonic() < end
            time.sleep(0.2)
        lost._lease_token = None
        lost.close()


def test_a_released_place_is_free_at_once():
    with running(max_sessions=1) as url:
        for _ in range(3):
            with Client(url) as client:
                assert 0 < client.heartbeat() <= 600


def test_heartbeats_are_answered_while_a_volume_is_worked_on_and_prompts_queue_up():
    case = make_phantom_volume("ct", 0, (12, 112, 112))
    with running(max_sessions=2, waiting=1) as url, Client(url) as one, Client(url) as two:
        one.set_image(case.image[None])
        one.set_target_buffer(np.zeros(case.image.shape, np.uint8))
        body = {"coordinates": [6, 50, 50], "include_interaction": True}
        answers: list[int] = []

        def ask():
            answers.append(one._http.post("/add_point_interaction", json=body).status_code)

        threads = [threading.Thread(target=ask) for _ in range(6)]
        for thread in threads:
            thread.start()
        started = time.monotonic()
        assert two.heartbeat() > 0
        assert time.monotonic() - started < 5
        for thread in threads:
            thread.join()
        assert set(answers) <= {200, 429} and 200 in answers and 429 in answers


def test_following_ends_when_its_time_is_over_and_says_so():
    case = make_phantom_volume("ct", 0, (12, 112, 112))
    with running(follow_seconds=1e-9) as url, Client(url) as client:
        client.set_image(case.image[None])
        fields = {"coordinates": [6, 50, 50], "include_interaction": True}
        answer = client._http.post("/add_point_interaction", json=fields)
        assert answer.status_code == 200 and '"stopped":true' in answer.headers["X-Meta"]


def npy(array, gzipped=True):
    stream = io.BytesIO()
    np.save(stream, array)
    return gzip.compress(stream.getvalue()) if gzipped else stream.getvalue()


def test_slicer_without_leases():
    case = make_phantom_volume("ct", 0, (8, 112, 112))
    index = 4
    kidney = case.label[index] == 4
    rows, columns = np.flatnonzero(kidney.any(1)), np.flatnonzero(kidney.any(0))
    box = (columns[0], rows[0], columns[-1], rows[-1])
    prompts = [VolumeObject({index: Prompt(box=box)})]
    expected = propagate(Predictor.open(threads=1), case.image, prompts).mask(0)

    with running(key="word", max_sessions=2) as url:
        ann, bob = (httpx.Client(base_url=url, auth=(name, "word")) for name in ("ann", "bob"))
        corners = {
            "outer_point_one": [index, int(rows[-1]), int(columns[0])],
            "outer_point_two": [index, int(rows[0]), int(columns[-1])],
            "positive_click": True,
        }
        with ann, bob:
            assert ann.post("/add_bbox_interaction", json=corners).json()["message"] == "No image uploaded"
            assert ann.post("/upload_image", files={"file": npy(case.image, False)}).json() == {"status": "ok"}

            def mask_of(answer):
                assert answer.status_code == 200, answer.text
                bits = np.unpackbits(np.frombuffer(answer.content, np.uint8))  # the client undoes gzip by itself
                return bits[: case.image.size].reshape(case.image.shape)

            assert dice(mask_of(ann.post("/add_bbox_interaction", json=corners)), expected) == 1
            assert bob.post("/add_bbox_interaction", json=corners).json()["message"] == "No image uploaded"
            click = {"voxel_coord": [index, int(rows[0]), int(columns[0])], "positive_click": False}
            assert mask_of(ann.post("/add_point_interaction", json=click)).any()
            line = np.zeros(case.image.shape, np.uint8)
            line[index, rows[0] : rows[-1], columns[0] : columns[-1]] = 1
            empty = {"file": npy(np.zeros(case.image.shape, np.uint8))}
            for path in ("/add_lasso_interaction", "/add_scribble_interaction"):
                assert ann.post("/upload_segment", files=empty).json() == {"status": "ok"}
                answer = ann.post(path, files={"file": npy(line)}, data={"positive_click": "True"})
                assert mask_of(answer).any()
            assert ann.post("/upload_segment", files={"file": npy(line)}).json() == {"status": "ok"}

            for files in (
                {"file": b"x"},
                {"file": npy(line, False)},
                {"file": npy(np.array([object()], object))},
                {"other": b"x"},
            ):
                assert ann.post("/add_lasso_interaction", files=files, data={"positive_click": "1"}).status_code == 400
            assert ann.post("/upload_image", files={"file": npy(np.zeros((4, 4)), False)}).status_code == 400
            assert (
                ann.post("/add_point_interaction", json={"voxel_coord": [99, 0, 0], "positive_click": True}).status_code
                == 400
            )
            assert mask_of(ann.post("/add_point_interaction", json=click)).any()
