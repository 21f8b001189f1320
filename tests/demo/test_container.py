"""The container of the service, its steps run as they are written: from the wheel, without rights, nothing to write but /tmp."""

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from container import build, python_for_all, steps_of
from places import ROOT

DOCKERFILE = ROOT / "demo" / "Dockerfile"
NOBODY = 65534


def test_every_image_is_made_from_the_wheel_and_runs_without_rights():
    images: list[list[tuple[str, str]]] = []
    for step in steps_of(DOCKERFILE):
        if step[0] == "FROM":
            images.append([])
        images[-1].append(step)
    wheel, *others = images
    assert wheel[0][1].endswith("AS wheel") and [image[0][1].split()[-1] for image in others] == ["serve", "demo"]
    for image in others:
        words = [instruction for instruction, _ in image]
        assert ("COPY", "--from=wheel /wheels /wheels") in image and ("USER", "user") in image
        assert words.index("USER") < words.index("ENTRYPOINT") and "HEALTHCHECK" in words


@pytest.fixture
def open_folder():
    """A folder that others may come through to, as into a container's root; those of pytest are closed."""
    folder = Path(tempfile.mkdtemp(prefix="lite-medsam-container-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can give up rights")
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not installed")
def test_the_service_runs_as_nobody_from_files_that_it_cannot_change(open_folder):
    if python_for_all() is None:
        pytest.skip("no Python here that other users may run")
    image = build(DOCKERFILE, ROOT, "serve", open_folder / "image")
    subprocess.run(["chmod", "-R", "a-w,a+rX", str(image.root)], check=True)
    cache = image.root / "tmp" / "cache"
    cache.chmod(0o777)
    environment = image.environment | {
        "NN_INTERACTIVE_API_KEY": "word",
        "HOME": image.placed("/home/user"),
        "TMPDIR": str(cache),
    }
    drop = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs"]
    health = [*drop, *image.health]
    assert image.user == "user"

    def run(words):
        return subprocess.run(
            words, env=environment, capture_output=True, text=True, timeout=60, cwd=environment["HOME"]
        )

    assert run(health).returncode != 0  # nothing answers yet
    found = run([*drop, "python", "-c", "import lite_medsam; print(lite_medsam.__file__)"])
    where = found.stdout.strip()
    assert where.startswith(str(image.root / "venv")), found.stderr
    for place in (where, image.placed("/home/user/x")):
        assert run([*drop, "sh", "-c", f"echo >> {place}"]).returncode != 0

    with open(open_folder / "log", "w") as log:
        server = subprocess.Popen(
            [*drop, *image.entrypoint], env=environment, cwd=environment["HOME"], stdout=log, stderr=log
        )
    try:
        end = time.monotonic() + 60
        while run(health).returncode:
            assert server.poll() is None and time.monotonic() < end, (open_folder / "log").read_text()
            time.sleep(0.5)
        np.save(cache / "v.npy", np.random.default_rng(0).integers(0, 255, (4, 96, 96), np.uint8))
        talk = (
            "import os, numpy as np; from nnInteractive.inference.remote import nnInteractiveRemoteInferenceSession as C\n"
            "v = np.load(os.environ['TMPDIR'] + '/v.npy')\n"
            "with C('http://127.0.0.1:1527') as c:\n"
            "    c.set_image(v[None]); c.set_target_buffer(np.zeros(v.shape, np.uint8))\n"
            "    c.add_bbox_interaction([[1, 2], [20, 70], [20, 70]], True); print('voxels', c.target_buffer.sum() > 0)"
        )
        told = run([*drop, "python", "-c", talk])
        assert told.stdout.strip() == "voxels True", told.stderr
        assert all(path.stat().st_uid == NOBODY for path in cache.rglob("*") if path.name != "v.npy")
    finally:
        server.terminate()
        server.wait(20)
