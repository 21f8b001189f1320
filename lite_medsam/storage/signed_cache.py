"""A cache of arrays on disk that never gives back what was computed from something else."""

import hashlib
import io
import json
import os
import re
import time
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lite_medsam.storage.files import atomic_write

SIGNATURE_FILE = "signature.json"
TAG_FILE = "CACHEDIR.TAG"
# what backup programs look for, see https://bford.info/cachedir/
TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# Made by lite-medsam; it may be deleted at any time.\n"
STALE_SECONDS = 3600.0
_ENTRY = "entry.json"
_NAME = re.compile(r"(?P<signature>[0-9a-f]{12})-[0-9a-f]{32}\.npz")
_TEMPORARY = re.compile(r"\.[0-9a-f]{12}-[0-9a-f]{27}-.*\.npz")  # what a killed writer leaves
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


class SignedCache:
    """Named arrays by key, valid under one signature: whatever the arrays depend on besides the key.

    One file per key, named by a hash of signature and key, so a folder may serve several signatures and processes; what
    belongs to another signature is never found. Each file is an npz that numpy opens too, with a checksum per array. A
    file or the whole folder may be deleted at any time. A disk that is full, or cannot be written, costs the entry and
    one warning, nothing else.

    Args:
        folder: Where the files lie; it is created.
        signature: What the arrays depend on, text by name: hashes of weights and data, settings.
        limit_bytes: Most bytes of the entries of all signatures together, None for no limit. Where a new entry does not
            fit, those of other signatures make room, the oldest first; if that is not enough, it is not kept. Entries
            of the own signature stay, because a run that reads them in turn would otherwise find none in the end.
        compress: Whether new entries are deflated, quickly. Both kinds are read.

    Raises:
        NotADirectoryError: If the folder is a file.
    """

    def __init__(
        self, folder: Path, signature: Mapping[str, str], limit_bytes: int | None = None, compress: bool = False
    ):
        self.folder, self.limit_bytes = Path(folder), limit_bytes
        self._method = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
        self.signature = {str(name): str(signature[name]) for name in sorted(signature)}
        self._hash = hashlib.sha256(json.dumps(self.signature).encode()).hexdigest()
        self._used: int | None = None  # bytes in the folder, as far as is known; None until it was looked at
        self._full = self._warned = False
        if self.folder.exists() and not self.folder.is_dir():
            raise NotADirectoryError(f"the cache must be a folder, got the file {self.folder}; name another one")
        try:
            self._describe()
        except OSError as error:
            self._warn(error)

    def get(self, key: str) -> dict[str, np.ndarray] | None:
        """The arrays of a key, writable copies; None if there are none, or not of this signature, or damaged ones.

        A damaged file is removed, so that its arrays are computed and kept anew.
        """
        path = self._path(key)
        try:
            with zipfile.ZipFile(path) as archive:
                return self._read(archive, key)
        except FileNotFoundError:
            return None
        except Exception:  # damaged bytes raise anything: BadZipFile, struct.error, KeyError, ValueError ...
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                self._warn(error)
            return None

    def has(self, key: str) -> bool:
        """Whether there is an entry of that key, damaged or not: so that a caller can tell damage from absence."""
        return self._path(key).is_file()

    def put(self, key: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Keeps the arrays of a key, atomically, in place of earlier ones.

        Args:
            key: Any text.
            arrays: By name; of plain dtypes, never Python objects.

        Raises:
            ValueError: If an array holds Python objects.
        """
        arrays = {name: np.asarray(array) for name, array in arrays.items()}
        objects = [name for name, array in arrays.items() if array.dtype.hasobject]
        if objects:
            raise ValueError(f"cached arrays must have a plain dtype, got Python objects in {objects[0]!r}")
        size = sum(array.nbytes + 512 for array in arrays.values()) + 1024
        try:
            if not self._fits(size):
                return
            self._describe()
            with (
                atomic_write(self._path(key)) as path,
                zipfile.ZipFile(path, "w", self._method, compresslevel=1) as archive,
            ):
                archive.writestr(_ENTRY, json.dumps({"signature": self._hash, "key": key, "arrays": list(arrays)}))
                for name, array in arrays.items():
                    with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                        np.lib.format.write_array(file, array, allow_pickle=False)
        except OSError as error:
            self._warn(error)
            return
        self._used = (self._used or 0) + (size if self._method == zipfile.ZIP_STORED else _size(self._path(key), size))

    def clear(self) -> None:
        """Removes all that caches have written into the folder, of every signature; other files stay.

        So do files that another process is writing just now; what a killed process left goes after an hour.
        """
        for path in self._files():
            unfinished = _TEMPORARY.fullmatch(path.name) and _age(path) > STALE_SECONDS
            if unfinished or _NAME.fullmatch(path.name) or path.name in (SIGNATURE_FILE, TAG_FILE):
                path.unlink(missing_ok=True)
        self._used, self._full = 0, False

    def _path(self, key: str) -> Path:
        name = hashlib.sha256(f"{self._hash}\0{key}".encode()).hexdigest()
        return self.folder / f"{self._hash[:12]}-{name[:32]}.npz"

    def _read(self, archive: zipfile.ZipFile, key: str) -> dict[str, np.ndarray]:
        entry = json.loads(archive.read(_ENTRY))
        if entry["signature"] != self._hash or entry["key"] != key:
            raise ValueError("of another signature or key")
        if sorted(archive.namelist()) != sorted([_ENTRY, *(f"{name}.npy" for name in entry["arrays"])]):
            raise ValueError("other arrays than were written")
        return {name: _array(archive.read(f"{name}.npy")) for name in entry["arrays"]}  # read() checks the CRC-32

    def _describe(self) -> None:
        """Writes what the folder is and which signatures it serves, for people and backup programs."""
        tag, listing = self.folder / TAG_FILE, self.folder / SIGNATURE_FILE
        if not tag.exists():
            with atomic_write(tag) as path:
                path.write_text(TAG, encoding="utf-8")
        try:
            known = json.loads(listing.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            known = {}
        known = known if isinstance(known, dict) else {}
        if self._hash[:12] in known:
            return
        with atomic_write(listing) as path:
            text = json.dumps({**known, self._hash[:12]: self.signature}, indent=2, ensure_ascii=False)
            path.write_text(text + "\n", encoding="utf-8")

    def _fits(self, size: int) -> bool:
        """Makes room for an entry where there is a limit; False if it cannot be had."""
        if self.limit_bytes is None:
            return True
        if self._full:
            return False
        if self._used is None or self._used + size > self.limit_bytes:
            self._used = self._make_room(self.limit_bytes - size)
        if self._used + size > self.limit_bytes:
            self._full = True
            self._warn(f"its limit of {self.limit_bytes} bytes is reached")
        return not self._full

    def _make_room(self, allowed: int) -> int:
        """Removes entries of other signatures, the oldest first, down to so many bytes; returns how many are used."""
        entries = []
        for path in self._files():
            if _NAME.fullmatch(path.name):
                try:
                    entries.append((path.stat().st_mtime_ns, path.stat().st_size, path))
                except FileNotFoundError:
                    continue  # another process was quicker
        used = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries):
            if used <= allowed:
                break
            if not path.name.startswith(self._hash[:12]):
                path.unlink(missing_ok=True)
                used -= size
        return used

    def _files(self) -> list[Path]:
        try:
            return [Path(entry.path) for entry in os.scandir(self.folder) if entry.is_file(follow_symlinks=False)]
        except FileNotFoundError:
            return []

    def _warn(self, reason: object) -> None:
        if not self._warned:
            self._warned = True
            message = (
                f"an entry of the cache {self.folder} was not kept ({reason}); results stay right, but take longer"
            )
            warnings.warn(message, RuntimeWarning, stacklevel=3)


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _size(path: Path, otherwise: int) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return otherwise


def _array(data: bytes) -> np.ndarray:
    """The array of an npy file in memory. The checksum was right, so what it says of itself can be trusted."""
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    shape, fortran, dtype = _HEADERS[version](file)
    if dtype.hasobject:
        raise ValueError("Python objects")
    flat = np.frombuffer(data, dtype, offset=file.tell()).copy()
    return flat.reshape(shape, order="F" if fortran else "C")
