"""Image files: png, jpg, bmp and tif of 8, 16 and 32 bit, grey, RGB, alpha or palette; png is written."""

import contextlib
import io
import logging
import os
import struct
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lite_medsam.errors import CaseError
from lite_medsam.images.intensity import to_uint8
from lite_medsam.storage.paths import shown_path

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
MAX_PIXELS = 2**28  # 16,384 x 16,384
MAX_FILE_BYTES = 2**31

_ORIENTATION_TAG = 274
# orientation (EXIF 2.32 and TIFF 6.0) -> quarter turns counter-clockwise, then whether to mirror left-right
_TURNS = {2: (0, True), 3: (2, False), 4: (2, True), 5: (3, True), 6: (3, False), 7: (1, True), 8: (1, False)}


def load_image(path: str | os.PathLike) -> np.ndarray:
    """Reads a picture file as the uint8 image that the model takes.

    The file's content decides its format, not its name. 16-bit and float files are stretched by percentiles
    and transparency is laid over black, see `intensity.to_uint8`. Colour comes as RGB. The orientation that
    the file states (EXIF, or the TIFF tag) is applied, so coordinates are those that a picture viewer shows.

    Args:
        path: A png, jpg, jpeg, bmp, tif or tiff file; non-ASCII names are fine on every system.

    Returns:
        (H, W) or (H, W, 3) uint8.

    Raises:
        CaseError: If the file is missing, damaged, cut off, of another kind, a multi-page TIFF, larger than
            `MAX_PIXELS`, or holds NaN; the message names the file and is a single line.
    """
    pixels = read_pixels(path)
    try:
        return to_uint8(pixels)
    except CaseError as error:
        raise CaseError(f"{shown_path(path)}: {error}") from None


def read_pixels(path: str | os.PathLike, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Reads a picture file without changing its values (`load_image` maps them to uint8).

    Args:
        path: As for `load_image`.
        max_pixels: Larger pictures are refused by their header, before they are unpacked.

    Returns:
        (H, W), (H, W, 2) grey and alpha, (H, W, 3) RGB or (H, W, 4) RGBA, of the file's own dtype; palettes
        are resolved.

    Raises:
        CaseError: As for `load_image`.
    """
    shown = shown_path(path)
    try:
        data = _read_bytes(Path(path))
        with _quiet():
            pixels = _decode(data, max_pixels)
    except CaseError as error:
        raise CaseError(f"{shown}: {error}") from None
    except MemoryError:
        raise CaseError(f"{shown}: not enough memory to decode the image; shrink it first") from None
    except Exception as error:  # decoders raise anything on hostile bytes: SyntaxError, struct.error, ...
        raise CaseError(f"{shown}: damaged or cut-off image, {_one_line(error)}") from None
    if pixels.size == 0 or pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] > 4):
        raise CaseError(f"{shown}: must be a grey or colour image, holds an array of shape {pixels.shape}")
    # Pillow's arrays are read-only
    return pixels if pixels.flags.writeable and pixels.flags.c_contiguous else np.array(pixels)


def png_bytes(pixels: np.ndarray, compression: int = 1) -> bytes:
    """An image as the content of a PNG file.

    Args:
        pixels: (H, W) or (H, W, 3) RGB, uint8 or uint16.
        compression: 0 to 9; the lowest that packs is several times faster and little larger for label maps.

    Raises:
        OSError: If it cannot be encoded.
    """
    import cv2

    if pixels.ndim == 3:
        pixels = cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(".png", np.ascontiguousarray(pixels), [cv2.IMWRITE_PNG_COMPRESSION, compression])
    if not done:
        raise OSError("the PNG could not be encoded")
    return data.tobytes()


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 160 else text[:157] + "..."


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences what decoders print about a damaged file before they raise: the error alone is enough."""
    logs = [logging.getLogger(name) for name in ("tifffile", "tifffile.tifffile")]  # by version
    for log in logs:
        log.addFilter(_refuse)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for log in logs:
            log.removeFilter(_refuse)


def _refuse(record: logging.LogRecord) -> bool:
    return False


class _SilentStderr:
    """Sends stderr nowhere for a moment: from C, libtiff and OpenCV print there what is raised anyway."""

    def __init__(self):
        self._lock = threading.Lock()  # two threads at once would restore each other's nowhere

    def __enter__(self):
        self._lock.acquire()
        self._kept = None
        with contextlib.suppress(OSError):  # a program without a console has no stderr
            if sys.stderr:
                sys.stderr.flush()
            self._kept = os.dup(2)
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 2)
            os.close(nowhere)

    def __exit__(self, *_):
        if self._kept is not None:
            os.dup2(self._kept, 2)
            os.close(self._kept)
        self._lock.release()


_SILENT_STDERR = _SilentStderr()


def _read_bytes(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise CaseError("must be an image file, is a folder")
        if not path.exists():
            raise CaseError("no such file")
        if not path.is_file():
            raise CaseError("must be a regular file")  # a pipe or device would block or never end
        size = path.stat().st_size
        if size == 0:
            raise CaseError("the file is empty (0 bytes)")
        if size > MAX_FILE_BYTES:
            raise CaseError(f"image files must be at most {MAX_FILE_BYTES} bytes, has {size}")
        return path.read_bytes()
    except OSError as error:
        raise CaseError(f"could not be read ({error.strerror or error})") from None


def _decode(data: bytes, max_pixels: int) -> np.ndarray:
    from PIL import BmpImagePlugin, JpegImagePlugin, PngImagePlugin

    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        # Pillow compares checksums only when asked, and libpng inside OpenCV would write to stderr
        checked = PngImagePlugin.PngImageFile(io.BytesIO(data))
        _check_size(*checked.size, max_pixels)
        checked.verify()
        depth, colour = data[24], data[25]  # of the header
        # Pillow would cut 16-bit colour to 8 bits, and takes longer for plain pictures
        if depth == 16 or (depth == 8 and colour in (0, 2) and b"tRNS" not in data):
            return _decode_png_opencv(data)
        return _decode_pillow(PngImagePlugin.PngImageFile, data, max_pixels)
    if data.startswith(b"\xff\xd8\xff"):
        return _decode_pillow(JpegImagePlugin.JpegImageFile, data, max_pixels)
    if data.startswith(b"BM"):
        return _decode_pillow(BmpImagePlugin.BmpImageFile, data, max_pixels)
    if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return _decode_tiff(data, max_pixels)
    raise CaseError("must be a png, jpg, bmp or tif image, its content is none of these")


def _decode_pillow(plugin: type, data: bytes, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    # The plugin's class instead of Image.open: no other format's decoder can be reached, and our pixel limit
    # counts instead of Pillow's process-wide one.
    image = plugin(io.BytesIO(data))
    _check_size(*image.size, max_pixels)
    orientation = _exif_orientation(image)
    transparent = "transparency" in image.info
    if image.mode in ("1", "L"):
        image = image.convert("LA" if transparent else "L")
    elif transparent:
        image = image.convert("RGBA")
    elif image.mode not in ("LA", "RGB", "RGBA"):
        image = image.convert("RGB")
    return _oriented(np.asarray(image), orientation)


def _decode_png_opencv(data: bytes) -> np.ndarray:
    from PIL import PngImagePlugin

    pixels = _decode_opencv(data)
    if data[25] == 4 and pixels.ndim == 3:  # grey and alpha, by the header; OpenCV makes four channels of it
        pixels = pixels[..., [0, -1]]
    if b"eXIf" not in data:  # asking Pillow for it would unpack the pixels once more
        return pixels
    return _oriented(pixels, _exif_orientation(PngImagePlugin.PngImageFile(io.BytesIO(data))))


def _decode_opencv(data: bytes) -> np.ndarray:
    import cv2

    try:
        with _SILENT_STDERR:
            pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise CaseError("damaged, or packed in a way that can't be read here; save it anew, as PNG")
    if pixels.ndim == 3 and pixels.shape[2] in (3, 4):  # BGR(A) -> RGB(A)
        if pixels.dtype in (np.uint8, np.uint16, np.float32):
            return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB if pixels.shape[2] == 3 else cv2.COLOR_BGRA2RGBA)
        return pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]
    return pixels


def _decode_tiff(data: bytes, max_pixels: int) -> np.ndarray:
    import tifffile

    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = _only_page(file, max_pixels)
        kind = getattr(page.photometric, "name", str(page.photometric))
        if kind not in ("MINISWHITE", "MINISBLACK", "RGB", "PALETTE", "YCBCR"):
            raise CaseError(f"TIFF colours must be grey, RGB or palette, got {kind}; convert the file")
        tag = page.tags.get(_ORIENTATION_TAG)
        orientation = int(page.tags.valueof(_ORIENTATION_TAG, 1)) if tag and tag.count == 1 else 1
        if orientation in _TURNS and int(tag.dtype) == 3:
            # libraries and their versions disagree about turning TIFFs: they get a file without the tag
            value = struct.pack(file.byteorder + "H", 1)
            data = data[: tag.valueoffset] + value + data[tag.valueoffset + 2 :]
        pixels = _uncompressed(page, kind) if page.compression == 1 else _unpacked(page, kind, data)
    return _oriented(pixels, orientation)


def _only_page(file, max_pixels: int):
    pages = (page for page in file.pages if not page.is_reduced)  # reduced: thumbnails, pyramid levels
    page, another = next(pages, None), next(pages, None)
    if page is None:
        raise CaseError("damaged or cut-off TIFF file, no full-size page found")
    stacked = (file.imagej_metadata or {}).get("images", 1) if file.is_imagej else 1
    if another is not None or stacked != 1 or page.imagedepth > 1:
        raise CaseError("must be a single image, is a multi-page TIFF; save one page, or the stack as a 3D npz")
    _check_size(page.imagewidth, page.imagelength, max_pixels)
    return page


def _uncompressed(page, kind: str) -> np.ndarray:
    pixels = page.asarray()
    if page.axes.startswith("S"):  # colour planes stored one after the other
        pixels = np.moveaxis(pixels, 0, -1)
    if kind == "PALETTE":
        return (page.colormap.T[pixels] >> 8).astype(np.uint8)  # (H, W, 3); TIFF palettes have 16 bits
    return _inverted(pixels, page.bitspersample) if kind == "MINISWHITE" else pixels


def _unpacked(page, kind: str, data: bytes) -> np.ndarray:
    """Leaves packed strips to libtiff in Pillow or OpenCV, which never unpacks more than a strip can hold.

    tifffile would unpack a bomb, and needs a further package for LZW and JPEG.
    """
    if page.bitspersample <= 8 and page.sampleformat == 1:
        # OpenCV would hand over a damaged 8-bit image without a word
        from PIL import TiffImagePlugin

        with _SILENT_STDERR:
            return _decode_pillow(TiffImagePlugin.TiffImageFile, data)
    pixels = _decode_opencv(data)
    return _inverted(pixels, page.bitspersample) if kind == "MINISWHITE" else pixels


def _inverted(pixels: np.ndarray, bits: int) -> np.ndarray:
    if pixels.dtype.kind == "u":
        return (2**bits - 1 - pixels).astype(pixels.dtype)
    return ~pixels if pixels.dtype.kind in "bi" else -pixels


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width < 1 or height < 1:
        raise CaseError(f"the image must have pixels, its header says {width} x {height}")
    if width * height > max_pixels:
        raise CaseError(f"images must have at most {max_pixels:,} pixels, got {width} x {height}; crop or shrink it")


def _exif_orientation(image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # a broken EXIF block says nothing about the pixels
        return 1


def _oriented(pixels: np.ndarray, orientation: int) -> np.ndarray:
    turns, mirrored = _TURNS.get(orientation, (0, False))
    pixels = np.rot90(pixels, turns)
    return pixels[:, ::-1] if mirrored else pixels
