"""TIFF pictures: which layouts are read, and what their samples mean.

Read: one picture of grey, palette or RGB, with or without a fourth (second) channel; planes together or apart, strips or
tiles, both byte orders, BigTIFF; 1 to 16 and 32 and 64 bits, integers and floats; unpacked, LZW, Deflate, PackBits, LZMA,
Zstandard (where Pillow has it) and fax packings with either predictor, JPEG with 8 bits. All else is refused by name:
a decoder that does not know a layout would show other values, or memory that was never written.
"""

import io
import struct

import numpy as np

from lite_medsam.errors import CaseError
from lite_medsam.images.orientation import ORIENTATION_TAG, oriented
from lite_medsam.images.silence import SILENT_STDERR
from lite_medsam.images.size import check_size
from lite_medsam.images.stored import PREMULTIPLIED, STRAIGHT, Stored
from lite_medsam.images.tiff_segments import FAX, Layout, samples

_GREY, _CHANNELS = ("MINISWHITE", "MINISBLACK"), {"MINISWHITE": 1, "MINISBLACK": 1, "PALETTE": 1, "RGB": 3, "YCBCR": 3}
_FORMATS = {1: "u", 2: "i", 3: "f", 4: "u"}
_JPEG = {6, 7, 33007, 34892}
_SHORT = 3  # a tag's number type
_ALPHA = {1: PREMULTIPLIED, 2: STRAIGHT}


def decode_tiff(data: bytes, max_pixels: int) -> Stored:
    """The one picture of a TIFF file.

    Raises:
        CaseError: If it is damaged, holds several pictures, or is of a layout that is not read.
    """
    import tifffile

    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = _only_page(file, max_pixels)
        kind = getattr(page.photometric, "name", str(page.photometric))
        if kind not in _CHANNELS:
            raise CaseError(f"TIFF colours must be grey, RGB or palette, got {kind}; convert the file")
        extras = _extra_samples(page, kind)
        compression = int(page.compression)
        if compression in _JPEG:
            values = _from_jpeg(page, kind, _unturned(page, data, file.byteorder), extras)
        elif kind == "YCBCR":
            raise CaseError("TIFF colours must be grey, RGB or palette, got YCBCR without JPEG; convert the file")
        else:
            values = samples(data, page.dataoffsets, page.databytecounts, _layout(page, file.byteorder))
        return _stored(values, page, kind, extras, compression in _JPEG)


def _stored(values: np.ndarray, page, kind: str, extras: tuple[int, ...], is_lossy: bool) -> Stored:
    alpha = _ALPHA.get(extras[0]) if extras else None
    channels = _CHANNELS[kind] + (alpha is not None)  # a further channel of unknown meaning is no transparency
    values = values[..., 0] if channels == 1 else values[..., :channels]
    palette = None
    if kind == "PALETTE":
        if page.colormap is None or (values.dtype.kind != "u" and values.dtype != bool):
            raise CaseError("damaged TIFF file, a palette picture without its palette")
        palette = (np.asarray(page.colormap).T >> 8).astype(np.uint8)  # TIFF palettes have 16 bits
        values = values.astype(np.uint8) if values.dtype == bool else values
    return Stored(
        oriented(values, _orientation(page)), _bits(page), alpha, palette, kind == "MINISWHITE", is_lossy=is_lossy
    )


def _only_page(file, max_pixels: int):
    pages = (page for page in file.pages if not page.is_reduced)  # reduced: thumbnails, pyramid levels
    page, another = next(pages, None), next(pages, None)
    if page is None:
        raise CaseError("damaged or cut-off TIFF file, no full-size page found")
    stacked = (file.imagej_metadata or {}).get("images", 1) if file.is_imagej else 1
    if another is not None or stacked != 1 or page.imagedepth > 1:
        raise CaseError("must be a single image, is a multi-page TIFF; save one page, or the stack as a 3D npz")
    check_size(page.imagewidth, page.imagelength, max_pixels)
    return page


def _tag(page, number: int, default):
    tag = page.tags.get(number)
    return default if tag is None else tag.value


def _one(page, number: int, default: int, what: str) -> int:
    """A tag that may be given for each channel, if they agree."""
    found = _tag(page, number, default)
    values = {int(value) for value in (found if isinstance(found, (tuple, list)) else [found])}
    if len(values) != 1:
        shown = ", ".join(map(str, sorted(values)[:6]))
        raise CaseError(f"the channels of a TIFF must have the same {what}, got {shown}; convert the file")
    return values.pop()


def _orientation(page) -> int:
    value = _tag(page, ORIENTATION_TAG, 1)
    return int(value) if isinstance(value, int) else 1


def _bits(page) -> int:
    return _one(page, 258, 1, "bits")


def _extra_samples(page, kind: str) -> tuple[int, ...]:
    """The meaning of each channel behind grey or RGB: 0 unknown, 1 alpha that is multiplied in, 2 alpha.

    Raises:
        CaseError: If the channels are too few, or more than one is left over.
    """
    count = int(page.samplesperpixel)
    further = count - _CHANNELS[kind]
    if further not in (0, 1) or (further and kind in ("YCBCR", "PALETTE")):
        shown = {"MINISWHITE": "grey", "MINISBLACK": "grey"}.get(kind, kind)
        raise CaseError(
            f"a TIFF must have 1 grey or 3 RGB channels, and 1 more at most, got {count} channels called {shown}; "
            "save the one that you need, or an RGB picture"
        )
    given = _tag(page, 338, ())
    given = tuple(given) if isinstance(given, (tuple, list)) else (given,)
    return tuple(int(value) for value in given[:further]) if given else (0,) * further


def _layout(page, order: str) -> Layout:
    bits, kind = _bits(page), _FORMATS.get(_one(page, 339, 1, "number type"))
    predictor = _one(page, 317, 1, "predictor")
    fits = {"f": (16, 32, 64), "i": (8, 16, 32, 64), "u": (*range(1, 17), 32, 64), None: ()}[kind]
    if kind is None or bits not in fits or predictor not in (1, 2, 3) or (predictor == 3 and kind != "f"):
        raise CaseError(f"TIFF samples of {bits} bits, type {kind}, predictor {predictor}, can't be read; convert it")
    if predictor == 2 and bits not in (8, 16, 32, 64):
        raise CaseError(f"TIFF samples of {bits} bits with a predictor can't be read; convert the file")
    compression = int(page.compression)
    if compression == 1:
        predictor = 1  # says nothing about unpacked samples
    is_fax = compression in FAX
    if _one(page, 266, 1, "order of bits") != 1 and not is_fax:
        raise CaseError("a TIFF with the lowest bit first can't be read; convert the file")
    fax = tuple((n, int(_tag(page, n, 0))) for n in (266, 292, 293) if is_fax and n in page.tags)
    tiled = page.is_tiled
    rows = page.tilelength if tiled else min(int(_rows_per_strip(page)), page.imagelength)
    columns = page.tilewidth if tiled else page.imagewidth
    if rows < 1 or columns < 1:
        raise CaseError("damaged TIFF file, strips or tiles must have rows and columns")
    is_planar = int(page.planarconfig or 1) == 2 and page.samplesperpixel > 1
    return Layout(
        page.imagelength, page.imagewidth, page.samplesperpixel, is_planar, rows, columns, tiled, bits, kind, order,
        compression, predictor, fax,
    )  # fmt: skip


def _rows_per_strip(page) -> int:
    return _tag(page, 278, page.imagelength) or page.imagelength


def _unturned(page, data: bytes, order: str) -> bytes:
    """The file without its orientation: Pillow's versions disagree about turning TIFFs."""
    tag = page.tags.get(ORIENTATION_TAG)
    if tag is None or tag.count != 1 or int(tag.dtype) != _SHORT:
        return data
    return data[: tag.valueoffset] + struct.pack(order + "H", 1) + data[tag.valueoffset + 2 :]


def _from_jpeg(page, kind: str, data: bytes, extras: tuple[int, ...]) -> np.ndarray:
    """JPEG inside TIFF, by Pillow: 8 bits, planes together."""
    from PIL import TiffImagePlugin

    is_planar = int(page.planarconfig or 1) == 2 and page.samplesperpixel > 1
    if int(page.compression) != 7 or _bits(page) != 8 or is_planar or extras or kind == "PALETTE":
        raise CaseError("JPEG inside a TIFF must be grey or RGB with 8 bits, planes together; convert the file")
    with SILENT_STDERR:
        image = TiffImagePlugin.TiffImageFile(io.BytesIO(data))
        values = np.asarray(image.convert("L" if kind in _GREY else "RGB"))
    values = 255 - values if kind == "MINISWHITE" else values  # Pillow has inverted it
    return values if values.ndim == 3 else values[..., None]
