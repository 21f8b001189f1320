"""PNG, JPEG and BMP files to the numbers that they store, and which kind of file a content is."""

import io
import struct

import numpy as np

from lite_medsam.errors import CaseError
from lite_medsam.images.orientation import exif_orientation, oriented
from lite_medsam.images.silence import SILENT_STDERR
from lite_medsam.images.size import check_size
from lite_medsam.images.stored import STRAIGHT, Stored
from lite_medsam.images.tiff import decode_tiff
from lite_medsam.images.web_formats import decode_gif, decode_webp, is_gif, is_webp

_PNG = b"\x89PNG\r\n\x1a\n"
_GREY, _RGB, _PALETTE, _GREY_ALPHA, _RGB_ALPHA = 0, 2, 3, 4, 6  # colour types of PNG
# what else lies in picture folders: (where, the bytes there, what it is, what to do)
_OTHERS = (
    (0, b"%PDF", "PDF", "its pages are not read, save or export its pictures as PNG"),
    (0, b"\x00\x00\x00\x0cjP  ", "JPEG 2000", "save it as PNG"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000", "save it as PNG"),
    (4, b"ftypheic", "HEIC", "save it as PNG"),
    (4, b"ftypavif", "AVIF", "save it as PNG"),
    (0, b"8BPS", "Photoshop", "save it as PNG"),
    (0, b"gimp xcf", "GIMP", "export it as PNG"),
    (0, b"\x00\x00\x01\x00", "icon", "save it as PNG"),
    (0, b"\x76\x2f\x31\x01", "OpenEXR", "save it as TIFF"),
    (0, b"P5", "portable grey map", "save it as PNG"),
    (0, b"P6", "portable pixel map", "save it as PNG"),
    (0, b"<svg", "SVG", "save it as PNG"),
    (0, b"<?xml", "XML", "save a picture as PNG"),
    (0, b"<!DOCTYPE", "web page", "download the file again"),
    (0, b"<html", "web page", "download the file again"),
    (0, b"version https://git-lfs", "pointer of Git LFS, not the picture", "fetch it with git lfs pull"),
    (128, b"DICM", "DICOM", "give it the name .dcm"),
    (344, b"n+1\0", "NIfTI", "give it the name .nii"),
    (0, b"\x1f\x8b", "gzip", "unpack it, or give it the name .nii.gz if it is NIfTI"),
    (0, b"PK\x03\x04", "ZIP or npz", "unpack it, or give it the name .npz"),
    (0, b"\x93NUMPY", "npy", "save it as npz with the array imgs"),
    (0, b"\x89HDF", "HDF5", "save its pictures as PNG"),
    (0, b"MATLAB", "MATLAB", "save its pictures as PNG"),
    (0, b"NRRD", "NRRD", "convert it to NIfTI"),
    (0, b"ObjectType", "MetaImage", "convert it to NIfTI"),
)


def decode(data: bytes, max_pixels: int) -> Stored:
    """The numbers that a picture file stores; its content decides its kind, not its name.

    Raises:
        CaseError: If it is of another kind, too large, or of a layout that is not read.
        Exception: Whatever a decoder raises on a damaged file.
    """
    if data.startswith(_PNG):
        return _decode_png(data, max_pixels)
    if data.startswith(b"\xff\xd8\xff"):
        return _decode_jpeg(data, max_pixels)
    if data.startswith(b"BM"):
        return _decode_bmp(data, max_pixels)
    if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return decode_tiff(data, max_pixels)
    if is_webp(data):
        return decode_webp(data, max_pixels)
    if is_gif(data):
        return decode_gif(data, max_pixels)
    raise CaseError(
        f"must be a png, jpg, bmp, tif, webp or gif image, its content is {other_kind(data) or 'none of these'}"
    )


def other_kind(start: bytes) -> str | None:
    """What a file is that is no picture, and what to do with it, by its first bytes (512 are enough); None: not known."""
    return next((f"{name}; {advice}" for at, mark, name, advice in _OTHERS if start[at:].startswith(mark)), None)


def _decode_png(data: bytes, max_pixels: int) -> Stored:
    from PIL import PngImagePlugin

    # Pillow compares checksums only when asked, and libpng inside OpenCV would write to stderr
    checked = PngImagePlugin.PngImageFile(io.BytesIO(data))
    check_size(*checked.size, max_pixels)
    checked.verify()
    depth, colour = data[24], data[25]  # of the header
    chunks = _chunks(data)
    # hints for showing (gamma, transparency, animation) never reach a decoder: it gets the numbers alone
    bare = _PNG + b"".join(raw for kind, raw in chunks if kind in (b"IHDR", b"PLTE", b"IDAT", b"IEND"))
    first = {kind: raw[8:-4] for kind, raw in reversed(chunks)}
    turn = 1
    if b"eXIf" in first:
        turn = exif_orientation(PngImagePlugin.PngImageFile(io.BytesIO(data)))
    if depth < 8 or colour == _PALETTE:
        image = PngImagePlugin.PngImageFile(io.BytesIO(bare))
        values = np.asarray(image)
        if colour == _GREY and depth in (2, 4):  # Pillow has spread them over 0 to 255
            values = values // np.uint8(255 // (2**depth - 1))
        if colour == _PALETTE:
            palette = _palette(first.get(b"PLTE", b""), first.get(b"tRNS", b""))
            return Stored(oriented(values.astype(np.uint8), turn), palette=palette)
    else:  # Pillow would cut 16-bit colour to 8 bits, and takes longer for plain pictures
        values = _decode_opencv(bare)
        if colour == _GREY_ALPHA and values.ndim == 3:  # OpenCV makes four channels of it
            values = values[..., [0, -1]]
    alpha = STRAIGHT if colour in (_GREY_ALPHA, _RGB_ALPHA) else None
    transparent = None
    if b"tRNS" in first and colour in (_GREY, _RGB):
        transparent = struct.unpack(">H" if colour == _GREY else ">HHH", first[b"tRNS"])
    return Stored(oriented(values, turn), depth, alpha, transparent=transparent)


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Name and bytes (length and checksum included) of each chunk of a PNG."""
    chunks, at = [], 8
    while at + 12 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        chunks.append((data[at + 4 : at + 8], data[at:end]))
        at = end
    return chunks


def _palette(colours: bytes, alphas: bytes) -> np.ndarray:
    table = np.frombuffer(colours[: len(colours) // 3 * 3], np.uint8).reshape(-1, 3)
    if not len(table):
        raise CaseError("damaged PNG, a palette picture without its palette")
    if not alphas:
        return table
    opacity = np.full(len(table), 255, np.uint8)
    opacity[: len(alphas)] = np.frombuffer(alphas, np.uint8)[: len(table)]
    return np.column_stack([table, opacity])


def _decode_opencv(data: bytes) -> np.ndarray:
    import cv2

    try:
        with SILENT_STDERR:
            pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise CaseError("damaged, or packed in a way that can't be read here; save it anew, as PNG")
    if pixels.ndim == 3 and pixels.shape[2] in (3, 4):  # BGR(A) -> RGB(A)
        return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB if pixels.shape[2] == 3 else cv2.COLOR_BGRA2RGBA)
    return pixels


# The plugin's class instead of Image.open: no other format's decoder can be reached, and our pixel limit counts instead
# of Pillow's process-wide one.


def _decode_jpeg(data: bytes, max_pixels: int) -> Stored:
    from PIL import JpegImagePlugin

    image = JpegImagePlugin.JpegImageFile(io.BytesIO(data))
    check_size(*image.size, max_pixels)
    turn = exif_orientation(image)
    values = np.asarray(image if image.mode == "L" else image.convert("RGB"))
    return Stored(oriented(values, turn), is_lossy=True)


def _decode_bmp(data: bytes, max_pixels: int) -> Stored:
    from PIL import BmpImagePlugin

    image = BmpImagePlugin.BmpImageFile(io.BytesIO(data))
    check_size(*image.size, max_pixels)
    if image.mode == "P":
        image.load()
        palette = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
        return Stored(np.asarray(image), palette=palette)
    if image.mode == "L" and data[28] == 4:  # 4 bits whose palette says 0 to 15 as grey: Pillow takes them for 8 bits
        values = _decode_opencv(data)
        return Stored(values if values.ndim == 2 else values[..., 0])
    values = np.asarray(image if image.mode in ("1", "L", "RGB", "RGBA") else image.convert("RGB"))
    return Stored(values, 1 if values.dtype == bool else 8, STRAIGHT if image.mode == "RGBA" else None)
