"""A folder that is worked through file by file: what is in it, how far each file is, and where its results lie."""

import contextlib
import json
import threading
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePath

from lite_medsam.errors import CaseError
from lite_medsam.jobs.listing import NAME_ENDINGS, find_sources
from lite_medsam.jobs.naming import Source, targets
from lite_medsam.scans.dicom_study import Series, find_series, study_files
from lite_medsam.scans.scan import Scan
from lite_medsam.session.following import with_masks
from lite_medsam.session.interactive import Session
from lite_medsam.storage.files import atomic_write
from lite_medsam.storage.names import short_hash
from lite_medsam.storage.strict_json import read_json

from .opening import open_file
from .records import Record
from .saving import result_files
from .session_files import MANIFEST, manifest, read_record, told_damage

RESULTS, STATE = "lite-medsam", "queue.json"
FORMAT = "lite-medsam queue"
STATES = ("new", "begun", "done", "skipped")
SESSION_ENDING = ".lite-medsam.zip"
ENDINGS = ("_label.png", "_label.nii.gz", "_overlay.png", "_coco.json", "_measurements.csv", "_record.json", ".npz")
MAX_STATE_BYTES = 2**26
LOOK_AGAIN_SECONDS = 5


@dataclass(frozen=True)
class Item:
    """One picture or volume of the folder.

    Attributes:
        id: A name that a page may say; nothing else of it becomes a path.
        name: Its path below the folder, and the series where there are several.
        path: Where it is.
        target: Where its results lie, without ending.
        series: Which series of a DICOM folder or ZIP.
    """

    id: str
    name: str
    path: Path
    target: Path
    series: str | None = None

    @property
    def session_path(self) -> Path:
        """The file that holds the work on it."""
        return self.target.with_name(self.target.name + SESSION_ENDING)


class Folder:
    """Files to be worked through; the states and results of them lie in `lite-medsam` inside.

    Args:
        root: The folder.
        max_pixels: Of a picture, or voxels of a volume.

    Raises:
        CaseError: If it is no folder, or holds nothing that can be read.
    """

    def __init__(self, root: Path, max_pixels: int):
        self._root, self._max_pixels = Path(root).resolve(), max_pixels
        self.name = self._root.name or "folder"
        self._results = self._root / RESULTS
        self._lock = threading.RLock()
        self._items: dict[str, Item] = {}
        self._looked, self._look_again = -1e9, 0.0
        if not self._root.is_dir():
            raise CaseError(f"FOLDER must be a folder, {root} is none")
        if not self.items():
            raise CaseError(f"FOLDER must hold pictures or volumes that can be read, {root} holds none")

    def items(self) -> list[Item]:
        """What is in the folder now, in the order of the paths."""
        with self._lock:
            began = time.monotonic()
            if began - self._looked > self._look_again:
                with contextlib.suppress(CaseError):  # (emptied meanwhile)
                    self._items = {item.id: item for item in self._found()}
                self._looked = time.monotonic()
                # a folder of thousands of DICOM files takes its time
                self._look_again = max(LOOK_AGAIN_SECONDS, 20 * (self._looked - began))
            return list(self._items.values())

    def item(self, item_id: str) -> Item:
        """The item that a page names.

        Raises:
            CaseError: If there is none, or it leads out of the folder by now.
        """
        item = next((one for one in self.items() if one.id == item_id), None)
        if item is None or not self._is_inside(item.path):
            raise CaseError("there is no such file in the folder any more; the list is a new one")
        return item

    def open(self, item: Item) -> Scan:
        """Reads an item.

        Raises:
            CaseError: As `load_volume`; without our paths.
        """
        try:
            return open_file(item.path, self._max_pixels, item.series)
        except CaseError as error:
            raise CaseError(str(error).replace(str(item.path), item.name).replace(str(self._root), self.name)) from None

    # -- how far it is

    def states(self) -> dict[str, str]:
        """The state of each item by its id."""
        said = self._said()
        found = {}
        for item in self.items():
            state = said.get(item.name, "new")
            found[item.id] = "begun" if state == "new" and item.session_path.is_file() else state
        return found

    def mark(self, item: Item, state: str) -> None:
        """Notes how far an item is.

        Raises:
            ValueError: If there is no such state.
            OSError: If it can't be written.
        """
        if state not in STATES:
            raise CaseError(f"a state must be one of {', '.join(STATES)}, got {state[:20]!r}")
        with self._lock:
            said = self._said() | {item.name: state}
            text = {"format": FORMAT, "version": 1, "states": dict(sorted(said.items()))}
            self._write(self._results / STATE, (json.dumps(text, indent=1, ensure_ascii=False) + "\n").encode())

    def _said(self) -> dict[str, str]:
        path = self._results / STATE
        if not path.is_file():
            return {}
        document = read_json(path, CaseError, MAX_STATE_BYTES)
        states = document.get("states") if isinstance(document, dict) and document.get("format") == FORMAT else None
        if not isinstance(states, dict):
            raise CaseError(f"{RESULTS}/{STATE} must be a file of ours; move it away")
        return {name: state for name, state in states.items() if state in STATES}

    # -- the work on it

    def keep(self, item: Item, session: Session, index: int = 0) -> None:
        """Writes the work on an item; nothing where there is none and was none.

        Raises:
            OSError: If it can't be written; what was there stays.
        """
        if not session.now.objects and not item.session_path.is_file():
            return
        source = {"kind": "beside", "name": item.name}
        with atomic_write(self._checked(item.session_path)) as temporary, zipfile.ZipFile(temporary, "w") as archive:
            for name, data in {MANIFEST: manifest(source, index), **Record.of(session, index).files()}.items():
                archive.writestr(name, data)

    def kept(self, item: Item) -> Record | None:
        """The record of the work on an item, None where there is none.

        Raises:
            CaseError: If it can't be read.
        """
        if not item.session_path.is_file():
            return None
        path = item.session_path
        with told_damage(f"{path.name}: damaged", "move it away to begin anew"), zipfile.ZipFile(path) as archive:
            return read_record(archive)

    def write_results(self, item: Item, session: Session, index: int) -> list[str]:
        """Writes label map, overlay, annotations, measurements and record of an item beside one another.

        Results of ours that are of an earlier state, and not among the new ones, are removed.

        Returns:
            The names of the files; none where nothing has a mask.

        Raises:
            OSError: If they can't be written.
        """
        _, stem, files = result_files(session, index) if with_masks(session.now) else (None, "", {})
        wanted = [ending for ending in ENDINGS if stem + ending in files]
        if "_label.png" in wanted or "_label.nii.gz" in wanted:
            wanted = [ending for ending in wanted if ending != ".npz"]
        for ending in wanted:
            self._write(self._result(item, ending), files[stem + ending])
        for ending in ENDINGS:
            if ending not in wanted:
                self._result(item, ending).unlink(missing_ok=True)
        return [self._result(item, ending).name for ending in wanted]

    # -- inside

    def _found(self) -> list[Item]:
        sources, problems = find_sources(self._root, self._results)
        for folder, _ in problems:  # one that holds several series, each of which is an item here
            sources += [
                Source(
                    folder,
                    PurePath(folder.relative_to(self._root), one.label),
                    self.name,
                    series=one.uid or str(one.number),
                )
                for one in self._series_of(folder)
            ]
        sources = sorted(
            (one for one in sources if self._is_inside(one.path)), key=lambda one: (str(one.path), str(one.below))
        )
        places = targets(sources, NAME_ENDINGS)
        return [self._as_item(source, place) for source, place in zip(sources, places, strict=True)]

    def _series_of(self, folder: Path) -> list[Series]:
        """The series of pictures in a folder that holds several."""
        if not folder.is_dir() or not self._is_inside(folder):
            return []
        try:
            with study_files(folder) as (files, _):
                return [one for one in find_series([f for f in files if f.parent == folder])[0] if one.is_image]
        except (CaseError, ImportError):
            return []

    def _as_item(self, source: Source, place: PurePath) -> Item:
        name = source.path.relative_to(self._root).as_posix()
        name = self.name if name == "." else name
        if source.series is not None:
            name = f"{name}, {source.below.name}"
        return Item(
            short_hash(f"{name}|{source.series or ''}"), name, source.path, self._results / place, source.series
        )

    def _is_inside(self, path: Path) -> bool:
        """Whether a path is in the folder once links are followed."""
        return path.resolve().is_relative_to(self._root)

    def _result(self, item: Item, ending: str) -> Path:
        return self._checked(item.target.with_name(item.target.name + ending))

    def _checked(self, path: Path) -> Path:
        """A path of results: links must not lead it elsewhere."""
        if not path.parent.resolve().is_relative_to(self._root):
            raise CaseError(f"{RESULTS} must be inside the folder, a link leads it elsewhere; remove the link")
        return path

    def _write(self, path: Path, data: bytes) -> None:
        with atomic_write(self._checked(path)) as temporary:
            temporary.write_bytes(data)
