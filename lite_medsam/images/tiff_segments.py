"""The strips and tiles of a TIFF: unpacked by libtiff as plain bytes, made numbers and put together here.

libtiff gets a file that says "8-bit grey, no predictor" and holds the same packed bytes. So it never unpacks more than a
strip can hold (a packed bomb stays packed), nothing of the picture's layout is left to what a decoder happens to know, and
bytes that a damaged file lacks are an error, not memory that was never written.
"""

import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lite_medsam.errors import CaseError
from lite_medsam.images.silence import SILENT_STDERR

__all__ = ["Layout", "samples"]

RAW = 1
FAX = {2, 3, 4, 32771}  # packings of 1-bit pictures, which need the width in pixels
PACKED = {5, 8, 32773, 32946, 34925, 50000} | FAX
MAX_UNPACKED_BYTES = 2**31
MAX_TILE_SHARE = 16  # tiles may hold so many times the picture, and some more
SMALL_BYTES = 2**22
MAX_RATIO = 20_000  # no packing of an even picture reaches more
_SHORT, _LONG = 3, 4


@dataclass(frozen=True)
class Layout:
    """Where the numbers of a TIFF page lie.

    Attributes:
        height: Rows of the picture.
        width: Columns of the picture.
        channels: Samples of a pixel.
        is_planar: Whether each channel has strips or tiles of its own.
        rows: Of a strip or tile.
        columns: Of a strip (the width) or tile.
        is_tiled: Whether they are tiles.
        bits: Of a sample.
        kind: "u", "i" or "f".
        order: "<" or ">".
        compression: TIFF's number.
        predictor: 1 none, 2 differences, 3 floating point.
        fax_options: Further tags that `FAX` packings need, by number.
    """

    height: int
    width: int
    channels: int
    is_planar: bool
    rows: int
    columns: int
    is_tiled: bool
    bits: int
    kind: str
    order: str
    compression: int
    predictor: int
    fax_options: tuple[tuple[int, int], ...] = ()

    @property
    def planes(self) -> int:
        """How many times the picture is stored: once, or for each channel."""
        return self.channels if self.is_planar else 1

    @property
    def down(self) -> int:
        """Strips or rows of tiles below each other."""
        return -(-self.height // self.rows)

    @property
    def across(self) -> int:
        """Tiles beside each other; 1 for strips."""
        return -(-self.width // self.columns)

    @property
    def in_pixel(self) -> int:
        """Samples of a pixel in one segment."""
        return 1 if self.is_planar else self.channels

    @property
    def row_bytes(self) -> int:
        """Bytes of a row of a strip or tile."""
        return -(-self.columns * self.in_pixel * self.bits // 8)


def samples(data: bytes, offsets: Sequence[int], counts: Sequence[int], layout: Layout) -> np.ndarray:
    """All numbers of a page.

    Args:
        data: The file.
        offsets: Where each strip or tile begins; 0 with a count of 0 for one that is left out, which holds zeros.
        counts: Bytes of each.
        layout: How they are to be read.

    Returns:
        (H, W, C) of the type that bits and kind give: bool for 1 bit, else the smallest that holds them.

    Raises:
        CaseError: If segments are missing or cut off, or are packed in a way that is not known here.
    """
    wanted = layout.planes * layout.down * layout.across
    if len(offsets) != wanted or len(counts) != wanted:
        raise CaseError(f"damaged TIFF file, must have {wanted} strips or tiles, has {len(offsets)}")
    _check_claim(layout, wanted * layout.rows, sum(counts))
    packed = [_segment(data, offset, count) for offset, count in zip(offsets, counts, strict=True)]
    whole = np.zeros((wanted, layout.rows, layout.columns, layout.in_pixel), _type(layout))
    last = layout.height - (layout.down - 1) * layout.rows  # rows of the last strip, which may be shorter
    for rows in {layout.rows, layout.rows if layout.is_tiled else last}:
        chosen = [i for i, part in enumerate(packed) if part and rows == _rows_of(i, layout, last)]
        if chosen:
            unpacked = _unpacked([packed[i] for i in chosen], rows, layout)
            whole[chosen, :rows] = _numbers(unpacked, layout)
    grid = whole.reshape(layout.planes, layout.down, layout.across, layout.rows, layout.columns, layout.in_pixel)
    picture = grid.transpose(1, 3, 2, 4, 0, 5)  # (down, rows, across, columns, planes, in_pixel)
    shape = (layout.down * layout.rows, layout.across * layout.columns, layout.channels)
    return picture.reshape(shape)[: layout.height, : layout.width]


def _check_claim(layout: Layout, rows: int, packed_bytes: int) -> None:
    """Refuses tiles far larger than the picture, and more bytes than what is there can unpack to."""
    claimed = rows * layout.row_bytes
    picture = layout.height * layout.width * layout.channels * max(layout.bits, 8) // 8
    if claimed > 2 * MAX_UNPACKED_BYTES or claimed > MAX_TILE_SHARE * picture + SMALL_BYTES:
        raise CaseError("damaged TIFF file, or strips and tiles far larger than the picture; save it anew")
    if claimed > MAX_RATIO * packed_bytes + SMALL_BYTES:
        raise CaseError("damaged or cut-off TIFF file, its strips or tiles hold too little for the picture")


def _rows_of(index: int, layout: Layout, last: int) -> int:
    is_last = not layout.is_tiled and index % layout.down == layout.down - 1
    return last if is_last else layout.rows


def _segment(data: bytes, offset: int, count: int) -> bytes:
    if offset == 0 and count == 0:
        return b""
    if count < 1 or offset < 1 or offset + count > len(data):
        raise CaseError("damaged or cut-off TIFF file, a strip or tile lies beyond its end")
    return data[offset : offset + count]


def _unpacked(parts: list[bytes], rows: int, layout: Layout) -> np.ndarray:
    """(N, rows, row_bytes) uint8."""
    wanted = rows * layout.row_bytes
    if layout.compression == RAW:
        if min(map(len, parts)) < wanted:
            raise CaseError("damaged or cut-off TIFF file, a strip or tile is too short")
        return np.frombuffer(b"".join(part[:wanted] for part in parts), np.uint8).reshape(-1, rows, layout.row_bytes)
    if layout.compression not in PACKED:
        raise CaseError(f"the TIFF is packed in a way ({layout.compression}) that can't be read here; save it as PNG")
    is_fax = layout.compression in FAX
    if is_fax and (layout.bits, layout.in_pixel) != (1, 1):
        raise CaseError("damaged TIFF file, a fax packing must hold 1-bit pixels")
    width = layout.columns if is_fax else layout.row_bytes
    from PIL import TiffImagePlugin

    file = _plain_tiff(parts, rows, width, 1 if is_fax else 8, layout)
    with SILENT_STDERR:
        image = TiffImagePlugin.TiffImageFile(io.BytesIO(file))
        image.load()
    values = np.asarray(image)
    if is_fax:
        values = np.packbits(values, axis=1)
    return values.reshape(-1, rows, layout.row_bytes)


def _plain_tiff(parts: list[bytes], rows: int, width: int, bits: int, layout: Layout) -> bytes:
    """A TIFF of one channel that has the packed parts as its strips, one below the other."""
    tags = {
        256: (_LONG, [width]), 257: (_LONG, [rows * len(parts)]), 258: (_SHORT, [bits]),
        259: (_SHORT, [layout.compression]), 262: (_SHORT, [1]), 277: (_SHORT, [1]), 278: (_LONG, [rows]),
    }  # fmt: skip
    for tag, option in layout.fax_options:
        tags[tag] = (_LONG, [option]) if tag in (292, 293) else (_SHORT, [option])
    directory_bytes = 2 + 12 * (len(tags) + 2) + 4
    lists_at = 8 + directory_bytes
    data_at = lists_at + (8 * len(parts) if len(parts) > 1 else 0)
    starts = np.cumsum([data_at, *map(len, parts)])[:-1].tolist()
    if starts[-1] + len(parts[-1]) >= 2**32:
        raise CaseError("a packed TIFF must have at most 4 GiB")
    tags[273], tags[279] = (_LONG, starts), (_LONG, [len(part) for part in parts])
    entries, lists = b"", b""
    for tag, (kind, values) in sorted(tags.items()):
        if len(values) == 1:
            value = struct.pack("<HH" if kind == _SHORT else "<I", *([values[0], 0] if kind == _SHORT else values))
        else:
            value = struct.pack("<I", lists_at + len(lists))
            lists += struct.pack(f"<{len(values)}I", *values)
        entries += struct.pack("<HHI", tag, kind, len(values)) + value
    head = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(tags)) + entries + bytes(4)
    return b"".join([head, lists, *parts])


def _type(layout: Layout) -> np.dtype:
    if layout.bits == 1:
        return np.dtype(bool)
    size = next(size for size in (8, 16, 32, 64) if layout.bits <= size)
    return np.dtype(f"{layout.kind}{size // 8}")


def _numbers(unpacked: np.ndarray, layout: Layout) -> np.ndarray:
    """(N, rows, row_bytes) uint8 -> (N, rows, columns, C) numbers, the predictor undone."""
    shape = (*unpacked.shape[:2], layout.columns, layout.in_pixel)
    if layout.bits not in (8, 16, 32, 64):
        return _small_numbers(unpacked, layout).reshape(shape)
    size = layout.bits // 8
    if layout.predictor == 3:
        return _float_predicted(unpacked.reshape(*shape[:2], -1), layout).reshape(shape)
    values = np.ascontiguousarray(unpacked).view(f"{layout.order}{layout.kind}{size}").reshape(shape)
    if layout.predictor == 2:  # differences of the bits, whatever they mean; they wrap
        whole = values.astype(values.dtype.newbyteorder("=")).view(f"u{size}")
        values = np.cumsum(whole, axis=2, dtype=whole.dtype).view(f"{layout.kind}{size}")
    return values


def _small_numbers(unpacked: np.ndarray, layout: Layout) -> np.ndarray:
    """Samples that are no whole bytes: big end first, rows begin at whole bytes."""
    count = layout.columns * layout.in_pixel
    numbers = np.zeros((*unpacked.shape[:2], count), _type(layout))
    weights = (1 << np.arange(layout.bits - 1, -1, -1)).astype(np.uint32)
    for n, segment in enumerate(unpacked):  # one by one: the bits take eight times the place
        bits = np.unpackbits(segment, axis=1)[:, : count * layout.bits].reshape(len(segment), count, layout.bits)
        numbers[n] = bits[..., 0] if layout.bits == 1 else bits @ weights
    return numbers


def _float_predicted(unpacked: np.ndarray, layout: Layout) -> np.ndarray:
    """TIFF Technical Note 3: byte planes of a row, the largest byte first, as differences over the channels."""
    size = layout.bits // 8
    n, rows, _ = unpacked.shape
    steps = unpacked.reshape(n, rows, -1, layout.in_pixel)
    planes = np.cumsum(steps, axis=2, dtype=np.uint8).reshape(n, rows, size, -1)
    return np.ascontiguousarray(planes.transpose(0, 1, 3, 2)).view(f">f{size}")[..., 0].astype(f"f{size}")
