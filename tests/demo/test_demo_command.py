"""The command that starts the demo: its words, ports, paths and logins."""

import re
import signal
import subprocess
import sys

import pytest
from places import ROOT

pytest.importorskip("gradio")
gradio_client = pytest.importorskip("gradio_client")
httpx = pytest.importorskip("httpx")
from demo_desk import CASES  # noqa: E402
from demo_server import ask, read_png, running, save_png  # noqa: E402
from proxy import limited  # noqa: E402

from lite_medsam.cli.demo_loading import load_demo  # noqa: E402


def demo_command(*words):
    command = [sys.executable, "-m", "lite_medsam", "demo", "--no-browser", *words]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_command_speaks_for_itself():
    first = demo_command("--port", "0")
    try:
        line = first.stdout.readline()
        address = re.fullmatch(r"The demo is at (http://127\.0\.0\.1:(\d+))\n", line)
        assert address and httpx.get(address[1]).status_code == 200
        second = demo_command("--port", address[2])
        out, err = second.communicate(timeout=60)
        assert (
            second.returncode == 1
            and out == ""
            and f"error: port {address[2]} is in use" in err
            and err.count("\n") == 1
        )
        first.send_signal(signal.SIGINT)
        out, err = first.communicate(timeout=30)
    finally:
        first.kill()
    assert first.returncode == 0 and out == "" and err == "Ctrl-C stops it.\n\nThe demo has stopped.\n"


def test_wrong_prefixes_of_a_path_are_told_in_one_line():
    check = load_demo().check_root_path
    for good in ("", "/segment", "/a/b/", "https://example.org", "https://example.org/segment"):
        check(good)
    for bad in ("segment", "segment/", "/a b", "ftp://example.org", "/a?b"):
        with pytest.raises(ValueError, match="--root-path must begin with /"):
            check(bad)


def test_a_login_keeps_strangers_out(tmp_path):
    users = tmp_path / "users.txt"
    users.write_text("# who may\n\nanna: geheim:1\nbob:pw\n")
    service = load_demo()
    assert service.read_users(users) == {"anna": " geheim:1", "bob": "pw"}
    with running(auth_file=users) as (url, _):
        page = httpx.get(url)
        assert "<title>Log in to lite-medsam</title>" in page.text and "gradio" not in page.text.lower()
        assert "default-src 'self'" in page.headers["content-security-policy"]
        assert "anna" not in page.text and httpx.get(f"{url}/config").status_code == 401
        assert ask(url, 1, {"op": "look"}).status_code == 401
        assert httpx.post(f"{url}/login", data={"username": "bob", "password": "wrong"}).status_code == 400
        assert httpx.post(f"{url}/login", data={"username": "carl", "password": "pw"}).status_code == 400
        with httpx.Client() as bob:
            assert bob.post(f"{url}/login", data={"username": "bob", "password": "pw"}).status_code == 200
            assert bob.get(f"{url}/config").status_code == 200
            assert "data-login" in bob.get(url).text and "Log in to" not in bob.get(url).text
            bob.get(f"{url}/logout")
            assert bob.get(f"{url}/config").status_code == 401
    for text, message in (("", "name one user"), ("nocolon", "line 1"), (":x", "line 1"), ("a:", "line 1")):
        users.write_text(text)
        with pytest.raises(ValueError, match=message):
            service.read_users(users)
    with pytest.raises(ValueError, match="must be a text file"):
        service.read_users(tmp_path / "none.txt")


def test_it_works_under_a_path_prefix(tmp_path):
    with running(root_path="/tools/segment") as (url, _), limited(url, prefix="/tools/segment") as proxy:
        assert httpx.get(f"{proxy.address}/config").json()["root"].endswith("/tools/segment")
        assert httpx.get(f"{proxy.address}/").status_code == 200
        client = gradio_client.Client(proxy.address + "/", verbose=False)
        path = save_png(tmp_path / "a.png", CASES["2D_US_us-0002"].image)
        files, record = client.predict(gradio_client.handle_file(path), "[[100, 100, 300, 300]]", None, None,
                                       api_name="/segment")  # fmt: skip
        assert record["objects"][0]["area_px"] > 0 and read_png(files[0]).shape == (512, 512)


def test_a_port_that_is_taken_is_said(server):
    from lite_medsam.cli.demo import command

    port = int(server[0].rsplit(":", 1)[1])
    from click.testing import CliRunner

    result = CliRunner().invoke(command, ["--port", str(port), "--no-browser"])
    assert isinstance(result.exception, OSError) and str(port) in str(result.exception)
