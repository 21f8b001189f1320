"""A page of the demo without a browser: the requests it sends to a desk, and what comes back."""

import base64
import io
import json
import zipfile
from pathlib import Path

import numpy as np

from lite_medsam.cli.demo_loading import load_demo
from lite_medsam.phantoms import bundled_cases

actions, seats = load_demo("actions"), load_demo("seats")
CASES = {case.name: case for case in bundled_cases()}
OCT = "2D_OCT_oct-cme-0000"


class OneModel:
    """A catalogue with one predictor."""

    def __init__(self, predictor):
        self.predictor, self.directories, self.engines = predictor, {"fake": Path(".")}, ["fake"]
        self.default, self.engine = "fake", "fake"

    def get(self, name, engine):
        if name != "fake":
            raise ValueError(f"a model must be one of fake, got {name!r}")
        return self.predictor


class Page:
    """What the page in the browser does."""

    def __init__(self, desk, model=None):
        self.desk = desk
        self.token = desk.seats.take(model or desk.models.default, desk.models.engine).token

    def ask(self, op, **more):
        answer = self.desk.answer({"token": self.token, "op": op, **more})
        json.dumps(answer)  # everything must go through JSON
        return answer

    def do(self, op, **more):
        answer = self.ask(op, **more)
        assert answer["ok"], answer
        return answer.get("view", answer)

    def upload(self, *files, op="open"):
        answer = self.ask("upload", files=[{"name": name, "size": len(data)} for name, data in files])
        if not answer["ok"]:
            return answer
        for number, (_, data) in enumerate(files):
            for start in range(0, len(data), 1_000_000):
                piece = base64.b64encode(data[start : start + 1_000_000]).decode()
                answer = self.ask("piece", file=number, data=piece)
                if not answer["ok"]:
                    return answer
        return self.ask(op)


def desk_with(catalogue, **limits):
    limits = {"max_upload_bytes": 30_000_000, "max_pixels": 5_000_000} | limits
    return actions.Desk(seats.Seats(max_seats=8), catalogue, seats.Turnstile(2, 20), **limits)


def mask_of(item, hw):
    """(H, W) bool, the mask that an answer has of an object."""
    runs = item["mask"]
    flat = np.concatenate([np.full(n, i % 2, bool) for i, n in enumerate(runs["runs"])])
    mask = np.zeros(hw, bool)
    mask[runs["y"] : runs["y"] + runs["h"], runs["x"] : runs["x"] + runs["w"]] = flat.reshape(runs["h"], runs["w"])
    return mask


def png_of(array):
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return file.getvalue()


def damaged_inside(data: bytes, name: str) -> bytes:
    """A ZIP with bytes of one of its members overwritten; its table of contents stays."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        info = archive.getinfo(name)
    begin = info.header_offset + 30 + len(info.filename) + info.compress_size // 3
    length = max(1, info.compress_size // 3)
    return data[:begin] + b"\xff" * length + data[begin + length :]


def gradient(hw=(60, 80), dtype=np.uint16, top=4000):
    return np.linspace(0, top, hw[0] * hw[1]).reshape(hw).astype(dtype)
