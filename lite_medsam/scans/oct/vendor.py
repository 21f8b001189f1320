"""What the readers of OCT files share: a Scan with its scale, errors of one line, missing packages by name."""

import contextlib
import importlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lite_medsam.errors import CaseError, MissingExtraError
from lite_medsam.images.silence import quiet
from lite_medsam.scans.geometry import Geometry
from lite_medsam.scans.scale import OCT_AXES, Scale, Step, spacing_of
from lite_medsam.scans.scan import Enface, Scan
from lite_medsam.storage.one_line import one_line
from lite_medsam.storage.paths import shown_path

MAX_SIDE = 2**15  # of a header's pixel counts: larger ones are damage
_UNEVEN = 0.05  # of the distance between B-scans, beyond which a volume is an estimate
UNKNOWN = "the file does not say it"


@dataclass(frozen=True, eq=False)
class Exam:
    """What an OCT file says, before it is a Scan.

    Attributes:
        values: (D, H, W) B-scans, vitreous at the top.
        scale: Steps along B-scans, depth and A-scans.
        laterality: As the file writes it: OD, OS, R, L, Right, ...
        device: Maker and model.
        visit_date: Anything that begins with YYYY-MM-DD.
        enface: The picture beside it.
        surfaces: As in `Scan`.
        notes: As in `Scan`.
    """

    values: np.ndarray
    scale: Scale
    laterality: str | None = None
    device: str | None = None
    visit_date: str | None = None
    enface: Enface | None = None
    surfaces: Mapping[str, np.ndarray] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def oct_scale(b_scans: Step | None, depth: Step | None, a_scans: Step | None, why: str = UNKNOWN) -> Scale:
    """The three steps of an OCT volume; those that are None are unknown, because of `why`."""
    steps = zip(OCT_AXES, (b_scans, depth, a_scans), strict=True)
    return tuple(step or Step(name, basis=why) for name, step in steps)


def step(along: str, um: float | None, origin: str, basis: str = "") -> Step:
    """A step whose size must be finite and above 0 to count as known."""
    if um is None or not np.isfinite(um) or um <= 0:
        return Step(along, basis=f"{basis} is {um}" if basis and um is not None else UNKNOWN)
    return Step(along, float(um), origin, basis)


def scan_of(exam: Exam, name: str = "oct") -> Scan:
    """The Scan of an exam; a volume also where it has one B-scan."""
    spacing = spacing_of(exam.scale)
    notes = list(exam.notes)
    unknown = [s.along for s in exam.scale if s.um is None]
    assumed = [s for s in exam.scale if s.origin == "assumed"]
    if unknown:
        what = "measures are in px" if spacing is None else "areas have a unit, volumes are in voxels"
        notes.append(f"the distance of the {' and '.join(unknown)} is not known: {what}")
    if assumed:
        notes.append("the scale is assumed, not measured: " + "; ".join(f"{s.along} {s.basis}" for s in assumed))
    return Scan(
        exam.values,
        spacing,
        "OCT",
        Geometry.from_spacing(exam.values.shape[:3], spacing),
        name,
        is_volume=True,
        notes=tuple(notes),
        scale=exam.scale,
        laterality=eye_side(exam.laterality),
        device=exam.device,
        visit_date=day(exam.visit_date),
        enface=exam.enface,
        surfaces=exam.surfaces,
    )


def eye_side(text: Any) -> str | None:
    """ "R" or "L" of what a file says of the eye; None for anything else."""
    word = str(getattr(text, "name", text) or "").strip().strip("\0").strip().upper().rpartition(".")[2]
    if word in ("R", "OD", "RIGHT"):
        return "R"
    return "L" if word in ("L", "OS", "LEFT") else None


def day(text: Any) -> str | None:
    """The day YYYY-MM-DD that a date begins with; None where there is none, or one of a software's epoch."""
    found = re.match(r"(\d{4})-?(\d{2})-?(\d{2})", str(text or ""))
    if found is None or int(found[1]) < 1980 or not (1 <= int(found[2]) <= 12 and 1 <= int(found[3]) <= 31):
        return None
    return "-".join(found.groups())


def checked_size(shape: Sequence[int], max_voxels: int) -> tuple[int, ...]:
    """The pixel counts of a header, before memory is taken for them.

    Raises:
        CaseError: If one is not within 1 and `MAX_SIDE`, or they are too many together.
    """
    shape = tuple(int(n) for n in shape)
    if not all(1 <= n <= MAX_SIDE for n in shape):
        raise CaseError(f"damaged, its header says {' x '.join(map(str, shape))} voxels")
    if int(np.prod([*map(int, shape)], dtype=object)) > max_voxels:
        raise CaseError(
            f"must have at most {max_voxels} voxels, its header says {' x '.join(map(str, shape))}; crop it"
        )
    return shape


def between_b_scans(starts: np.ndarray, ends: np.ndarray) -> tuple[float | None, str | None]:
    """Distance of neighbouring B-scans that lie side by side, in the unit of the positions, and a note about it.

    Args:
        starts: (D, 2) x, y of the first A-scan of each B-scan.
        ends: (D, 2) of the last.

    Returns:
        The mean distance at right angles to the B-scans; None where they do not lie side by side, as those of a star.
    """
    if len(starts) < 2:
        return None, None
    along = ends - starts
    lengths = np.linalg.norm(along, axis=1)
    if not np.isfinite(along).all() or (lengths <= 0).any():
        return None, "the places of the B-scans are not given"
    directions = along / lengths[:, None]
    if (directions @ directions[0] < 0.98).any():
        return None, "the B-scans do not lie side by side (a star or a circle): they make no volume"
    normal = np.array([-directions[0][1], directions[0][0]])
    middles = (starts + ends) / 2
    steps = np.diff(middles @ normal)
    if (np.sign(steps) != np.sign(steps.sum())).any() or not steps.all():
        return None, "the B-scans are not in the order of their places, or share one: they make no volume"
    steps = np.abs(steps)
    mean = float(steps.mean())
    if steps.max() - steps.min() > _UNEVEN * mean:
        return mean, f"B-scans are unevenly spaced, {steps.min():.3g} to {steps.max():.3g}: volumes are estimates"
    return mean, None


@contextlib.contextmanager
def one_line_errors(path: Path, kind: str) -> Iterator[None]:
    """Turns whatever a damaged or foreign file makes a reader raise into one line that names it."""
    shown = shown_path(path)
    try:
        with quiet():
            yield
    except CaseError as error:
        text = str(error)
        raise CaseError(text if text.startswith(shown) else f"{shown}: {text}") from None
    except MissingExtraError:
        raise
    except MemoryError:
        raise CaseError(f"{shown}: not enough memory to load it") from None
    except Exception as error:
        what = one_line(f"{type(error).__name__}: {error}", 160)
        raise CaseError(f"{shown}: not a {kind} file that can be read, or damaged ({what})") from None


def package(module: str, wanted_for: str) -> Any:
    """A module of the extra `oct`.

    Raises:
        MissingExtraError: If it is not installed.
    """
    try:
        with quiet():
            return importlib.import_module(module)
    except ImportError:
        raise MissingExtraError(wanted_for, "oct", module.partition(".")[0].replace("_", "-")) from None
