"""The report as one HTML page: pictures, maps, tables, definitions; it needs no other file and asks no host."""

import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from lite_medsam.quantities.charts import b_scan_svg, en_face_svg, trend_svg
from lite_medsam.quantities.definitions import DEFINITIONS
from lite_medsam.quantities.measure import Measured
from lite_medsam.quantities.pictures import b_scan_picture, colour_of, shown_structures, um_per_shown_px
from lite_medsam.quantities.quantity import Quantity
from lite_medsam.quantities.spread import Spread
from lite_medsam.quantities.visits import Series, Visit

_FIRST = ("central subfield thickness", "fluid volume", "fluid area", "fluid pockets", "GA area", "choroid vascularity index",
          "longest cRORA", "EZ loss area", "cup-disc ratio, vertical", "cup-disc ratio, area", "lesion area")  # fmt: skip
_MOST_CHARTS, _MOST_NUMBERS = 12, 8
_STYLE = """
:root{color-scheme:light}*{box-sizing:border-box}
body{font:15px/1.5 system-ui,sans-serif;color:#1b1f24;background:#fff;margin:0 auto;padding:16px;max-width:1180px}
h1{font-size:1.6rem;margin:.2em 0}h2{font-size:1.25rem;margin:1.6em 0 .4em;border-top:2px solid #d0d7de;padding-top:.7em}
h3{font-size:1rem;margin:1.2em 0 .4em}.warn{font-weight:600}.muted{color:#57606a}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:4px 10px 4px 0;border-bottom:1px solid #d8dee4;vertical-align:top}
td.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(320px,100%),1fr));gap:18px;align-items:start}
figure{margin:0}figcaption{font-size:.88rem;color:#57606a;margin-top:4px}
.numbers{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:10px;margin:.8em 0}
.number{border:1px solid #d0d7de;border-radius:6px;padding:8px 10px}.number b{display:block;font-size:1.25rem}
.number span{display:block;font-size:.85rem;color:#57606a}
.key{display:inline-block;width:12px;height:12px;margin:0 4px 0 10px;vertical-align:-1px}
svg{font-family:system-ui,sans-serif;font-size:13px;fill:#1b1f24}figure>svg{width:100%;height:auto;display:block}
figure.wide{grid-column:1/-1}
svg .line{fill:none;stroke:#fff;stroke-width:1.2}svg .value{fill:#fff;paint-order:stroke;stroke:#000;stroke-width:3px}
svg .ruler{stroke:#fff;stroke-width:4}svg .axis{fill:none;stroke:#8c959f}
svg .trend{fill:none;stroke:#0072b2;stroke-width:2}svg .dot{fill:#0072b2}
details{margin:.6em 0}summary{cursor:pointer}
@media print{details{display:block}}
"""


@dataclass(frozen=True, eq=False)
class ScanReport:
    """One scan of a report.

    Attributes:
        measured: Its numbers and maps.
        visit: Whose scan it is, and of which day.
        spread: Over jittered prompts; empty where there are no prompts.
        processing: What was done to masks after segmentation, in words.
    """

    measured: Measured
    visit: Visit
    spread: Sequence[Spread] = ()
    processing: Sequence[str] = ()

    @property
    def title(self) -> str:
        """Name, eye and day."""
        eye = {"R": "right eye", "L": "left eye"}.get(self.visit.eye or "", "")
        return ", ".join(part for part in (self.measured.labelled.scan.name, eye, self.visit.date or "") if part)


def report_html(scans: Sequence[ScanReport], series: Sequence[Series]) -> str:
    """The page.

    Args:
        scans: What was measured.
        series: Of all of them, by eye and visit.
    """
    used = {q.quantity for scan in scans for q in scan.measured.quantities}
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">",
        f"<title>Quantities of {len(scans)} scan{'s' * (len(scans) != 1)}</title><style>{_STYLE}</style></head><body><main>",
        "<h1>Quantities</h1>",
        '<p class="warn">For research. Not a medical device. The numbers are those of the masks: look at the masks first.</p>',
    ]
    parts += [_trends(series)]
    parts += [_scan(scan) for scan in scans]
    rows = [(name, text, source) for name, (text, source) in DEFINITIONS.items() if name in used]
    parts += ["<h2>Definitions</h2>", _table(("Quantity", "Definition", "Source"), rows), "</main></body></html>"]
    return "".join(parts)


def first_numbers(quantities: Iterable[Quantity]) -> list[Quantity]:
    """The few of a scan that are looked for first."""
    whole = [q for q in quantities if q.b_scan is None and not q.where]
    return [q for name in _FIRST for q in whole if q.quantity == name][:_MOST_NUMBERS]


def _scan(scan: ScanReport) -> str:
    measured = scan.measured
    whole = [q for q in measured.quantities if q.b_scan is None and not (q.quantity == "layer thickness" and q.where)]
    layers = [q for q in measured.quantities if q.quantity == "layer thickness" and q.where]
    single = [q for q in measured.quantities if q.b_scan is not None]
    notes = [*measured.notes, *scan.processing]
    parts = [f"<h2>{html.escape(scan.title)}</h2>", _numbers(whole), _facts(measured)]
    if notes:
        parts.append("<ul>" + "".join(f"<li>{html.escape(note)}</li>" for note in notes) + "</ul>")
    parts += [_figures(measured), "<h3>Numbers of the scan</h3>", _quantities(whole)]
    if scan.spread:
        count = len(scan.spread[0].values)
        parts.append(f"<h3>Spread over {count} sets of jittered prompts</h3>")
        parts.append(_table(("Quantity", "Of", "Where", "As prompted", "Mean", "SD", "Unit"), [
            (s.quantity.quantity, s.quantity.of, s.quantity.where, _shown(s.quantity.value), _shown(s.mean), _shown(s.sd),
             _unit(s.quantity.unit)) for s in scan.spread], numeric=(3, 4, 5)))  # fmt: skip
    if layers:
        parts.append(f"<details><summary>Layers by field ({len(layers)})</summary>{_quantities(layers)}</details>")
    if single:
        parts.append(
            f"<details><summary>Numbers of single B-scans ({len(single)})</summary>{_quantities(single)}</details>"
        )
    return "".join(parts)


def _numbers(quantities: Sequence[Quantity]) -> str:
    cards = [
        f'<div class="number"><b>{_shown(q.value)} {_unit(q.unit)}</b><span>{html.escape(f"{q.quantity}: {q.of}")}</span></div>'
        for q in first_numbers(quantities)
    ]
    return f'<div class="numbers">{"".join(cards)}</div>' if cards else ""


def _facts(measured: Measured) -> str:
    rows = [(f"Voxel along {step.along}", "unknown: results in px" if step.um is None else f"{step.um:.5g} µm",
             step.origin or "", step.basis) for step in measured.scale]  # fmt: skip
    if measured.grid is not None:
        z, x = measured.grid.fovea_zx
        rows.append(("Fovea", f"B-scan {z:.1f}, A-scan {x:.1f}", measured.grid.fovea_origin, ""))
        rows.append(("Eye", {"R": "right", "L": "left"}.get(measured.grid.laterality or "", "unknown"), "", ""))
    return _table(("What", "Value", "Origin", "How"), rows)


def _figures(measured: Measured) -> str:
    figures = []
    kinds = shown_structures(measured)
    keys = "".join(
        f'<span class="key" style="background:{colour_of(i)}"></span>{html.escape(k)}' for i, k in enumerate(kinds)
    )
    for z in _shown_slices(measured):
        picture = b_scan_picture(measured, z)
        title = f"B-scan {z}" if measured.grid is not None else "Picture"
        drawing = b_scan_svg(picture, f"{title} with masks", um_per_shown_px(measured, picture))
        figures.append(f'<figure class="wide">{drawing}<figcaption>{title} {keys}</figcaption></figure>')
    grid = measured.grid
    if grid is not None and not grid.is_line:
        unit = grid.depth(1.0)[1].replace("um", "µm")
        if measured.thickness is not None:
            drawing = en_face_svg(measured.thickness, grid, "Thickness of the retina en face", unit, measured.fields)
            star = "; * not wholly covered" if measured.fields is not None else ""
            figures.append(f"<figure>{drawing}<figcaption>Thickness of the retina ({unit}), means of the ETDRS fields{star}. "
                           f"{_sides(measured)}</figcaption></figure>")  # fmt: skip
        if measured.fluid_depth is not None:
            drawing = en_face_svg(measured.fluid_depth, grid, "Fluid en face", unit, None, "inferno")
            figures.append(f"<figure>{drawing}<figcaption>Fluid in each A-scan ({unit}); the cross is the fovea. "
                           f"{_sides(measured)}</figcaption></figure>")  # fmt: skip
    return f'<div class="figures">{"".join(figures)}</div>'


def _sides(measured: Measured) -> str:
    if measured.fields is None:
        return ""
    right, up = measured.fields.names[1].split(" ", 1)[1], measured.fields.names[2].split(" ", 1)[1]
    return f"Right: {right}, up: {up}."


def _shown_slices(measured: Measured) -> list[int]:
    """The B-scan with the most of fluid (or of anything), and the foveal one."""
    if measured.grid is None:
        return [0]
    wet = measured.fluid_depth
    amount = wet.sum(1) if wet is not None else sum(mask.sum((1, 2)) for mask in measured.masks.values())
    fullest = [int(np.argmax(amount))] if np.any(amount) else []
    return sorted({*fullest, measured.grid.foveal_b_scan})


def _trends(series: Sequence[Series]) -> str:
    several = [s for s in series if len(s.values) > 1]
    if not several:
        return ""
    first = [s for s in several if s.quantity.quantity in (*_FIRST, "GA square root") and not s.quantity.where]
    figures = "".join(
        f"<figure>{trend_svg(s)}<figcaption>{html.escape(_named(s))} ({_unit(s.quantity.unit)}), "
        f"{_shown(s.per_year)} per year</figcaption></figure>"
        for s in first[:_MOST_CHARTS]
    )
    rows = [
        (s.group, s.eye or "", s.quantity.quantity, s.quantity.of, s.quantity.where, _shown(s.values[0]), _shown(s.values[-1]),
         _shown(s.values[-1] - s.values[0]), _shown(s.per_year), _unit(s.quantity.unit), f"{s.dates[0]} to {s.dates[-1]}")
        for s in several
    ]  # fmt: skip
    header = ("Person", "Eye", "Quantity", "Of", "Where", "First", "Last", "Change", "Per year", "Unit", "Visits")
    table = _table(header, rows, numeric=(5, 6, 7, 8))
    return f'<h2>Over the visits</h2><div class="figures">{figures}</div><details><summary>All of them</summary>{table}</details>'


def _named(series: Series) -> str:
    q = series.quantity
    who = " ".join(part for part in (series.group, series.eye or "") if part)
    return f"{who}: {q.quantity} {q.of}".strip(": ")


def _quantities(quantities: Iterable[Quantity]) -> str:
    rows = [
        (q.quantity, q.of, q.where if q.b_scan is None else f"{q.where} B-scan {q.b_scan}".strip(), _shown(q.value), _unit(q.unit),
         "" if q.covered is None else f"{q.covered:.0%}", q.note) for q in quantities
    ]  # fmt: skip
    return _table(("Quantity", "Of", "Where", "Value", "Unit", "Covered", "Note"), rows, numeric=(3, 5))


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], numeric: Sequence[int] = ()) -> str:
    rows = list(rows)
    kept = [i for i in range(len(header)) if any(row[i] for row in rows)]  # columns without a word are left out
    header, numeric = [header[i] for i in kept], [kept.index(i) for i in numeric if i in kept]
    rows = [[row[i] for i in kept] for row in rows]
    head = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in header)
    body = "".join(
        "<tr>"
        + "".join(
            f'<td class="n">{html.escape(cell)}</td>' if i in numeric else f"<td>{html.escape(cell)}</td>"
            for i, cell in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _unit(text: str) -> str:
    """A unit as it is printed."""
    return {"um": "µm", "um2": "µm²", "mm2": "mm²", "1": ""}.get(text, text)


def _shown(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.0f}" if float(value).is_integer() and abs(value) < 1e6 else f"{value:.4g}"
