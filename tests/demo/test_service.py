"""The demo as a service: named endpoints, login, a path prefix, limits, nothing sent to others, many users at once."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from places import ROOT

pytest.importorskip("gradio")
gradio_client = pytest.importorskip("gradio_client")
httpx = pytest.importorskip("httpx")

from demo_desk import CASES  # noqa: E402
from demo_server import ask, read_png, running, save_png  # noqa: E402

from lite_medsam.cli.demo_loading import load_demo  # noqa: E402
from lite_medsam.phantoms import make_phantom_volume  # noqa: E402
from lite_medsam.segment.predictor import Predictor  # noqa: E402


@pytest.fixture(scope="module")
def server():
    with running() as (url, desk):
        yield url, desk


@pytest.fixture(scope="module")
def client(server):
    return gradio_client.Client(server[0], verbose=False)


def component(url):
    """The editor's number, by which its server function is called."""
    config = httpx.get(f"{url}/config").json()
    return next(c["id"] for c in config["components"] if c["props"].get("elem_id") == "lite-medsam")


def test_the_endpoint_gives_what_the_predictor_gives(client, tmp_path):
    case = CASES["2D_US_us-0002"]
    path = save_png(tmp_path / "us.png", case.image)
    boxes = case.boxes.tolist()
    files, record = client.predict(
        image=gradio_client.handle_file(path), prompts=json.dumps(boxes), model=None, engine=None, api_name="/segment"
    )
    expected = Predictor.open().segment(case.image, boxes)
    label, overlay = (next(f for f in files if kind in Path(f).name) for kind in ("label", "overlay"))
    assert np.array_equal(read_png(label), expected.label_map())
    assert read_png(overlay).shape == (*case.image.shape[:2], 3)
    assert [o["score"] for o in record["objects"]] == pytest.approx(expected.scores.tolist(), abs=1e-3)
    named = {"version": 1, "objects": [{"name": "mass", "box": boxes[0], "points": [[5, 5, 0]]}]}
    _, record = client.predict(gradio_client.handle_file(path), json.dumps(named), "lite-medsam", "onnxruntime",
                               api_name="/segment")  # fmt: skip
    assert record["objects"][0]["name"] == "mass" and record["notice"].startswith("research use only")


def test_the_example_client_runs(server, tmp_path):
    path = save_png(tmp_path / "us.png", CASES["2D_US_us-0002"].image)
    program = ROOT / "demo" / "examples" / "client.py"
    done = subprocess.run([sys.executable, program, server[0], path, "150,150,300,300"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert read_png(tmp_path / "us_label.png").max() == 1 and (tmp_path / "us_overlay.png").is_file()


def test_a_volume_goes_through_the_endpoint(client, tmp_path):
    nibabel = pytest.importorskip("nibabel")
    case = make_phantom_volume("ct", 0, (5, 96, 96))
    nibabel.save(nibabel.Nifti1Image(case.image.transpose(2, 1, 0), np.diag([-1.0, -1, 3, 1])), tmp_path / "ct.nii.gz")
    prompts = {"version": 1, "objects": [{"name": "liver", "slices": [{"z": 2, "box": [20, 25, 50, 60]}]}]}
    files, record = client.predict(gradio_client.handle_file(tmp_path / "ct.nii.gz"), json.dumps(prompts), None, None,
                                   api_name="/segment")  # fmt: skip
    label = nibabel.load(next(f for f in files if f.endswith(".nii.gz")))
    assert label.shape == (96, 96, 5) and record["shape"] == [5, 96, 96]
    assert int((np.asarray(label.dataobj) == 1).sum()) == record["objects"][0]["area_px"] > 0


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ("", "must be JSON"), ("[]", "one object at least"), ("{}", "version"), ("7", "list of boxes"),
        ("[[1, 2, 3, 4], [1, 2, 3, 4, 5, 6]]", "of one kind, got boxes of four"), ("[[1, 2, 3]]", "array of 4"),
        ("[[NaN,1,2,3]]", "finite"),
        ('{"version": 1, "objects": [{"mask": "/etc/passwd"}]}', "relative path"), ("[[500, 1, 5, 9]]", "x0 <= x1"),
        ('{"version": 1, "objects": [{"mask": "a.png"}]}', "no such file"), ("[" * 5000, "must be JSON"),
    ],
)  # fmt: skip
def test_wrong_prompts_are_told_and_the_server_lives(client, tmp_path, prompts, message):
    path = save_png(tmp_path / "a.png", CASES["2D_US_us-0002"].image)
    with pytest.raises(gradio_client.exceptions.AppError, match=message):
        client.predict(gradio_client.handle_file(path), prompts, None, None, api_name="/segment")
    assert client.predict(api_name="/info")["notice"]


def test_wrong_files_are_told_without_our_paths(client, tmp_path):
    (tmp_path / "words.png").write_bytes(b"no picture")
    large = save_png(tmp_path / "large.png", np.zeros((2600, 2000), np.uint8))
    for path, message in ((tmp_path / "words.png", "must be a png"), (large, "at most 5,000,000 pixels")):
        with pytest.raises(gradio_client.exceptions.AppError, match=message) as caught:
            client.predict(gradio_client.handle_file(path), "[[1, 1, 5, 5]]", None, None, api_name="/segment")
        assert "lite-medsam-demo-" not in str(caught.value)


def test_info_names_models_engines_and_limits(client):
    info = client.predict(api_name="/info")
    assert info["models"]["lite-medsam"]["licence"] and "onnxruntime" in info["engines"] and info["max_upload_mb"] == 20
    endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert set(endpoints) == {"/segment", "/info"}


def test_only_the_editors_function_can_be_called(server):
    url, _ = server
    number = component(url)
    assert ask(url, number, {"token": "x", "op": "look"}).json()["code"] == "ended"
    body = {"data": None, "component_id": number, "fn_name": "__init__", "session_hash": "x"}
    assert httpx.post(f"{url}/gradio_api/component_server/", json=body).status_code == 404


def test_routes_that_reach_elsewhere_are_closed(server):
    url, _ = server
    for path in ("file=http://example.com/a.png", "file=https://example.com", "proxy=http://example.com", "deep_link",
                 "run-history/buckets"):  # fmt: skip
        assert httpx.get(f"{url}/gradio_api/{path}").status_code == 404, path
    assert httpx.get(f"{url}/monitoring").status_code == 404
    for secret in ("/etc/passwd", __file__, str(ROOT / "weights/lite-medsam/spec.json")):
        assert httpx.get(f"{url}/gradio_api/file={secret}").status_code in (403, 404), secret


def test_large_bodies_are_refused(server):
    url, _ = server
    number = component(url)
    big = "x" * (25 * 2**20)
    assert ask(url, number, big).status_code == 413
    assert httpx.post(f"{url}/gradio_api/upload", files={"files": bytes(22 * 2**20)}, timeout=60).status_code == 413

    def pieces():
        for _ in range(30):
            yield b"x" * 2**20

    chunked = httpx.post(f"{url}/gradio_api/component_server/", content=pieces(), timeout=60)
    assert chunked.status_code in (400, 413)
    assert ask(url, number, {"token": "x", "op": "look"}).json()["code"] == "ended"


def test_the_page_binds_the_browser_to_this_host(server):
    headers = httpx.get(server[0]).headers
    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy and "connect-src 'self'" in policy and "http" not in policy
    assert headers["referrer-policy"] == "no-referrer" and headers["x-content-type-options"] == "nosniff"
    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"


def test_the_server_contacts_nobody(tmp_path, monkeypatch):
    seen = []
    connect, resolve = socket.socket.connect, socket.getaddrinfo

    def watched(self, address):
        if self.family != socket.AF_UNIX:
            seen.append(address[0])
        return connect(self, address)

    def looked_up(host, *args, **kwargs):
        seen.append(host)
        return resolve(host, *args, **kwargs)

    monkeypatch.setattr(socket.socket, "connect", watched)
    monkeypatch.setattr(socket, "getaddrinfo", looked_up)
    with running() as (url, _):
        client = gradio_client.Client(url, verbose=False, analytics_enabled=False)
        path = save_png(tmp_path / "a.png", CASES["2D_US_us-0002"].image)
        client.predict(gradio_client.handle_file(path), "[[100, 100, 300, 300]]", None, None, api_name="/segment")
        time.sleep(0.5)
    local = {"127.0.0.1", "localhost", "::1", b"127.0.0.1", None, "", "0.0.0.0"}
    assert set(seen) <= local, set(seen) - local


def test_an_address_in_place_of_a_file_is_refused_and_not_fetched(server, monkeypatch):
    url, fetched = server[0], []

    async def fetch(address, *_, **__):  # Gradio's own, which only keeps private addresses from being asked
        fetched.append(address)
        raise RuntimeError("fetched")

    monkeypatch.setattr("gradio.processing_utils.async_ssrf_protected_download", fetch)
    whole = [None, "[[1, 1, 9, 9]]", None, None]
    for place in range(len(whole)):
        for address in ("http://example.org/scan.png", "HTTPS://example.org/scan.png", "ftp://example.org/scan.png"):
            file = {"path": address, "url": address, "meta": {"_type": "gradio.FileData"}}
            data = [file if k == place else value for k, value in enumerate(whole)]
            event = httpx.post(f"{url}/gradio_api/call/segment", json={"data": data}).json()["event_id"]
            answer = httpx.get(f"{url}/gradio_api/call/segment/{event}", timeout=30).text
            assert "event: error" in answer, answer
            assert not address.startswith("http:") or "must be a file that was uploaded" in answer, answer
    assert not fetched


def test_results_that_were_fetched_are_removed(tmp_path):
    load_demo("service")
    endpoints = load_demo("endpoints")
    for name, age in (("out-old", 1000), ("out-new", 0), ("other", 1000)):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (time.time() - age, time.time() - age))
    endpoints.remove_old(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["other", "out-new"]


def use_for(url, seconds, users, tmp_path):
    """Users with a picture each, for some seconds: (answers, what was wrong)."""
    answers, wrong = [], []
    names = list(CASES)[:users]
    model = Predictor.open()
    expected = {name: model.segment(CASES[name].image, CASES[name].boxes[:1].tolist()).label_map() for name in names}
    until = time.monotonic() + seconds

    def use(name):
        try:
            path = save_png(tmp_path / f"{name}.png", CASES[name].image)
            client = gradio_client.Client(url, verbose=False)
            while time.monotonic() < until or name not in answers:
                files, _ = client.predict(gradio_client.handle_file(path), json.dumps(CASES[name].boxes[:1].tolist()), None,
                                          None, api_name="/segment")  # fmt: skip
                answers.append(name)
                if not np.array_equal(read_png(next(f for f in files if "label" in Path(f).name)), expected[name]):
                    wrong.append(name)
        except Exception as error:
            wrong.append(f"{name}: {error!r}")

    threads = [threading.Thread(target=use, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers, wrong


def test_ten_users_at_once_are_not_mixed_up(server, tmp_path):
    answers, wrong = use_for(server[0], 3, 10, tmp_path)
    assert wrong == [] and len(set(answers)) == 10


@pytest.mark.slow
def test_ten_users_for_a_minute_do_not_make_it_grow(tmp_path):
    psutil = pytest.importorskip("psutil")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-m", "lite_medsam", "demo", "--port", str(port), "--no-browser"],
                               cwd=ROOT, stdout=subprocess.DEVNULL)  # fmt: skip
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(240):
            try:
                httpx.get(f"{url}/config")
                break
            except httpx.TransportError:
                time.sleep(0.5)
        watched = psutil.Process(process.pid)
        use_for(url, 20, 10, tmp_path)
        before = watched.memory_info().rss
        answers, wrong = use_for(url, 60, 10, tmp_path)
        grown = (watched.memory_info().rss - before) / 2**20
        assert wrong == [] and len(answers) > 50
        assert grown < 60, f"{grown:.0f} MB more after {len(answers)} answers"
    finally:
        process.terminate()
        process.wait(20)
