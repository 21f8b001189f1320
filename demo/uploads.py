"""Files on their way in: pieces that a page sends, in a private folder that goes away with them."""

import re
import shutil
import tempfile
from pathlib import Path

from .fields import Refused

# files that name the ones beside them, or say in their name what they hold
_NAMING = (".xml", ".oct", ".mhd", ".nhdr", ".img")


class Upload:
    """Files on their way in, in a private folder that goes away with them."""

    def __init__(self, names: list[str], sizes: list[int]):
        self.names, self.sizes = names, sizes
        self.folder = Path(tempfile.mkdtemp(prefix="lite-medsam-demo-"))  # readable by this user alone
        self.received = [0] * len(names)
        for number, size in enumerate(sizes):
            if size == 0:  # no piece of it will come
                self.path(number).touch()

    @property
    def source(self) -> Path:
        """What is to be read: the one file, the file of several that names the others, or the folder of them."""
        main = [k for k, name in enumerate(self.names) if name.lower().endswith(_NAMING)]
        if len(self.names) == 1 or len(main) == 1:
            return self.path(main[0] if main else 0)
        return self.folder

    def path(self, number: int) -> Path:
        """Where a file is written; its own name is used only where the content of an OCT exam needs it, else its ending."""
        if any(name.lower().endswith(_NAMING) for name in self.names):
            plain = [re.sub(r"[^\w.+ -]", "_", re.split(r"[\\/]", name)[-1])[-120:] for name in self.names]
            if plain[number].strip(". ") and plain[number] not in plain[:number]:
                return self.folder / plain[number]
        suffixes = "".join(Path(self.names[number]).suffixes[-2:]).lower()
        keep = suffixes if suffixes.replace(".", "").isalnum() and len(suffixes) <= 12 else ""
        return self.folder / f"{number:05d}{keep}"

    def append(self, number: int, data: bytes, at: int | None = None) -> None:
        """Adds a piece to a file.

        Args:
            number: Of the file.
            data: The piece.
            at: Where in the file it begins; a piece that has come already (its answer was lost, so it was sent again) is
                left out. None: at the end of what has come.

        Raises:
            Refused: If the file grows beyond what was announced, or a piece is missing before this one.
        """
        if not 0 <= number < len(self.names):
            raise Refused("a piece must be of one of the files that were announced; choose the file again")
        have = self.received[number]
        at = have if at is None else at
        if at < have and at + len(data) <= have:
            return
        if at != have or have + len(data) > self.sizes[number]:
            raise Refused("an upload must have the size that was announced, got more; choose the file again")
        with open(self.path(number), "ab") as file:
            file.truncate(have)  # what a piece left that found no room for all of it
            file.write(data)
        self.received[number] += len(data)

    @property
    def complete(self) -> bool:
        """Whether every byte that was announced has come."""
        return self.received == self.sizes

    def discard(self) -> None:
        """Removes the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
