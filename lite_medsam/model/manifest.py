"""The manifest of published models: which there are, their terms, where they come from, and what their files must be."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lite_medsam.errors import WeightsError
from lite_medsam.model.download import check_file
from lite_medsam.model.json_fields import build_dataclass
from lite_medsam.model.packaged_file import PackagedFile
from lite_medsam.model.spec import load_spec
from lite_medsam.storage.bundled import WEIGHTS_DIR
from lite_medsam.storage.one_line import one_line

MANIFEST = WEIGHTS_DIR / "manifest.json"


@dataclass(frozen=True)
class PublishedModel:
    """One entry of the manifest.

    Attributes:
        name: What `lite-medsam weights` and `--weights` call it.
        title: Name for people.
        family: Key for `lite-medsam convert --family`; "lite-medsam" for our own.
        file: File name.
        source: Page of its authors.
        licence: Terms.
        size_bytes: Size where known, else 0.
        sha256: Hash where known, else empty.
        sha256_origin: Who says so.
        urls: Where it can be downloaded, tried in order.
        package: The Python package that carries it, where there is one.
        instructions: What to do by hand.
        bundled: Whether it comes with the package.
    """

    name: str = ""
    title: str = ""
    family: str = ""
    file: str = ""
    source: str = ""
    licence: str = ""
    size_bytes: int = 0
    sha256: str = ""
    sha256_origin: str = ""
    urls: tuple[str, ...] = ()
    package: PackagedFile = field(default_factory=PackagedFile)
    instructions: tuple[str, ...] = ()
    bundled: bool = False

    @property
    def how(self) -> str:
        """How it comes to a user: "bundled", "package", "download" or "by hand"."""
        if self.bundled:
            return "bundled"
        return "package" if self.package.name else "download" if self.urls else "by hand"


def load_manifest(path: str | os.PathLike = MANIFEST) -> list[PublishedModel]:
    """The entries of a manifest; null stands for what is not known.

    Raises:
        WeightsError: If it is missing, no JSON, or has unknown or wrong fields.
    """
    path = Path(path)
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        entries = record["models"]
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise TypeError("models is no list of objects")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise WeightsError(
            f'{path} must be a JSON object with "models", got: {one_line(error)}; install lite-medsam again'
        ) from None
    known = [{key: value for key, value in entry.items() if value is not None} for entry in entries]
    return [build_dataclass(PublishedModel, entry, f"{path}: models[{i}]") for i, entry in enumerate(known)]


def find_model(name: str, models: Sequence[PublishedModel]) -> PublishedModel:
    """The entry of a name.

    Raises:
        WeightsError: With the choices, if there is none.
    """
    for model in models:
        if model.name == name:
            return model
    raise WeightsError(
        f"name must be one of {', '.join(m.name for m in models)}, got {name!r}; see lite-medsam weights list"
    )


def verify(path: str | os.PathLike, models: Sequence[PublishedModel]) -> list[tuple[str, str]]:
    """Checks a model directory against its spec, and published files against the manifest.

    Args:
        path: A model directory, a folder with published files, or one such file.
        models: The manifest.

    Returns:
        (file name, "ok" or "no known hash") of everything that was checked.

    Raises:
        WeightsError: If a file is missing or differs, or nothing there can be checked.
    """
    path = Path(path)
    by_file = {model.file: model for model in models if not model.bundled}
    if path.is_dir() and (path / "spec.json").is_file():
        files = load_spec(path).files
        if not files:
            raise WeightsError(
                f"{path / 'spec.json'} must name the SHA-256 of its files, got none; export the model again"
            )
        for name, expected in files.items():
            if not (path / name).is_file():
                raise WeightsError(f"{path} must hold {name}, but it is missing; get the model again")
            check_file(path / name, expected)
        return [(name, "ok") for name in files]
    candidates = sorted(path.iterdir()) if path.is_dir() else [path] if path.is_file() else []
    known = [file for file in candidates if file.name in by_file]
    if not known:
        names = ", ".join(by_file)
        raise WeightsError(f"path must be a model directory or one of the files {names}, got {path}; see weights list")
    results = []
    for file in known:
        model = by_file[file.name]
        check_file(file, model.sha256, model.size_bytes)
        results.append((file.name, "ok" if model.sha256 else "no known hash"))
    return results
