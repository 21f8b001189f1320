import contextlib
import errno
import hashlib
import json
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from click.testing import CliRunner

from lite_medsam.errors import WeightsError
from lite_medsam.model import download as module
from lite_medsam.model.download import check_file, download
from lite_medsam.model.manifest import PublishedModel, find_model, load_manifest, verify
from lite_medsam.model.spec import ModelSpec, save_spec

CONTENT = bytes(range(256)) * 4000  # 1 MB
SIZE = len(CONTENT)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves CONTENT in the ways that servers do it; `requests` holds path and Range of what was asked."""

    daemon_threads = True
    cut_after = 300_000
    cuts = 1
    requests: list


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        begin = self.headers.get("Range")
        self.server.requests.append((self.path, begin))
        name = self.path.strip("/")
        if name == "missing":
            self.send_error(404)
        elif name == "busy" and len(self.server.requests) == 1:
            self.send_error(503)
        elif name in ("redirect", "redirect-file"):
            self.send_response(302)
            self.send_header("Location", "/file" if name == "redirect" else "file:///etc/hostname")
            self.end_headers()
        elif name == "page":
            self._send(b"<html>confirm</html>", kind="text/html")
        elif name == "other":
            self._send(CONTENT[::-1])
        elif name == "cut" and self.server.cuts > 0:
            self.server.cuts -= 1
            start = int(begin[6:-1]) if begin else 0
            self._send(CONTENT[start:], start if begin else None, stop=self.server.cut_after)
        elif begin and name != "no-range":
            start = int(begin[6:-1])
            if start >= len(CONTENT):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(CONTENT)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
            else:
                self._send(CONTENT[start:], start)
        else:
            self._send(CONTENT)

    def _send(self, body, start=None, kind="application/octet-stream", stop=None):
        self.send_response(200 if start is None else 206)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if start is not None:
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(body[:stop])
        self.close_connection = True


@pytest.fixture
def server():
    server = Server(("127.0.0.1", 0), Handler)
    server.requests = []
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    server.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield server
    server.shutdown()
    server.server_close()


def fetch(server, tmp_path, *names, sha256=SHA256, size=SIZE, **options):
    urls = [f"{server.url}/{name}" for name in names]
    return download(urls, tmp_path / "w.pth", sha256, size, timeout=5, wait_seconds=0.01, **options)


def files(tmp_path):
    return sorted(path.name for path in tmp_path.iterdir())


def test_download_delivers_and_reports_progress(server, tmp_path):
    seen = []
    path = fetch(server, tmp_path, "file", progress=lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == CONTENT
    assert files(tmp_path) == ["w.pth"]
    assert seen[-1] == (len(CONTENT), len(CONTENT)) and len(seen) > 1
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_an_existing_right_file_is_kept_without_a_request(server, tmp_path):
    (tmp_path / "w.pth").write_bytes(CONTENT)
    fetch(server, tmp_path, "file")
    assert server.requests == []


def test_an_existing_other_file_is_neither_used_nor_overwritten(server, tmp_path):
    (tmp_path / "w.pth").write_bytes(b"mine")
    with pytest.raises(WeightsError, match="move it away"):
        fetch(server, tmp_path, "file")
    assert (tmp_path / "w.pth").read_bytes() == b"mine"


def test_wrong_content_is_thrown_away(server, tmp_path):
    with pytest.raises(WeightsError, match=r"must have the SHA-256 .* thrown away"):
        fetch(server, tmp_path, "other")
    assert files(tmp_path) == []


def test_the_next_mirror_is_tried_after_a_wrong_one(server, tmp_path):
    assert fetch(server, tmp_path, "missing", "page", "other", "file").read_bytes() == CONTENT
    assert [path for path, _ in server.requests] == ["/missing", "/page", "/other", "/file"]


def test_a_cut_connection_goes_on_where_it_stopped(server, tmp_path):
    assert fetch(server, tmp_path, "cut").read_bytes() == CONTENT
    assert server.requests == [("/cut", None), ("/cut", f"bytes={server.cut_after}-")]


def test_a_later_call_goes_on_from_the_part(server, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ATTEMPTS_PER_URL", 1)
    with pytest.raises(WeightsError, match=r"300000 of 1024000 bytes.*run it again"):
        fetch(server, tmp_path, "cut")
    assert files(tmp_path) == ["w.pth.part"]
    assert fetch(server, tmp_path, "file").read_bytes() == CONTENT
    assert server.requests[-1] == ("/file", "bytes=300000-")


def test_a_part_of_another_file_does_not_survive_the_hash(server, tmp_path):
    (tmp_path / "w.pth.part").write_bytes(b"\0" * 1000)
    with pytest.raises(WeightsError, match="SHA-256"):
        fetch(server, tmp_path, "file")
    assert files(tmp_path) == []
    assert fetch(server, tmp_path, "file").read_bytes() == CONTENT


@pytest.mark.parametrize("size", [len(CONTENT), 0])
def test_a_finished_part_needs_no_more_bytes(server, tmp_path, size):
    (tmp_path / "w.pth.part").write_bytes(CONTENT)
    assert fetch(server, tmp_path, "file", size=size).read_bytes() == CONTENT


def test_without_a_hash_a_part_is_not_trusted(server, tmp_path):
    (tmp_path / "w.pth.part").write_bytes(b"\0" * 1000)
    assert fetch(server, tmp_path, "file", sha256="", size=0).read_bytes() == CONTENT
    assert server.requests == [("/file", None)]


def test_a_server_without_ranges_sends_everything_again(server, tmp_path):
    (tmp_path / "w.pth.part").write_bytes(CONTENT[:1000])
    assert fetch(server, tmp_path, "no-range").read_bytes() == CONTENT
    assert server.requests == [("/no-range", "bytes=1000-")]


def test_a_redirect_is_followed(server, tmp_path):
    assert fetch(server, tmp_path, "redirect").read_bytes() == CONTENT


def test_a_redirect_to_a_local_file_is_refused(server, tmp_path):
    with pytest.raises(WeightsError, match="file:///etc/hostname' is not allowed"):
        fetch(server, tmp_path, "redirect-file", sha256="", size=0)
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    ("target", "message"), [("http://mirror.example/x", "stay on https"), ("ftp://mirror.example/x", "must begin with")]
)
def test_a_redirect_must_not_leave_https(target, message):
    request = urllib.request.Request("https://host.example/x")
    with pytest.raises(WeightsError, match=message):
        module._Redirects().redirect_request(request, None, 302, "Found", {}, target)


def test_an_address_of_another_kind_is_refused(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"x")
    with pytest.raises(WeightsError, match="must begin with https"):
        download([secret.as_uri()], tmp_path / "w.pth")


def test_not_found_says_so(server, tmp_path):
    with pytest.raises(WeightsError, match=r"127\.0\.0\.1.*HTTP 404"):
        fetch(server, tmp_path, "missing")
    assert len(server.requests) == 1 and files(tmp_path) == []


def test_a_busy_server_is_asked_again(server, tmp_path):
    assert fetch(server, tmp_path, "busy").read_bytes() == CONTENT


def test_a_dead_server_is_reported(tmp_path):
    with pytest.raises(WeightsError, match="connection broke 4 times"):
        download(["http://127.0.0.1:9/x"], tmp_path / "w.pth", timeout=2, wait_seconds=0)


def test_a_web_page_is_no_model(server, tmp_path):
    with pytest.raises(WeightsError, match="web page"):
        fetch(server, tmp_path, "page", sha256="", size=0)


def test_a_wrong_size_is_refused_before_the_download(server, tmp_path):
    with pytest.raises(WeightsError, match="must have 5 bytes, the server has 1024000"):
        fetch(server, tmp_path, "file", size=5)
    assert files(tmp_path) == []


def test_a_full_disk_leaves_no_target_and_a_part_to_go_on_from(server, tmp_path, monkeypatch):
    def full_after_a_while(done, total):
        if done > 500_000:
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        fetch(server, tmp_path, "file", progress=full_after_a_while)
    assert files(tmp_path) == ["w.pth.part"]
    assert fetch(server, tmp_path, "file").read_bytes() == CONTENT
    assert server.requests[-1][1] is not None


def test_a_disk_without_room_is_noticed_before_the_download(server, tmp_path, monkeypatch):
    usage = module.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(OSError, match="needs 1 MB, but only 0 MB are free"):
        fetch(server, tmp_path, "file")


def test_the_manifest_is_complete():
    models = load_manifest()
    assert [m.name for m in models if m.bundled] == ["lite-medsam"]
    assert {m.family for m in models if not m.bundled} == {
        "litemedsam", "medsam_vit_b", "sam_vit_b", "sam_vit_l", "sam_vit_h", "mobile_sam",
    }  # fmt: skip
    for model in models:
        assert model.source and model.licence and model.file
        assert not model.sha256 or (len(model.sha256) == 64 and model.sha256_origin)
        assert all(url.startswith("https://") for url in model.urls)
        assert model.bundled or model.urls or model.instructions


def test_a_damaged_manifest_is_named(tmp_path):
    path = tmp_path / "manifest.json"
    path.write_text("{")
    with pytest.raises(WeightsError, match=r"manifest\.json must be a JSON object"):
        load_manifest(path)
    path.write_text('{"models": [{"nam": "x"}]}')
    with pytest.raises(WeightsError, match="unknown field 'nam'"):
        load_manifest(path)


def test_an_unknown_name_shows_the_choices():
    with pytest.raises(WeightsError, match="mobile-sam"):
        find_model("sam", load_manifest())


def test_verify_checks_a_model_directory(tmp_path):
    (tmp_path / "encoder.onnx").write_bytes(CONTENT)
    save_spec(tmp_path, ModelSpec(files={"encoder.onnx": SHA256}))
    assert verify(tmp_path, []) == [("encoder.onnx", "ok")]
    (tmp_path / "encoder.onnx").write_bytes(CONTENT[:-1])
    with pytest.raises(WeightsError, match=r"encoder\.onnx must have the SHA-256"):
        verify(tmp_path, [])
    (tmp_path / "encoder.onnx").unlink()
    with pytest.raises(WeightsError, match="missing"):
        verify(tmp_path, [])
    assert files(tmp_path) == ["spec.json"]


def test_verify_checks_published_files(tmp_path):
    models = [PublishedModel(file="a.pth", sha256=SHA256), PublishedModel(file="b.pth")]
    (tmp_path / "a.pth").write_bytes(CONTENT)
    (tmp_path / "b.pth").write_bytes(b"x")
    assert verify(tmp_path, models) == [("a.pth", "ok"), ("b.pth", "no known hash")]
    assert verify(tmp_path / "a.pth", models) == [("a.pth", "ok")]
    (tmp_path / "a.pth").write_bytes(b"x")
    with pytest.raises(WeightsError, match="SHA-256"):
        verify(tmp_path / "a.pth", models)
    with pytest.raises(WeightsError, match="must be a model directory"):
        verify(tmp_path / "nothing", models)


def test_check_file_keeps_a_users_file(tmp_path):
    path = tmp_path / "w.pth"
    path.write_bytes(b"x")
    with pytest.raises(WeightsError, match="2 bytes, got 1"):
        check_file(path, "", 2)
    assert path.exists()


@pytest.fixture
def run(monkeypatch, tmp_path, server):
    """Runs `lite-medsam weights ...` with a manifest of its own."""
    from lite_medsam.cli.weights import command

    entries = [
        {"name": "net", "title": "Net", "family": "sam_vit_b", "file": "net.pth", "source": "s", "licence": "L",
         "size_bytes": None, "sha256": SHA256, "sha256_origin": "us", "urls": [f"{server.url}/file"]},
        {"name": "drive", "title": "Drive", "family": "litemedsam", "file": "drive.pth", "source": "s", "licence": "L",
         "sha256": SHA256, "sha256_origin": "us", "instructions": ["Open the page."]},
    ]  # fmt: skip
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps({"version": 1, "models": entries}))
    monkeypatch.setattr(load_manifest, "__defaults__", (manifest,))
    return lambda *words: CliRunner().invoke(command, list(words))


def test_command_list(run):
    result = run("list")
    assert result.exit_code == 0 and "net" in result.output and "by hand" in result.output
    assert json.loads(run("list", "--json").output)[0]["sha256"] == SHA256


def test_command_download(run, tmp_path):
    result = run("download", "net", "--out", str(tmp_path / "d"), "--quiet")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "d" / "net.pth").read_bytes() == CONTENT
    assert "SHA-256 is right" in result.output and "convert" in result.output


def test_command_download_by_hand(run, tmp_path):
    result = run("download", "drive", "--out", str(tmp_path))
    assert isinstance(result.exception, WeightsError) and "1. Open the page." in str(result.exception)
    (tmp_path / "drive.pth").write_bytes(b"x")
    assert isinstance(run("download", "drive", "--out", str(tmp_path)).exception, WeightsError)
    (tmp_path / "drive.pth").write_bytes(CONTENT)
    assert run("download", "drive", "--out", str(tmp_path)).exit_code == 0


def test_command_download_prefers_a_given_mirror(run, tmp_path, server):
    run("download", "net", "--out", str(tmp_path), "--mirror", f"{server.url}/redirect")
    assert server.requests[0][0] == "/redirect"


def test_command_verify(run, tmp_path):
    (tmp_path / "net.pth").write_bytes(CONTENT)
    assert run("verify", str(tmp_path / "net.pth")).output == "net.pth: ok\n"
