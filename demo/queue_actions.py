"""What a page asks about a folder that is worked through: its list, opening the next file, done and skipped."""

from typing import TYPE_CHECKING

from .fields import Refused, text_of, whole_of
from .folder import Folder, Item
from .seats import Seat

if TYPE_CHECKING:
    from .actions import Desk


def _folder_of(desk: "Desk") -> Folder:
    if desk.folder is None:
        raise Refused("this server works through no folder; start it as: lite-medsam demo FOLDER")
    return desk.folder


def queue_of(desk: "Desk", seat: Seat) -> dict:
    """The list: a row for each file, which is open here, how many are finished."""
    folder = _folder_of(desk)
    states, held = folder.states(), desk.seats.held(seat)
    rows = [
        {"id": item.id, "name": item.name, "state": states[item.id], "elsewhere": item.id in held}
        for item in folder.items()
        if item.id in states
    ]
    return {"name": folder.name, "items": rows, "current": None if seat.item is None else seat.item.id}


def _queue(desk: "Desk", seat: Seat, request: dict) -> dict:
    return {"queue": queue_of(desk, seat)}


def _item(desk: "Desk", seat: Seat, request: dict) -> dict:
    """Goes to a file of the folder; the work on the one before is written first."""
    folder = _folder_of(desk)
    item = folder.item(text_of(request.get("item"), "item"))
    with desk.seats.claim(seat, item):
        _leave(desk, seat, request)
        scan, record = folder.open(item), folder.kept(item)
        session = desk.use(seat, scan, record)
        seat.item = item
    seat.notice()
    seat.finished = seat.revision
    objects = len(session.now.objects)
    message = f"{item.name}: {objects} {'object' if objects == 1 else 'objects'} from before." if objects else item.name
    marked = sorted({z for one in session.now.objects for z in one.regions()})
    index = marked[len(marked) // 2] if marked else session.slices // 2
    return {"slice": index, "message": message, "queue": queue_of(desk, seat)}


def _mark(desk: "Desk", seat: Seat, request: dict) -> dict:
    """Notes that the file that is open is done, skipped, or to be looked at again."""
    folder, item = _folder_of(desk), _open_item(seat)
    state = text_of(request.get("state"), "state", 20)
    written = _leave(desk, seat, request, is_done=state == "done")
    folder.mark(item, state)
    words = {
        "done": f"Done: {', '.join(written)} in {folder.name}/lite-medsam." if written else "Done, without an object."
    }
    return {
        "queue": queue_of(desk, seat),
        "message": words.get(state, "Skipped." if state == "skipped" else "Open again."),
    }


def _open_item(seat: Seat) -> Item:
    if seat.item is None:
        raise Refused("no file of the folder is open; choose one in the list")
    return seat.item


def _leave(desk: "Desk", seat: Seat, request: dict, is_done: bool = False) -> list[str]:
    """Writes what is open, if something was changed since it was written, or if it is done.

    Returns:
        The names of the files.
    """
    item = seat.item  # (another page may take it meanwhile, if this one is being closed)
    if item is None or seat.session is None or (seat.notice() == seat.finished and not is_done):
        return []
    folder = _folder_of(desk)
    index = min(max(whole_of(request.get("slice", 0), "slice"), 0), seat.session.slices - 1)
    try:
        folder.keep(item, seat.session, index)
        written = folder.write_results(item, seat.session, index)
    except OSError as error:
        raise Refused(f"the results could not be written: {error.strerror or error}; make room in the folder") from None
    seat.finished = seat.revision
    return written


QUEUE_OPERATIONS = {"queue": _queue, "item": _item, "mark": _mark}
