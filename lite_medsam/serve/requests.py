"""What a request says, checked: bodies, JSON, packed arrays, and the answer as bytes."""

import gzip
import io
import json
import math
import struct
from collections.abc import Mapping

import blosc2
import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from lite_medsam.serve.limits import JSON_BYTES, Refused
from lite_medsam.serve.protocol import MAGIC, names, pack_array, unpack_array
from lite_medsam.serve.workspace import Changed
from lite_medsam.storage.machine import usable_cpus

NUMBER_TYPES = frozenset(
    ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64")
)
_CHUNK_HEADER = 32  # bytes of a compressed piece that says what is in it


async def read_body(request: Request, limit: int) -> bytes:
    """The body of a request.

    Raises:
        Refused: If it has more bytes than the limit.
    """
    stated = request.headers.get("content-length", "0")
    too_large = Refused(413, f"a request must have at most {limit // 2**20 or 1} MB here")
    if not stated.isascii() or not stated.isdigit() or int(stated[:20]) > limit:
        raise too_large
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > limit:
            raise too_large
    return bytes(body)


async def read_json(request: Request) -> dict:
    """The body as a JSON object.

    Raises:
        Refused: If it is none.
    """
    return _json_object(await read_body(request, JSON_BYTES), "the body")


def read_meta(request: Request) -> dict:
    """What the header of a request with an array says; {} where there is none.

    Raises:
        Refused: If it is no JSON object.
    """
    text = request.headers.get(names.META_HEADER)
    return {} if text is None else _json_object(text.encode("utf-8"), names.META_HEADER)


def said_bool(fields: Mapping, name: str, usual: bool | None = None) -> bool:
    """A field that is true or false, or 1 or 0.

    Raises:
        Refused: If it is something else, or missing and has no usual value.
    """
    value = fields.get(name, usual)
    if value not in (True, False):
        raise Refused(400, f"{name} must be true or false")
    return bool(value)


def unpacked(body: bytes, max_values: int, max_bytes: int) -> np.ndarray:
    """The array of a body. What it says of itself is checked before any memory is taken for it.

    Args:
        body: As the client's `pack_array` makes it.
        max_values: More are refused.
        max_bytes: The same for what they take.

    Raises:
        Refused: If it is damaged, too large, or no array of numbers.
    """
    try:
        _check_packed(body, max_values, max_bytes)
        return unpack_array(body)
    except (ValueError, TypeError, RuntimeError, IndexError, OverflowError, struct.error) as error:
        raise Refused(400, f"the array in the body could not be read ({' '.join(str(error).split())[:120]})") from None


def _check_packed(body: bytes, max_values: int, max_bytes: int) -> None:
    if len(body) < 8 or body[:4] != MAGIC:
        raise ValueError("no packed array")
    dimensions, length = body[6], body[7]
    name = body[8 : 8 + length].decode("ascii", errors="replace")
    if name not in NUMBER_TYPES:
        raise ValueError(f"values must be numbers, got {name[:20]!r}")
    if not 1 <= dimensions <= 4:
        raise ValueError(f"1 to 4 axes, got {dimensions}")
    offset = 8 + length
    shape = struct.unpack_from(f"<{dimensions}q", body, offset)
    if min(shape) < 1:
        raise ValueError(f"every side at least 1, got {list(shape)}")
    _check_size(shape, np.dtype(name), max_values, max_bytes)
    offset += 8 * dimensions
    (pieces,) = struct.unpack_from("<I", body, offset)
    offset += 4
    for _ in range(pieces):
        _, packed = struct.unpack_from("<QQ", body, offset)
        offset += 16
        if packed < _CHUNK_HEADER or offset + packed > len(body):
            raise ValueError("cut short")
        if blosc2.get_cbuffer_sizes(body[offset : offset + _CHUNK_HEADER])[1] != packed:
            raise ValueError("a piece has another size than it says")
        offset += packed


def _check_size(shape: tuple[int, ...], dtype: np.dtype, max_values: int, max_bytes: int) -> None:
    count = math.prod(shape)
    if count > max_values:
        raise Refused(413, f"an array must have at most {max_values} values, got {list(shape)}; crop the volume")
    if count * dtype.itemsize > max_bytes:
        raise Refused(
            413, f"an array must have at most {max_bytes // 2**20} MB unpacked; send 16-bit values, or crop it"
        )


def npy_array(data: bytes, max_values: int, max_bytes: int, is_gzipped: bool) -> np.ndarray:
    """The array of an .npy file.

    Args:
        data: The file.
        max_values: More are refused.
        max_bytes: The same for what they take.
        is_gzipped: Whether the file is compressed.

    Raises:
        Refused: If it is damaged, too large, or no array of numbers.
    """
    try:
        stream: io.BufferedIOBase = io.BytesIO(data)
        if is_gzipped:
            stream = gzip.GzipFile(fileobj=stream)
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, by_columns, dtype = read(stream)
        if dtype.name not in NUMBER_TYPES:
            raise ValueError(f"values must be numbers, got {dtype.name[:20]}")
        _check_size(shape, dtype, max_values, max_bytes)
        count = math.prod(shape)
        raw = stream.read(count * dtype.itemsize)
        values = np.frombuffer(raw, dtype, count)
        return values.reshape(shape, order="F" if by_columns else "C")
    except (ValueError, TypeError, OSError, EOFError, OverflowError, SyntaxError) as error:
        raise Refused(400, f"the npy file could not be read ({' '.join(str(error).split())[:120]})") from None
    except Exception as error:  # zlib.error is no OSError
        if type(error).__name__ != "error":
            raise
        raise Refused(400, "the npy file could not be read (damaged compression)") from None


def buffer_of(fields: Mapping) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and type of a client's target buffer.

    Raises:
        Refused: If there is no such buffer.
    """
    shape, name = fields.get("shape"), fields.get("dtype")
    if not isinstance(shape, list) or len(shape) != 3 or not all(type(side) is int and side > 0 for side in shape):
        raise Refused(400, "shape must be three whole numbers above 0")
    if not isinstance(name, str) or name not in NUMBER_TYPES or name.startswith("float"):
        raise Refused(400, "dtype must be bool or the name of an integer type, such as uint8")
    return tuple(shape), np.dtype(name)


def packed(changed: Changed) -> Response:
    """The answer: what is different now, and where."""
    meta: dict = {"ran_prediction": changed.ran, "bbox": None}
    content = b""
    if changed.stopped:
        meta["stopped"] = True
    if changed.values is not None and changed.bounds is not None:
        values = changed.values
        meta |= {
            "bbox": [list(pair) for pair in changed.bounds],
            "dtype": str(values.dtype),
            "shape": list(values.shape),
        }
        content = pack_array(values, filters=[blosc2.Filter.NOFILTER], nthreads=usable_cpus())
    headers = {names.META_HEADER: json.dumps(meta, separators=(",", ":"))}
    return Response(content, media_type=names.CONTENT_TYPE_OCTET_STREAM, headers=headers)


def _json_object(data: bytes, what: str) -> dict:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise Refused(400, f"{what} must be a JSON object") from None
    if not isinstance(found, dict):
        raise Refused(400, f"{what} must be a JSON object")
    return found
