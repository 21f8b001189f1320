"""Recipes for `model.assembly`: a converted model directory told as our bytes and places in the authors' file.

python -m lite_medsam.learning.published.assembly_recipe lite_medsam.pth MODEL_DIR weights/published/litemedsam.zip
"""

import json
import os
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from lite_medsam.errors import WeightsError
from lite_medsam.learning.network.checkpoint import WEIGHTS_FILE
from lite_medsam.learning.published.checkpoint_file import read_state
from lite_medsam.model.assembly import FORMAT, PARTS, RECIPE_FILE, VERSION
from lite_medsam.model.engines import DECODER_FILE, ENCODER_FILE
from lite_medsam.model.spec import load_spec, sha256_of
from lite_medsam.storage.files import atomic_write

LEAST_BYTES = 64  # shorter tensors are not worth a part
EPS = 1e-5  # of torch's batch normalisation
_STAMP = (1980, 1, 1, 0, 0, 0)


def write_recipe(checkpoint: str | os.PathLike, directory: str | os.PathLike, out: str | os.PathLike) -> None:
    """Writes the recipe of a directory that `convert` made from a checkpoint.

    Args:
        checkpoint: The authors' file; its tensors must lie in it uncompressed, as torch writes them.
        directory: The converted model.
        out: The zip file.

    Raises:
        WeightsError: If weights of the directory do not come from the checkpoint, so that the recipe would carry them.
    """
    book, directory = _Book(Path(checkpoint)), Path(directory)
    names = [*load_spec(directory).files, "README.md", "spec.json"]
    entries, literals = [], {}
    for name in names:
        data = (directory / name).read_bytes()
        parts, literals[name] = _parts(data, _tensors(name, data), book)
        entries.append({"name": name, "sha256": sha256_of(directory / name), "parts": parts})
    recipe = {"format": FORMAT, "version": VERSION, "checkpoint_sha256": sha256_of(checkpoint), "files": entries}
    contents: dict[str, Any] = {RECIPE_FILE: json.dumps(recipe, separators=(",", ":")), **literals}
    with atomic_write(out) as path, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in contents.items():
            entry = zipfile.ZipInfo(name, _STAMP)  # the same recipe is the same file
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)


class _Book:
    """The authors' file, and where each tensor's numbers lie in it."""

    def __init__(self, path: Path):
        self.numbers = path.read_bytes()
        self.state = {name: value.numpy() for name, value in read_state(path)[0].items()}
        self.places: dict[str, int] = {}

    def place(self, name: str) -> int:
        """The byte where a tensor begins; one with the same numbers is as good."""
        if name not in self.places:
            self.places[name] = self.numbers.find(np.ascontiguousarray(self.state[name], "<f4").tobytes())
            if self.places[name] < 0:
                raise WeightsError(
                    f"{name} must lie in the checkpoint as single-precision numbers; convert it with torch"
                )
        return self.places[name]

    def part(self, name: str, data: bytes) -> list | None:
        """The part that gives these bytes, which a graph knows by this name; None if there is none."""
        candidates: list[list[Any]] = []
        if name in self.state:
            candidates.append(["theirs", self.place(name), len(data)])
        base, _, kind = name.rpartition(".")
        if f"{base}.c.weight" in self.state:
            norm = {end: self.place(f"{base}.bn.{end}") for end in ("weight", "bias", "running_mean", "running_var")}
            kernel = self.state[f"{base}.c.weight"]
            shape = [len(kernel), kernel.size // len(kernel)]
            tail = [norm["weight"], norm["running_var"], shape, EPS]
            if kind == "weight":
                candidates.append(["weight", self.place(f"{base}.c.weight"), *tail])
            else:
                candidates.append(["bias", norm["bias"], norm["running_mean"], *tail])
        return next((part for part in candidates if PARTS[part[0]](self.numbers, *part[1:]) == data), None)


def _tensors(name: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    """Names as in the checkpoint and bytes of a file's tensors, in the order in which they lie in it."""
    if name in (ENCODER_FILE, DECODER_FILE):
        for tensor in onnx.load_from_string(data).graph.initializer:
            yield tensor.name.partition(".")[2], tensor.raw_data
    elif name == WEIGHTS_FILE:
        length = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + length])
        for key, entry in sorted(header.items(), key=lambda item: item[1].get("data_offsets", [0])[0]):
            if key != "__metadata__":
                begin, end = entry["data_offsets"]
                yield key, data[8 + length + begin : 8 + length + end]


def _parts(data: bytes, tensors: Iterator[tuple[str, bytes]], book: _Book) -> tuple[list, bytes]:
    parts, own, done = [], bytearray(), 0
    for name, content in tensors:
        if len(content) < LEAST_BYTES:
            continue
        at, part = data.find(content, done), book.part(name, content)
        if part is None or at < 0:
            if len(content) > 10_000:
                raise WeightsError(
                    f"{name} must come from the checkpoint, but its numbers are others; convert it again"
                )
            continue
        parts += [["own", at - done], part]
        own += data[done:at]
        done = at + len(content)
    return [*parts, ["own", len(data) - done]], bytes(own + data[done:])


if __name__ == "__main__":
    write_recipe(*sys.argv[1:])
