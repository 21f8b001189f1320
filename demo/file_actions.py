"""What a page asks about files: samples, uploads in pieces, opening, closing."""

import base64
import binascii
from typing import TYPE_CHECKING

from .fields import Refused, list_of, text_of, whole_of
from .keeping_actions import counted
from .opening import open_masks, open_sample, open_upload, sample_list
from .seats import Seat
from .series import series_rows
from .session_files import Kept, read_session_file
from .uploads import Upload

if TYPE_CHECKING:
    from .actions import Desk

MAX_FILES = 2000  # of a DICOM series
OPENED = "Draw a box around an object: drag from one corner to the other."
MAX_PIECE_BYTES = 8 * 2**20
# with base64 and what is around it less than 1 MiB, which is all that nginx lets through unless it is told otherwise
PIECE_BYTES = 720 * 2**10


def _hello(desk: "Desk", seat: Seat, request: dict) -> dict:
    return {
        "about": {
            "samples": sample_list(),
            "models": list(desk.models.directories),
            "engines": desk.models.engines,
            "max_upload_bytes": desk.max_upload_bytes,
            "max_pixels": desk.max_pixels,
            "piece": PIECE_BYTES,
            "folder": None if desk.folder is None else desk.folder.name,
        }
    }


def _here(desk: "Desk", seat: Seat, request: dict) -> dict:
    """A page says that it is still there."""
    return {}


def _sample(desk: "Desk", seat: Seat, request: dict) -> dict:
    session = desk.use(seat, open_sample(text_of(request.get("name"), "name")))
    return {"slice": session.slices // 2, "message": OPENED}


def _upload(desk: "Desk", seat: Seat, request: dict) -> dict:
    files = list_of(request.get("files"), "files", MAX_FILES)
    names = [text_of(item.get("name"), "file name", 300) for item in files if isinstance(item, dict)]
    sizes = [whole_of(item.get("size"), "file size") for item in files if isinstance(item, dict)]
    if not names or min(sizes) < 0 or sum(sizes) > desk.max_upload_bytes:
        limit = desk.max_upload_bytes / 2**20
        raise Refused(
            f"an upload must have at most {limit:.1f} MB, got {sum(sizes) / 2**20:.1f} MB; choose a smaller file, or ask "
            "whoever runs the server for a higher --max-upload-mb"
        )
    with seat.lock:
        if seat.upload is not None:
            seat.upload.discard()
        seat.upload = Upload(names, sizes)
    return {}


def _piece(desk: "Desk", seat: Seat, request: dict) -> dict:
    data, at = request.get("data"), request.get("at")
    if not isinstance(data, str) or len(data) > 2 * MAX_PIECE_BYTES:
        raise Refused("a piece of a file must be base64 of a few MB")
    try:
        raw = base64.b64decode(data, validate=True)
    except binascii.Error:
        raise Refused("a piece of a file must be base64") from None
    with seat.lock:
        if seat.upload is None:
            raise Refused("the upload was given up; choose the file again")
        number = whole_of(request.get("file"), "file")
        seat.upload.append(number, raw, None if at is None else whole_of(at, "at"))
    return {}


def _discard(desk: "Desk", seat: Seat, request: dict) -> dict:
    """Gives up what was uploaded and is not opened."""
    with seat.lock:
        if seat.upload is not None:
            seat.upload.discard()
        seat.upload = None
    return {}


def _open(desk: "Desk", seat: Seat, request: dict) -> dict:
    series = request.get("series")
    series = None if series is None else text_of(series, "series")
    upload = _whole(seat)
    is_kept = False
    try:
        kept = read_session_file(upload, desk.max_upload_bytes)
        if kept is not None:  # which says itself of which series it is
            return _reopen(desk, seat, kept)
        if series is None:
            rows = series_rows(upload.source, desk.max_pixels)
            if len(rows) > 1:  # the page asks which, and the files wait for the answer
                seat.upload, is_kept = upload, True
                return {"choose": rows}
        session = desk.use(seat, open_upload(upload, desk.max_pixels, series))
    finally:
        if not is_kept:
            upload.discard()
    notes = "; ".join(session.scan.notes)
    return {"slice": session.slices // 2, "message": f"{OPENED} Note: {notes}." if notes else OPENED}


def _reopen(desk: "Desk", seat: Seat, kept: Kept) -> dict:
    """Opens a session file: what was opened then, with all that was done."""
    try:
        files = kept.upload
        scan = open_sample(kept.sample or "") if files is None else open_upload(files, desk.max_pixels, kept.series)
    finally:
        if kept.upload is not None:
            kept.upload.discard()
    session = desk.use(seat, scan, kept.record)
    index = min(max(kept.index, 0), session.slices - 1)
    return {"slice": index, "message": f"Opened with all that was done: {counted(len(session.now.objects))}."}


def _masks(desk: "Desk", seat: Seat, request: dict) -> dict:
    """Opens masks beside the picture that is open, as objects to be corrected."""
    upload = _whole(seat)
    try:
        session = desk.session_of(seat)
        objects = open_masks(upload, session.scan)
    finally:
        upload.discard()
    session.open_labels(objects)
    middle = sorted(objects[-1].slices)[len(objects[-1].slices) // 2]
    return {"slice": middle, "message": f"{len(objects)} {'object' if len(objects) == 1 else 'objects'} opened."}


def _whole(seat: Seat) -> Upload:
    upload, seat.upload = seat.upload, None
    if upload is None or not upload.complete:
        if upload is not None:
            upload.discard()
        raise Refused("the file did not arrive whole; choose it again")
    return upload


def _close(desk: "Desk", seat: Seat, request: dict) -> dict:
    desk.seats.release(seat)
    return {}


FILE_OPERATIONS = {
    "hello": _hello,
    "sample": _sample,
    "upload": _upload,
    "piece": _piece,
    "discard": _discard,
    "open": _open,
    "masks": _masks,
    "close": _close,
    "here": _here,
}
