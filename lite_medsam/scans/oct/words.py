"""What a file says of itself, for people and as JSON: `lite-medsam info FILE`, and the records of results."""

from typing import Any

from lite_medsam.scans.scale import scale_json
from lite_medsam.scans.scan import Scan


def exam_facts(scan: Scan) -> dict[str, Any]:
    """What a record says of where a scan's scale comes from, and of eye, device and day where they are known."""
    facts: dict[str, Any] = {"scale": scale_json(scan.scale)} if scan.scale else {}
    said = {"laterality": scan.laterality, "device": scan.device, "visit_date": scan.visit_date}
    return facts | {key: value for key, value in said.items() if value is not None}


def file_facts(scan: Scan) -> dict[str, Any]:
    """Everything that a file says of itself and nothing of the patient, as JSON."""
    facts: dict[str, Any] = {
        "modality": scan.modality,
        "shape": list(scan.label_shape),
        "is_volume": scan.is_volume,
        "values": str(scan.values.dtype),
        "colour": scan.values.ndim > len(scan.label_shape),
        "spacing_mm": None if scan.spacing_mm is None else list(scan.spacing_mm),
        "scale": scale_json(scan.steps),
    }
    facts |= {key: value for key, value in exam_facts(scan).items() if key != "scale"}
    if scan.enface is not None:
        size = scan.enface.spacing_mm
        facts["enface"] = {
            "kind": scan.enface.kind,
            "shape": list(scan.enface.image.shape[:2]),
            "spacing_mm": None if size is None else list(size),
            "b_scans_placed": scan.enface.b_scans_px is not None,
        }
    if scan.surfaces:
        facts["surfaces"] = list(scan.surfaces)
    return facts | {"notes": list(scan.notes)}


def file_lines(scan: Scan) -> list[str]:
    """The same for people, a line per fact."""
    facts = file_facts(scan)
    names = (
        ("B-scans, rows, A-scans" if scan.modality == "OCT" else "slices, rows, columns")
        if scan.is_volume
        else "rows, columns"
    )
    rows = [
        ("modality", facts["modality"] or "not said"),
        ("size", f"{' x '.join(map(str, facts['shape']))} ({names}), {facts['values']}"),
        *(("scale", str(step)) for step in scan.steps),
        ("eye", {"R": "right", "L": "left"}.get(scan.laterality or "", "not said") if scan.modality == "OCT" else None),
        ("device", scan.device),
        ("day", scan.visit_date),
    ]
    if scan.enface is not None:
        size = scan.enface.spacing_mm
        shown = "px" if size is None else f"{1000 * size[0]:.5g} x {1000 * size[1]:.5g} um"
        rows.append(("beside it", f"{scan.enface.kind}, {' x '.join(map(str, scan.enface.image.shape[:2]))}, {shown}"))
    rows += [("surfaces", ", ".join(scan.surfaces))] if scan.surfaces else []
    rows += [("note", note) for note in scan.notes]
    return [f"{name:<11}{value}" for name, value in rows if value]
