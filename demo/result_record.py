"""How the masks of a result were made: the record that lies beside them, and how to make them again."""

import importlib.metadata
import json
from dataclasses import replace

from lite_medsam.jobs.coordinates import frame_facts
from lite_medsam.prompts.volume_coordinates import Frame
from lite_medsam.results.result import Result
from lite_medsam.scans.oct.words import exam_facts
from lite_medsam.scans.scale import origin_words
from lite_medsam.session.interactive import Session
from lite_medsam.volumes.prediction import Ending

from .top_view import steps_of


def is_file_spacing(session: Session) -> bool:
    """Whether sizes are measured with what the file says, not with what the user typed in."""
    return tuple(session.spacing_mm or ()) == (session.scan.spacing_mm or ())


def spacing_origin(session: Session) -> str | None:
    """Where the size of a voxel comes from; None where it is not known, or where a file's format says nothing of it."""
    if session.spacing_mm is None:
        return None
    if not is_file_spacing(session):
        return origin_words(steps_of(session))
    return origin_words(session.scan.scale)


def record_of(session: Session, result: Result) -> bytes:
    """How the masks were made, as JSON."""
    spec = session.predictor.spec
    followed = [item.ended for item in session.now.objects if item.is_settled] if session.scan.is_volume else []
    record = {
        "made_with": f"lite-medsam {importlib.metadata.version('lite-medsam')}" if _installed() else "lite-medsam",
        "notice": "research use only: not a medical device, not for diagnosis",
        "model": spec.name,
        "model_files": spec.files,
        "engine": session.predictor.backend.name,
        "zoom": session.predictor.zoom,
        "refine": session.predictor.refine,
        "window_centre_width": list(session.window) if session.window else None,
        "spacing_mm": None if session.spacing_mm is None else list(session.spacing_mm),
        **({"spacing_origin": result.spacing_origin} if result.spacing_origin else {}),
        **exam_facts(session.scan if is_file_spacing(session) else replace(session.scan, scale=steps_of(session))),
        "shape": list(result.labels.shape),
        **frame_facts(Frame("display"), session.scan.geometry),
        "objects": [
            {
                "value": result.number(i),
                "name": name,
                "target": target,
                **({"class": result.classes[i]} if result.class_list else {}),
                "score": None if result.scores is None else result.scores[i],
                **({"ended": _ended(followed[i])} if i < len(followed) and followed[i] else {}),
            }
            for i, (name, target) in enumerate(zip(result.names, result.targets, strict=True))
        ],
        "notes": list(session.scan.notes),
    }
    return (json.dumps(record, indent=1, ensure_ascii=False) + "\n").encode()


def _ended(ends: tuple[Ending, ...]) -> dict:
    """Where following an object ended, in slices as displayed."""
    return {side: end._asdict() for side, end in zip(("first", "last"), ends, strict=True)}


def reproduce_text(stem: str, is_volume: bool) -> str:
    """How to make the same masks again on the command line."""
    if is_volume:
        return (
            "\nprompts.json lists what was said on which slice; the other slices follow from that:\n"
            f"  lite-medsam segment -i {stem}.npz --prompts prompts.json -o out\n"
            "Masks that do not follow from it (painted, corrected since, not followed) are final ones in it.\n"
        )
    return (
        "\nThe same label map again, from the picture as the model saw it:\n"
        f"  lite-medsam segment -i {stem}.npz --prompts prompts.json -o out\n"
        f"out/{stem}_label.png then equals {stem}_label.png (same model, engine, zoom and refine: see {stem}_record.json).\n"
    )


def _installed() -> bool:
    try:
        importlib.metadata.version("lite-medsam")
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
