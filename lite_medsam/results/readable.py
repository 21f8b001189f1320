"""Sizes as people read them: a unit that fits, three or four digits that count, never an exponent."""

import math

_DIGITS = 4

# unit, how many of it are one mm (mm2, mm3), and the least of it that is shown in it
_LENGTHS = {"mm": (("mm", 1.0, 0.1), ("µm", 1e3, 0.0)), "um": (("mm", 1.0, 10.0), ("µm", 1e3, 0.0))}
_AREAS = {
    "mm": (("cm²", 1e-2, 100.0), ("mm²", 1.0, 0.01), ("µm²", 1e6, 0.0)),
    "um": (("cm²", 1e-2, 100.0), ("mm²", 1.0, 0.1), ("µm²", 1e6, 0.0)),
}
_VOLUMES = (("ml", 1e-3, 1.0), ("mm³", 1.0, 1.0), ("nL", 1e3, 0.1), ("µm³", 1e9, 0.0))  # 1 mm3 is 1 ul


def number(value: float, digits: int = _DIGITS) -> str:
    """A number with that many digits that count, more where it is larger, and commas between thousands.

    Zeros at the end of a fraction are left out, and there is no exponent: what is too small for twelve decimals is 0.
    """
    if not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    decimals = min(12, max(0, digits - 1 - math.floor(math.log10(abs(value)))))
    text = f"{value:,.{decimals}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text


def length(mm: float, unit: str = "mm") -> str:
    """A length; `unit` "um" keeps to micrometres up to 10 mm."""
    return _in_unit(mm, _LENGTHS[unit])


def area(mm2: float, unit: str = "mm") -> str:
    """An area; `unit` "um" keeps to square micrometres up to 0.1 mm²."""
    return _in_unit(mm2, _AREAS[unit])


def volume(mm3: float) -> str:
    """A volume in ml, mm³ (which are microlitres), nL or µm³."""
    return _in_unit(mm3, _VOLUMES)


def pixels(count: float, what: str = "px") -> str:
    """Pixels or voxels, whole where they are counted."""
    return f"{number(count)} {what}" if isinstance(count, float) else f"{count:,} {what}"


def _in_unit(value: float, units: tuple[tuple[str, float, float], ...]) -> str:
    for name, per, least in units:
        if abs(value) * per >= least:
            return f"{number(value * per)} {name}"
    raise AssertionError("the last unit takes all")
