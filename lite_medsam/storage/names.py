"""Names of files that we write: which are one file somewhere, which can be written everywhere."""

import hashlib
import re
import unicodedata

# names of devices: Windows takes them for the device, whatever ending they have
_RESERVED = re.compile(r"(?i)(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])(?=$|[. ])")
MAX_NAME_BYTES = 255


def name_key(name: str) -> str:
    """Equal for names that are one file on some system: case, Unicode's forms, and dots and spaces at the end."""
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
    return "/".join(part.rstrip(". ") or part for part in folded.split("/"))


def writable_name(name: str, max_bytes: int = MAX_NAME_BYTES) -> str:
    """A name that every system can write, and the same one each time: short enough, and no device of Windows.

    A name that is cut ends in a hash of the whole.

    Args:
        name: Without folders.
        max_bytes: Of its UTF-8.
    """
    if _RESERVED.match(name):
        name = "_" + name
    if _size(name) <= max_bytes:
        return name
    return cut_name(name, max_bytes - 9) + "-" + short_hash(name)


def writable_folder(name: str) -> str:
    """The same for a folder's name, which may not end in a dot or space either."""
    bare = name.rstrip(". ")
    ending = name[len(bare) :]
    return writable_name(bare + re.sub(r"[. ]", "_", ending))


def cut_name(name: str, max_bytes: int) -> str:
    """The first letters of a name, as many as fit into so many bytes of UTF-8."""
    while _size(name) > max_bytes:
        name = name[:-1]
    return name


def short_hash(name: str) -> str:
    """Eight hexadecimal digits that are the same for the same name."""
    return hashlib.sha256(_bytes(name)).hexdigest()[:8]


def _size(name: str) -> int:
    return len(_bytes(name))


def _bytes(name: str) -> bytes:
    try:
        return name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # Windows allows half of a pair of surrogates
        return name.encode("utf-8", "surrogatepass")
