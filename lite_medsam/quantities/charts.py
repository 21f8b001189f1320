"""Drawings of a report as SVG: en-face maps with the ETDRS grid, B-scans with a ruler, lines over visits."""

import base64
import html
import math

import numpy as np

from lite_medsam.images.png_writing import png_bytes
from lite_medsam.quantities.etdrs import RADII_MM, EtdrsGrid
from lite_medsam.quantities.grid import EyeGrid
from lite_medsam.quantities.pictures import coloured, palette_bar, turned_en_face
from lite_medsam.quantities.visits import Series

_WIDTH = 420.0


def data_uri(picture: np.ndarray) -> str:
    """A picture as a data: URI of a PNG."""
    return "data:image/png;base64," + base64.b64encode(png_bytes(picture, 6)).decode()


def en_face_svg(
    values: np.ndarray, grid: EyeGrid, title: str, unit: str, fields: EtdrsGrid | None = None, colours: str = "viridis"
) -> str:
    """A map over the retina in its true aspect, with a bar of its colours, and the grid with the means of its fields.

    Args:
        values: (D, W).
        grid: Of the scan.
        title: Read out in place of the picture.
        unit: Of the values.
        fields: The ETDRS grid, None for none.
        colours: See `pictures.coloured`.
    """
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    shown = turned_en_face(values, grid)
    (step_y, step_x), (y, x) = shown.step_yx, shown.fovea_yx
    rows, columns = shown.values.shape
    scale = _WIDTH / (columns * step_x)
    tall = rows * step_y * scale
    parts = [
        f'<svg viewBox="0 0 {_WIDTH:g} {tall + 46:.1f}" role="img" aria-label="{html.escape(title)}">',
        f'<svg width="{_WIDTH:g}" height="{tall:.1f}">',  # what reaches beyond the scan is cut off
        f'<image href="{data_uri(coloured(shown.values, (low, high), colours))}" width="{_WIDTH:g}" height="{tall:.1f}" '
        'preserveAspectRatio="none"/>',
    ]
    centre_x, centre_y = (x + 0.5) * step_x * scale, (y + 0.5) * step_y * scale
    if fields is not None:
        parts += _grid_lines(centre_x, centre_y, 1000 * scale)
        parts += _field_values(fields, values, (centre_x, centre_y), 1000 * scale)
    else:
        parts.append(
            f'<path class="line" d="M{centre_x - 6:.1f} {centre_y:.1f}h12M{centre_x:.1f} {centre_y - 6:.1f}v12"/>'
        )
    parts.append("</svg>")
    colours_shown = palette_bar(colours)
    block = _WIDTH / len(colours_shown)
    parts += [f'<rect x="{i * block:.1f}" y="{tall + 8:.1f}" width="{block + 0.5:.1f}" height="12" fill="{colour}"/>'
              for i, colour in enumerate(colours_shown)]  # fmt: skip
    shown_unit = unit.replace("um", "µm")
    parts.append(f'<text x="0" y="{tall + 38:.1f}">{low:.4g} {shown_unit}</text>')
    parts.append(f'<text x="{_WIDTH:g}" y="{tall + 38:.1f}" text-anchor="end">{high:.4g} {shown_unit}</text></svg>')
    return "".join(parts)


def _grid_lines(x: float, y: float, px_per_mm: float) -> list[str]:
    lines = [f'<circle class="line" cx="{x:.1f}" cy="{y:.1f}" r="{radius * px_per_mm:.1f}"/>' for radius in RADII_MM]
    for sign_x, sign_y in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
        near, far = (radius * px_per_mm * math.sqrt(0.5) for radius in (RADII_MM[0], RADII_MM[2]))
        lines.append(
            f'<path class="line" d="M{x + sign_x * near:.1f} {y + sign_y * near:.1f}'
            f'L{x + sign_x * far:.1f} {y + sign_y * far:.1f}"/>'
        )
    return lines


def _field_values(fields: EtdrsGrid, values: np.ndarray, centre: tuple[float, float], px_per_mm: float) -> list[str]:
    """Means in the fields, those that the scan does not cover wholly with a star."""
    means, measured = fields.means(values)
    places = [(0.0, 0.0)] + [
        (radius * dx, radius * dy) for radius in (1.0, 2.25) for dx, dy in ((1, 0), (0, -1), (-1, 0), (0, 1))
    ]
    texts = []
    for mean, share, (dx, dy) in zip(means, measured, places, strict=True):
        if np.isfinite(mean):
            x, y = centre[0] + dx * px_per_mm, centre[1] + dy * px_per_mm + 4
            mark = "" if share >= 0.99 else "*"
            texts.append(f'<text class="value" x="{x:.1f}" y="{y:.1f}" text-anchor="middle">{mean:.0f}{mark}</text>')
    return texts


def b_scan_svg(picture: np.ndarray, title: str, um_per_px: float | None) -> str:
    """A B-scan with a ruler where its scale is known."""
    height, width = picture.shape[:2]
    parts = [
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{html.escape(title)}">',
        f'<image href="{data_uri(picture)}" width="{width}" height="{height}"/>',
    ]
    if um_per_px is not None:
        um = next((um for um in (1000, 500, 200, 100) if um / um_per_px < width / 3), 50)
        parts.append(f'<path class="ruler" d="M12 {height - 12}h{um / um_per_px:.1f}"/>')
        parts.append(f'<text class="value" x="12" y="{height - 20}" font-size="{width / 45:.1f}">{um} µm</text>')
    return "".join([*parts, "</svg>"])


def trend_svg(series: Series) -> str:
    """Values over days, from 0 where they are not far from it."""
    width, height, left, bottom, top = 420.0, 200.0, 54.0, 34.0, 26.0
    values = np.array(series.values)
    low, high = float(values.min()), float(values.max())
    low = 0.0 if low >= 0 and low < 0.6 * high else low - 0.1 * (high - low or abs(high) or 1)
    high = high + 0.1 * (high - low or 1)
    days = np.array(series.days, float)
    x = left + 24 + (width - left - 56) * days / max(days.max(), 1)
    y = height - bottom - (height - bottom - top) * (values - low) / (high - low)
    q = series.quantity
    label = f"{q.quantity} {q.of} {q.where} over {len(values)} visits"
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    parts = [
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{html.escape(label)}">',
        f'<path class="axis" d="M{left} {top}V{height - bottom}H{width - 8}"/>',
        f'<text x="{left - 6}" y="{height - bottom}" text-anchor="end">{low:.3g}</text>',
        f'<text x="{left - 6}" y="{top + 8}" text-anchor="end">{high:.3g}</text>',
        f'<polyline class="trend" points="{points}"/>',
    ]
    for a, b, value in zip(x, y, values, strict=True):
        parts.append(f'<circle class="dot" cx="{a:.1f}" cy="{b:.1f}" r="4"/>')
        parts.append(f'<text x="{a:.1f}" y="{b - 8:.1f}" text-anchor="middle">{value:.4g}</text>')
    for place, date, anchor in ((x[0], series.dates[0], "start"), (x[-1], series.dates[-1], "end")):
        parts.append(f'<text x="{place:.1f}" y="{height - 12}" text-anchor="{anchor}">{html.escape(date)}</text>')
    return "".join([*parts, "</svg>"])
