"""Model directories put together from an authors' file without torch: our graphs around their numbers, byte by byte."""

import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from lite_medsam.errors import WeightsError
from lite_medsam.model.download import check_file
from lite_medsam.storage.bundled import WEIGHTS_DIR
from lite_medsam.storage.files import atomic_write

RECIPES = WEIGHTS_DIR / "published"
RECIPE_FILE, FORMAT, VERSION = "recipe.json", "lite-medsam-assembly", 1


def find_recipe(name: str, checkpoint_sha256: str, folder: Path | None = None) -> Path | None:
    """The recipe that makes a model of this name from this file; None if there is none.

    Args:
        name: Of the model directory, as "litemedsam-128".
        checkpoint_sha256: Of the authors' file.
        folder: Where recipes lie; those of the package by default.
    """
    path = (folder or RECIPES) / f"{name}.zip"
    return path if path.is_file() and read_recipe(path)["checkpoint_sha256"] == checkpoint_sha256 else None


def read_recipe(path: str | os.PathLike) -> dict:
    """What a recipe says, without the bytes of the files.

    Raises:
        WeightsError: If it is damaged or of another version.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            recipe = json.loads(archive.read(RECIPE_FILE))
        known = (recipe["format"], recipe["version"]) == (FORMAT, VERSION)
    except (OSError, zipfile.BadZipFile, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{path} must be a recipe for a model, got: {error}; install lite-medsam again") from None
    if not known:
        raise WeightsError(f"{path} must be a recipe of version {VERSION}, got another; update lite-medsam")
    return recipe


def assemble(recipe_path: str | os.PathLike, checkpoint: str | os.PathLike, out: str | os.PathLike) -> None:
    """Writes the files of a model directory; each must have exactly the hash that it had where the recipe was made.

    A file is a sequence of parts: bytes that the recipe brings, stretches of the authors' file, and their convolutions with
    the normalisation after them folded in, in double precision (as `litemedsam_encoder.fuse_conv_norm` does it).

    Args:
        recipe_path: From `find_recipe`.
        checkpoint: The authors' file.
        out: The directory; spec.json is written last.

    Raises:
        WeightsError: If the file is another one than the recipe was made for, or what came out is not what should.
        OSError: If it can't be written.
    """
    recipe, out = read_recipe(recipe_path), Path(out)
    check_file(checkpoint, recipe["checkpoint_sha256"])
    numbers = Path(checkpoint).read_bytes()
    with zipfile.ZipFile(recipe_path) as archive:
        for entry in recipe["files"]:
            literal, place = archive.read(entry["name"]), 0
            with atomic_write(out / entry["name"]) as path:
                with path.open("wb") as file:
                    for kind, *values in entry["parts"]:
                        if kind == "own":
                            file.write(literal[place : place + values[0]])
                            place += values[0]
                        else:
                            file.write(PARTS[kind](numbers, *values))
                _check(path, entry)


def _check(path: Path, entry: dict) -> None:
    try:
        check_file(path, entry["sha256"])
    except WeightsError:
        raise WeightsError(f"{entry['name']} could not be put together on this machine; use convert instead") from None


def _stretch(numbers: bytes, at: int, count: int) -> bytes:
    return numbers[at : at + count]


def floats(numbers: bytes, at: int, count: int) -> np.ndarray:
    """(count,) float64 of the single-precision numbers from a byte on, exactly."""
    return np.frombuffer(numbers, "<f4", count, at).astype(np.float64)


def folded_weight(numbers: bytes, kernel: int, gain: int, variance: int, shape: list[int], eps: float) -> bytes:
    """A convolution's kernel times the factor of the normalisation after it.

    Args:
        numbers: The authors' file.
        kernel: Where its weights begin, bytes; the other places likewise.
        gain: The normalisation's factor.
        variance: Its running variance.
        shape: Channels out, and the numbers of each.
        eps: What is added to the variance.
    """
    weights = floats(numbers, kernel, shape[0] * shape[1]).reshape(shape)
    factor = floats(numbers, gain, shape[0]) / np.sqrt(floats(numbers, variance, shape[0]) + eps)
    return (weights * factor[:, None]).astype("<f4").tobytes()


def folded_bias(numbers: bytes, shift: int, mean: int, gain: int, variance: int, shape: list[int], eps: float) -> bytes:
    """The bias that the normalisation leaves behind; arguments as of `folded_weight`."""
    factor = floats(numbers, gain, shape[0]) / np.sqrt(floats(numbers, variance, shape[0]) + eps)
    return (floats(numbers, shift, shape[0]) - floats(numbers, mean, shape[0]) * factor).astype("<f4").tobytes()


PARTS: dict[str, Callable[..., bytes]] = {"theirs": _stretch, "weight": folded_weight, "bias": folded_bias}
