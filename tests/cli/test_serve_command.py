"""`lite-medsam serve` as a process: it answers, ends when asked to, and lets nobody in from outside without a key."""

import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
from places import ROOT

pytest.importorskip("nnInteractive.inference.remote")
pytest.importorskip("fastapi")

from nnInteractive.inference.remote import nnInteractiveRemoteInferenceSession as Client

COMMAND = [sys.executable, "-m", "lite_medsam", "serve"]


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "NN_INTERACTIVE_API_KEY"}
    return kept | {"PYTHONPATH": str(ROOT)} | more


def refused(*options: str) -> str:
    result = subprocess.run([*COMMAND, *options], capture_output=True, text=True, env=environment(), timeout=60)
    assert result.returncode == 2, result.stderr
    return result.stderr


def test_it_answers_until_it_is_ended(tmp_path):
    (tmp_path / "key").write_text("from-a-file\n")
    words = [*COMMAND, "--port", "0", "--threads", "1", "--api-key-file", str(tmp_path / "key")]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())
    try:
        line = process.stdout.readline()
        address = re.search(r"http://127\.0\.0\.1:\d+", line)[0]
        volume = np.random.default_rng(0).integers(-1000, 1000, (3, 96, 96)).astype(np.int16)
        with Client(address, api_key="from-a-file") as client:
            client.set_image(volume[None])
            client.set_target_buffer(np.zeros(volume.shape, np.uint8))
            client.add_bbox_interaction([[1, 2], [20, 70], [20, 70]], True)
            assert client.target_buffer[1].any()
            process.send_signal(signal.SIGTERM)  # while a client is there
            assert process.wait(20) == 130
    finally:
        process.kill()
        _, errors = process.communicate()
    assert "Traceback" not in errors


def test_others_are_let_in_only_with_a_key_or_on_purpose(tmp_path):
    assert "--api-key-file" in refused("--host", "0.0.0.0", "--port", "0")
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "two").write_text("two words\n")
    for name in ("empty", "two", "missing"):
        assert "--api-key-file" in refused("--api-key-file", str(tmp_path / name))


def test_the_service_does_without_torch_where_it_is_installed():
    code = "import sys, lite_medsam.serve.running; print('torch' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment(), check=True)
    assert told.stdout.strip() == "False"


def test_a_taken_port_is_told(tmp_path):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as sock:
        words = [*COMMAND, "--port", str(sock.getsockname()[1])]
        result = subprocess.run(words, capture_output=True, text=True, env=environment(), timeout=60)
    assert result.returncode == 1 and "cannot be listened on" in result.stderr
