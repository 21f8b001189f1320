"""Wrong keys, damaged and oversized bodies, prompts outside, hostile arrays: clear errors, and the service goes on."""

import json
import struct

import numpy as np
import pytest

pytest.importorskip("nnInteractive.inference.remote")
pytest.importorskip("fastapi")

import httpx
from nnInteractive.inference.remote import nnInteractiveRemoteInferenceSession as Client
from nnInteractive.inference.remote.serialization import pack_array
from viewer_server import running

from lite_medsam.phantoms import make_phantom_volume

BOX = {"include_interaction": True}


@pytest.fixture(scope="module")
def volume():
    return make_phantom_volume("ct", 1, (5, 96, 96)).image


@pytest.fixture(scope="module")
def address():
    with running(max_voxels=60_000, max_upload_mb=1, max_memory_mb=1, origins=("http://viewer.test",)) as url:
        yield url


@pytest.fixture(scope="module")
def locked():
    with running(key="a-long-word") as url:
        yield url


@pytest.fixture(scope="module")
def client(address, volume):
    with Client(address) as session:
        session.set_image(volume[None])
        session.set_target_buffer(np.zeros(volume.shape, np.uint8))
        yield session


@pytest.fixture(autouse=True)
def still_answers(client):
    yield
    client.reset_interactions()
    assert client.add_bbox_interaction([[2, 3], [20, 60], [20, 60]], True) is not None
    client.reset_interactions()


def refused(client, path: str, status: int = 400, **request) -> str:
    answer = client._http.post(path, **request)
    assert answer.status_code == status, answer.text
    return answer.json()["detail"]


@pytest.mark.parametrize(
    ("coords", "said"),
    [
        ([[0, 3], [20, 60], [20, 60]], "model is 2D"),
        ([[2, 2], [20, 60], [20, 60]], "at least one voxel"),
        ([[2, 3], [60, 20], [20, 60]], "at least one voxel"),
        ([[7, 8], [20, 60], [20, 60]], "meet the volume"),
        ([[2, 3], [20, 60]], "three pairs"),
        ([[2, 3], [20, 60], [20, "60"]], "finite numbers"),
        ([[2, 3], [20, 60], [20, 1e300]], "finite numbers"),
        ([[2, 3], [20, 60], [True, 60]], "finite numbers"),
        (None, "three pairs"),
    ],
)
def test_boxes_that_are_none(client, coords, said):
    assert said in refused(client, "/add_bbox_interaction", json=BOX | {"bbox_coords": coords})


@pytest.mark.parametrize("point", ([0, 0], [0, 0, 96], [-1, 0, 0], [0, 0, None], "000", {"x": 1}, [[0], [0], [0]]))
def test_points_that_are_none(client, point):
    assert "a point must" in refused(client, "/add_point_interaction", json=BOX | {"coordinates": point})
    missing = refused(client, "/add_point_interaction", json={"coordinates": [0, 0, 0]})
    assert "include_interaction" in missing


@pytest.mark.parametrize(
    "body",
    (b"", b"[]", b"{", b"\xff\xfe", b"[" * 60_000, b'{"bbox_coords": NaN}', b'{"bbox_coords": ' + b"9" * 5000 + b"}"),
)
def test_bodies_that_are_no_json(client, body):
    for path in ("/add_bbox_interaction", "/set_target_buffer", "/predict", "/set_do_autozoom"):
        if path == "/predict" and b"bbox" in body and b"NaN" in body:
            continue  # an unknown field is left alone
        refused(client, path, content=body)


def test_large_bodies(client, volume):
    assert "MB" in refused(client, "/add_bbox_interaction", 413, content=b" " * 70_000)
    assert "MB" in refused(client, "/set_image", 413, content=bytes(2**20 + 1))

    def pieces():
        for _ in range(40):
            yield bytes(2**16)

    assert "MB" in refused(client, "/set_image", 413, content=pieces())
    zeros = pack_array(np.zeros((1, 40, 40, 40), np.uint8))  # few bytes, too many voxels
    assert len(zeros) < 1000 and "60000" in refused(client, "/set_image", 413, content=zeros)


def test_memory_of_all_clients_is_bounded(address):
    with running(max_memory_mb=1, max_voxels=10**6) as url, Client(url) as one:
        volume = pack_array(np.zeros((1, 10, 250, 250), np.uint8))
        assert "memory" in refused(one, "/set_image", 413, content=volume)
        wide = pack_array(np.zeros((1, 10, 125, 125), np.float64))
        assert "16-bit" in refused(one, "/set_image", 413, content=wide)


@pytest.mark.parametrize(
    ("shape", "status"),
    [((5, 96, 96), 400), ((2, 5, 96, 96), 400), ((1, 96, 96), 400), ((3, 5, 96, 96), 200), ((1, 1, 1, 1), 200)],
)
def test_shapes_of_volumes(client, volume, shape, status):
    body = pack_array(np.zeros(shape, np.uint8))
    answer = client._http.post("/set_image", content=body)
    assert answer.status_code == status
    if status == 400:
        assert "(C, X, Y, Z)" in answer.json()["detail"]
    client.set_image(volume[None])
    client.set_target_buffer(np.zeros(volume.shape, np.uint8))


@pytest.mark.parametrize("text", ("[10, 1" + "0" * 400 + "]", "[NaN, 1]", "[0, 0]", '"ct"', "[true, 5]", "[1]"))
def test_windows_that_are_none(client, volume, text):
    meta = {"X-Meta": '{"image_properties": {"window": ' + text + ', "spacing": [1' + "0" * 400 + ", 1, 1]}}"}
    assert "window" in refused(client, "/set_image", content=pack_array(volume[None]), headers=meta)


def test_a_spacing_that_is_none_says_nothing(client, volume):
    meta = {"X-Meta": '{"image_properties": {"spacing": [1' + "0" * 400 + ", {}, 1]}}"}
    assert client._http.post("/set_image", content=pack_array(volume[None]), headers=meta).status_code == 200
    client.set_target_buffer(np.zeros(volume.shape, np.uint8))


def test_values_of_volumes(client, volume):
    bad = volume[None].astype(np.float32)
    bad[0, 0, 0, 0] = np.nan
    assert "NaN" in refused(client, "/set_image", content=pack_array(bad))
    window = {"X-Meta": json.dumps({"image_properties": {"window": [1, "2"]}})}
    assert "window" in refused(client, "/set_image", content=pack_array(volume[None]), headers=window)
    for meta in ("[]", "{", '{"image_properties": 3}'):
        assert "object" in refused(client, "/set_image", content=pack_array(volume[None]), headers={"X-Meta": meta})
    client.set_target_buffer(np.zeros(volume.shape, np.uint8))  # the volume of before is still there


def packed_with(name=b"uint8", shape=(5, 96, 96), pieces=1, piece=(0, 0), rest=b""):
    head = struct.pack(f"<4sBBBB{len(name)}s", b"NNIA", 1, 1, len(shape), len(name), name)
    return head + struct.pack(f"<{len(shape)}q", *shape) + struct.pack("<I", pieces) + struct.pack("<QQ", *piece) + rest


def test_hostile_arrays(client, volume):
    good = pack_array(np.ones(volume.shape, np.uint8))
    damaged = bytearray(good)
    damaged[-20:] = bytes(20)
    hostile = [
        b"", b"NNIA", b"\x80\x04K\x01.", good[:40], good[:-1],
        packed_with(b"object"), packed_with(b"<U9"), packed_with(b"datetime64"), packed_with(b"\xff\xff"),
        packed_with(shape=(-5, 96, 96)), packed_with(shape=(0, 96, 96)), packed_with(shape=(2**62, 4, 4)),
        packed_with(shape=(1,) * 40), packed_with(pieces=2**32 - 1), packed_with(piece=(46080, 2**63)),
        packed_with(piece=(46080, 32), rest=bytes(32)), packed_with(piece=(46080, 32), rest=b"\xff" * 32),
        packed_with(piece=(2**40, len(good) - 53), rest=good[53:]),
    ]  # fmt: skip
    for path in ("/add_lasso_interaction", "/add_initial_seg_interaction", "/set_image"):
        for body in hostile:
            answer = client._http.post(path, content=body, headers={"X-Meta": json.dumps(BOX)})
            assert answer.status_code in (400, 413) and answer.json()["detail"], (path, body[:60])


def test_masks_that_do_not_fit(client, volume):
    def say(mask, **meta):
        header = {"X-Meta": json.dumps(BOX | meta)}
        return refused(client, "/add_scribble_interaction", content=pack_array(mask), headers=header)

    assert "shape" in say(np.ones((5, 96, 95), np.uint8))
    assert "empty" in say(np.zeros(volume.shape, np.uint8))
    assert "size" in say(np.ones((1, 2, 2), np.uint8), interaction_bbox=[[0, 1], [0, 2], [0, 3]])
    assert "lie in" in say(np.ones((1, 2, 2), np.uint8), interaction_bbox=[[0, 1], [95, 97], [0, 2]])
    assert "three pairs" in say(np.ones((1, 2, 2), np.uint8), interaction_bbox=5)


@pytest.mark.parametrize(
    "fields",
    [{}, {"shape": [5, 96, 96]}, {"shape": [5, 96], "dtype": "uint8"}, {"shape": [5, 96, 97], "dtype": "uint8"},
     {"shape": [5, 96, 96], "dtype": "float32"}, {"shape": [5, 96, 96], "dtype": "O"}, {"shape": [5, 96, True], "dtype": "bool"},
     {"shape": [10**9] * 3, "dtype": "uint8"}, {"shape": [-5, 96, 96], "dtype": "uint8"}],
)  # fmt: skip
def test_buffers_that_are_none(client, fields):
    assert "must" in refused(client, "/set_target_buffer", json=fields)


def test_who_has_sent_no_volume_is_told_so(address):
    with Client(address) as session:
        assert "set_image" in refused(session, "/add_point_interaction", json=BOX | {"coordinates": [0, 0, 0]})
        assert "set_image" in refused(session, "/set_target_buffer", json={"shape": [1, 1, 1], "dtype": "bool"})
        assert session.undo() is False
        session.reset_interactions()


def test_pages_in_a_browser_and_other_names_are_kept_out(address):
    assert httpx.get(address + "/healthz", headers={"Host": "evil.test"}).status_code == 421
    assert httpx.post(address + "/claim", headers={"Origin": "http://evil.test"}).status_code == 403
    allowed = httpx.get(address + "/capabilities", headers={"Origin": "http://viewer.test"})
    assert allowed.status_code == 200 and allowed.headers["access-control-allow-origin"] == "http://viewer.test"
    asked = {"Origin": "http://viewer.test", "Access-Control-Request-Method": "POST"}
    assert httpx.options(address + "/claim", headers=asked).status_code == 200
    for path in ("/docs", "/openapi.json", "/", "/../etc/passwd"):
        assert httpx.get(address + path).status_code == 404
    assert httpx.get(address + "/claim").status_code == 405


@pytest.mark.parametrize(
    "said", (None, "Bearer wrong", "Bearer", "Bearer a-long-words", "Basic %%", "Basic YTpi", "a-long-word")
)
def test_without_the_key_nothing_but_health_is_told(locked, said):
    headers = {} if said is None else {"Authorization": said}
    assert httpx.get(locked + "/healthz", headers=headers).json() == {"ok": True}
    for method, path in (("GET", "/capabilities"), ("POST", "/claim"), ("POST", "/upload_image"), ("GET", "/nothing")):
        answer = httpx.request(method, locked + path, headers=headers)
        assert answer.status_code == 401 and "key" in answer.json()["detail"]


def test_with_the_key_a_client_enters(locked):
    with Client(locked, api_key="a-long-word") as session:
        assert session.lease_status()["remaining_seconds"] > 500


def test_a_failure_inside_is_told_without_its_details(address, client, monkeypatch):
    from lite_medsam.serve.workspace import Workspace

    def fail(*_):
        raise KeyError("secret")

    monkeypatch.setattr(Workspace, "add_point", fail)
    detail = refused(client, "/add_point_interaction", 500, json=BOX | {"coordinates": [0, 0, 0]})
    assert "secret" not in detail
    monkeypatch.undo()
