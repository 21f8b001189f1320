"""Damages files: bits, bytes, cuts, splices, numbers; inside of zip archives, gzip, PNG chunks and JSON as well.

A container's checksums would refuse almost every damaged file at the door, so the parts inside are damaged and packed again.
Everything depends on the given generator alone.
"""

import gzip
import io
import json
import re
import struct
import warnings
import zipfile
import zlib
from random import Random

MAX_BYTES = 1 << 18  # damage that repeats parts never grows a file beyond this
_NUMBERS = (0, 1, 2, 3, 4, 7, 8, 16, 32, 64, 100, 127, 128, 255, 256, 512, 1000, 4096, 32767, 32768, 65535, 65536)
_LARGE = (2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)
_TEXTS = (
    b"0", b"-1", b"-0", b"1e999", b"1e-999", b"NaN", b"Infinity", b"null", b"true", b"[]", b"{}", b'""', b"9" * 5000,
    b"0.1", b"1.5", b"2147483648", b"99999999999999999999", b'"\\ud800"', b'"\\u0000"', b"\xff\xfe", b"\x00", b"\r", b"\n",
    b"\xef\xbb\xbf", b'"', b",", b";", b"\t", b"{" * 3000, b"[" * 3000, b"1,2,3", b"../../x",
)  # fmt: skip
_VALUES = (
    None, True, False, 0, 1, -1, 2, 255, 2**31, 2**63, 2**64, 10**400, 0.5, -0.0, 1e308, "", "x", "\n", "a\nb", "\ud800", "\0",
    "0", "1e5", "é" * 3000, [], {}, [[]], [None], [1, 2, 3, 4], [[1, 2], [3]], {"a": 1}, [1e300] * 4, ["x"] * 2, "../x",
    "/dev/zero", "con",
)  # fmt: skip


def damaged(data: bytes, rng: Random, others: list[bytes]) -> bytes:
    """A damaged copy.

    Args:
        data: A file's content.
        rng: Where every choice comes from.
        others: Other files of the kind, to splice with.
    """
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        way = _inside(data) if rng.random() < 0.6 else None
        data = way(data, rng) if way else _bytes(data, rng, others)
    return data[:MAX_BYTES]


def _inside(data: bytes):
    if data.startswith(b"PK\x03\x04"):
        return _zip
    if data.startswith(b"\x1f\x8b"):
        return _gzip
    if data.startswith(b"\x89PNG"):
        return _png
    if data[8:9] == b"{":
        return _safetensors
    return _json if data.lstrip()[:1] in (b"{", b"[") else None


def _bytes(data: bytes, rng: Random, others: list[bytes]) -> bytes:
    if not data:
        return rng.randbytes(rng.randrange(1, 40))
    work = bytearray(data)
    # headers decide more than pixels do
    at = rng.randrange(min(len(work), 400)) if rng.random() < 0.6 else rng.randrange(len(work))
    length = rng.choice((1, 2, 4, 8, 16, rng.randrange(1, len(work) + 1)))
    match rng.randrange(10):
        case 0:
            work[at] ^= 1 << rng.randrange(8)
        case 1:
            work[at] = rng.randrange(256)
        case 2 | 3:
            size = rng.choice("BHIQ")
            number = rng.choice(_NUMBERS + _LARGE) & (256 ** struct.calcsize(f"<{size}") - 1)
            packed = struct.pack(rng.choice("<>") + size, number)
            work[at : at + len(packed)] = packed
        case 4:
            del work[at:]
        case 5:
            del work[at : at + length]
        case 6:
            work[at:at] = work[at : at + length]
        case 7:
            work[at:at] = rng.randbytes(min(length, 64))
        case 8 if others:
            other = rng.choice(others)
            work[at:] = other[rng.randrange(len(other) + 1) :]
        case _:
            return _number_in_text(data, rng) or bytes(work[:at] + rng.choice(_TEXTS) + work[at + length :])
    return bytes(work)


def _number_in_text(data: bytes, rng: Random) -> bytes | None:
    found = list(re.finditer(rb"\d+", data[:4000]))
    if not found:
        return None
    match = rng.choice(found)
    texts = (*(str(n).encode() for n in (rng.choice(_NUMBERS), rng.choice(_LARGE))), rng.choice(_TEXTS))
    return data[: match.start()] + rng.choice(texts) + data[match.end() :]


def _zip(data: bytes, rng: Random) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    except Exception:  # damaged before: as bytes again
        return _bytes(data, rng, [])
    if not members:
        return data
    at = rng.randrange(len(members))
    name, content = members[at]
    match rng.randrange(8):
        case 0:
            del members[at]
        case 1:
            members.append(rng.choice(members))
        case 2:
            members[at] = (name, rng.choice(members)[1])
        case 3:
            members[at] = (rng.choice(members)[0], content)
        case 4 if content.startswith(b"\x93NUMPY"):
            members[at] = (name, _npy_header(content, rng))
        case _:
            members[at] = (name, _bytes(content, rng, [other for _, other in members]))
    method = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that are there twice
        for name, content in members:
            if name in archive.namelist() and rng.random() < 0.5:
                continue
            archive.writestr(zipfile.ZipInfo(name), content)
    return packed.getvalue()


_DTYPES = (
    "|u1",
    "<i4",
    "<f8",
    "<f2",
    "|b1",
    "<U3",
    "|S4",
    "<c8",
    "|O",
    "<M8[s]",
    ">u2",
    "<i8",
    "|V3",
    "<f4",
    "<U0",
    "|S0",
)
_SHAPES = (
    "()",
    "(0,)",
    "(1,)",
    "(3,)",
    "(2, 2)",
    "(4, 4)",
    "(1, 4)",
    "(0, 4)",
    "(2, 4)",
    "(3, 4, 5)",
    "(8, 8, 3)",
    "(1, 1, 1, 1)",
)


def _npy_header(content: bytes, rng: Random) -> bytes:
    """Another type or shape that fits the bytes, which are filled up or cut: what plausible writers could have meant."""
    import numpy as np

    dtype, shape = rng.choice(_DTYPES), rng.choice(_SHAPES)
    head = f"{{'descr': '{dtype}', 'fortran_order': {rng.choice(('False', 'True'))}, 'shape': {shape}, }}"
    header = head.encode().ljust(117) + b"\n"
    count = 1
    for side in re.findall(r"\d+", shape):
        count *= int(side)
    size = count * np.dtype(dtype).itemsize
    body = content[128:] or b"\1"
    body = (body * (size // len(body) + 1))[:size]
    if dtype[1:2] == "f" and rng.random() < 0.5:
        special = rng.choice((np.nan, np.inf, -1e30, 1e30))
        body = np.full(count, special, dtype).tobytes()
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + body


def _gzip(data: bytes, rng: Random) -> bytes:
    try:
        inner = gzip.decompress(data)
    except (OSError, EOFError, zlib.error):
        return _bytes(data, rng, [])
    return gzip.compress(_bytes(inner[:MAX_BYTES], rng, []), 1, mtime=0)


def _png(data: bytes, rng: Random) -> bytes:
    chunks, at = [], 8
    while at + 12 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    if not chunks:
        return _bytes(data, rng, [])
    i = rng.randrange(len(chunks))
    kind, content = chunks[i]
    match rng.randrange(6):
        case 0:
            del chunks[i]
        case 1:
            chunks.insert(rng.randrange(len(chunks)), rng.choice(chunks))
        case 2 if kind == b"IDAT":
            try:
                rows = _bytes(zlib.decompress(content), rng, [])
            except zlib.error:
                rows = content
            chunks[i] = (kind, zlib.compress(rows[:MAX_BYTES], 1))
        case 3:
            extra = rng.choice((b"tRNS", b"PLTE", b"eXIf", b"iCCP", b"gAMA", b"acTL", b"sBIT", b"bKGD", b"zTXt"))
            chunks.insert(rng.randrange(1, len(chunks) + 1), (extra, rng.randbytes(rng.choice((0, 1, 2, 3, 6, 30)))))
        case _:
            chunks[i] = (kind, _bytes(content, rng, []))
    packed = b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )
    return data[:8] + packed


def _safetensors(data: bytes, rng: Random) -> bytes:
    size = int.from_bytes(data[:8], "little")
    head = _json(data[8 : 8 + size], rng)
    return len(head).to_bytes(8, "little") + head + data[8 + size :]


def _json(data: bytes, rng: Random) -> bytes:
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError):
        return _bytes(data, rng, [])
    places = []
    _walk(tree, places)
    if not places:
        return json.dumps(rng.choice(_VALUES)).encode()
    holder, key = rng.choice(places)
    value = holder[key]
    match rng.randrange(7):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, list):
            holder.insert(key, value)
        case 1:
            holder[rng.choice(("x", "", "version", "name", "\n"))] = value
        case 2:
            other, place = rng.choice(places)
            holder[key] = other[place]
        case 3 if isinstance(value, int | float) and not isinstance(value, bool):
            holder[key] = rng.choice(
                (-value, value + 1, value * 1000, value / 3 if value < 1e300 else 0, float(value % 10**6))
            )
        case 4:
            holder[key] = [value]
        case _:
            holder[key] = rng.choice(_VALUES)
    try:
        return json.dumps(tree, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):  # a tree that now holds itself
        return data


def _walk(tree, places: list) -> None:
    if isinstance(tree, dict | list):
        for key in tree if isinstance(tree, dict) else range(len(tree)):
            places.append((tree, key))
            _walk(tree[key], places)
