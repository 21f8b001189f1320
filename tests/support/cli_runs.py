"""Commands in this process, and pictures for them."""

import cv2
import numpy as np
import pytest

from lite_medsam.cli import main


def run(capsys, *arguments):
    """Exit code, stdout and stderr of a command in this process."""
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    captured = capsys.readouterr()
    return stop.value.code, captured.out, captured.err


def png(path, shape=(60, 80), value=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = (
        np.random.default_rng(0).integers(0, 256, shape, np.uint8) if value is None else np.full(shape, value, np.uint8)
    )
    path.write_bytes(cv2.imencode(".png", image)[1].tobytes())
    return path
