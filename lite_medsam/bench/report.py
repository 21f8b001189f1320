"""The result of a bench as text for a terminal."""

import math
from collections.abc import Iterator, Sequence

from lite_medsam.bench.contenders import OURS, REFERENCE
from lite_medsam.bench.goals import UNKNOWN, Goal
from lite_medsam.bench.graphs import achieved_gflops
from lite_medsam.bench.run import BenchReport
from lite_medsam.bench.timing import Measurement

LARGEST_KINDS = 6


def format_report(report: BenchReport) -> str:
    """Machine, tables, roofline, zoom, goals, and what is missing; lines without one at the end."""
    blocks = [_machine(report), *_sections(report), *_rooflines(report), _zoom(report), _goals(report.goals)]
    blocks += [_left_out("Not measured", report.skipped), _left_out("FAILED", report.failures)]
    return "\n\n".join(block for block in blocks if block)


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Cells in columns: the first to the left, the others to the right; the last one to the left if it is text."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  " + "  ".join(cells).rstrip())
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """Three figures and a unit."""
    if math.isnan(seconds):
        return "-"
    if seconds >= 1:
        return f"{seconds:.3g} s" if seconds < 1000 else f"{seconds:.0f} s"
    return f"{1e3 * seconds:.3g} ms" if seconds >= 1e-3 else f"{1e6 * seconds:.3g} us"


def _machine(report: BenchReport) -> str:
    facts, settings = report.machine, report.settings
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    lines = [
        f"{facts['processor']}, {facts['physical_cores']} cores, {facts['memory_gb']} GB, {facts['system']}",
        versions,
        f"{facts['date']}, load {facts['load_at_start']} at the start, {settings['threads']} threads, "
        f"up to {settings['repeats']} rounds{', quick' if settings['quick'] else ''}",
        f"Median [quartiles]. {REFERENCE}: {settings.get('reference') or 'left out'}; * = computed, not measured.",
    ]
    return "\n".join(lines)


def _sections(report: BenchReport) -> Iterator[str]:
    for section in dict.fromkeys(entry.section for entry in report.measurements):
        if section == "Zoom":
            continue
        entries = [entry for entry in report.measurements if entry.section == section]
        staged = section.startswith("Where the time goes")
        yield section + "\n" + aligned(_stage_rows(entries) if staged else _rows(entries, report.details))


def _rows(entries: list[Measurement], details: dict) -> list[list[str]]:
    subjects = [OURS] + [REFERENCE] * any(entry.subject == REFERENCE for entry in entries)
    graphs = any("encodes" in entry.details or "decodes" in entry.details for entry in entries)
    head = [""]
    for subject in subjects:
        head += [subject, "", *["GFLOP/s"] * graphs]
    rows = [head + ["ratio"] * (len(subjects) > 1)]
    for what in dict.fromkeys(entry.what for entry in entries):
        cells = {entry.subject or OURS: entry for entry in entries if entry.what == what}
        row = [what]
        for subject in subjects:
            row += [*_cell(cells.get(subject)), *[_gflops(cells.get(subject), details)] * graphs]
        if len(subjects) > 1:
            both = len(cells) > 1
            row.append(f"{cells[REFERENCE].sample.median / cells[OURS].sample.median:.1f}" if both else "")
        rows.append(row)
    return rows


def _gflops(entry: Measurement | None, details: dict) -> str:
    value = achieved_gflops(entry, details)
    return "" if math.isnan(value) else f"{value:.0f}"


def _cell(entry: Measurement | None) -> tuple[str, str]:
    if entry is None:
        return "", ""
    low, high = entry.sample.quartiles
    mark = "" if entry.source == "measured" else " *"
    if entry.unit == "MB":
        return f"{entry.sample.median:.0f} MB{mark}", ""
    if entry.unit != "s":
        return f"{entry.sample.median:.3g} {entry.unit}{mark}", ""
    spread = f"[{duration(low)}..{duration(high)}]" if len(entry.sample.values) > 1 else ""
    return duration(entry.sample.median) + mark, spread


def _stage_rows(entries: list[Measurement]) -> list[list[str]]:
    total = sum(entry.sample.median for entry in entries) or math.nan
    rows = [[e.what, duration(e.sample.median), f"{100 * e.sample.median / total:.0f} %"] for e in entries]
    return [*rows, ["sum", duration(total), ""]]


def _rooflines(report: BenchReport) -> Iterator[str]:
    ceiling = report.details.get("ceiling")
    if ceiling is None:
        return
    moved = ", ".join(
        f"{speed:.0f} GB/s over {_size(int(size))}" for size, speed in ceiling["GB/s by bytes touched"].items()
    )
    head = (
        f"Limits of this machine in ONNX Runtime: {ceiling['matrix product GFLOP/s']:.0f} GFLOP/s in a matrix product"
    )
    rows = [["graph", "GMAC", "time in operators", "GFLOP/s", "roofline allows", "reached", "not bound by memory"]]
    graphs = {name: facts for name, facts in report.details.items() if name.endswith(("encoder", "decoder"))}
    for name, facts in graphs.items():
        reached = facts["gflops"] / facts["roofline_gflops"] if facts["roofline_gflops"] else math.nan
        rows.append([
            name, f"{facts['gmac']:.2f}", duration(facts["seconds"]), f"{facts['gflops']:.0f}",
            f"{facts['roofline_gflops']:.0f}", f"{100 * reached:.0f} %",
            f"{facts['free_gflops']:.0f} GFLOP/s in {100 * facts['free_share']:.0f} % of the MACs",
        ])  # fmt: skip
    yield f"{head}; {moved}\n{aligned(rows)}"
    for name in (f"{OURS} encoder", f"{OURS} decoder"):
        if name in graphs:
            yield _kinds(name, graphs[name]["kinds"])


def _kinds(name: str, kinds: list[dict]) -> str:
    rows = [["operators", "count", "time", "share", "GFLOP/s", "FLOP/byte", "of it bound by memory"]]
    for kind in kinds[:LARGEST_KINDS]:
        rows.append([
            kind["kind"], str(kind["count"]), duration(kind["seconds"]), f"{100 * kind['share']:.0f} %",
            f"{kind['gflops']:.0f}", f"{kind['flop_per_byte']:.1f}", f"{100 * kind['memory_bound_share']:.0f} %",
        ])  # fmt: skip
    rest = kinds[LARGEST_KINDS:]
    if rest:
        seconds, share = (sum(kind[key] for kind in rest) for key in ("seconds", "share"))
        count = str(sum(kind["count"] for kind in rest))
        rows.append([f"{len(rest)} other kinds", count, duration(seconds), f"{100 * share:.0f} %", "", "", ""])
    return f"Where the time goes in the {name.removeprefix(OURS).strip()}, ONNX Runtime's profile\n{aligned(rows)}"


def _zoom(report: BenchReport) -> str:
    facts = report.details.get("zoom")
    if not facts:
        return ""
    rows = [["", "per image", "", "images encoded", "Dice", "objects under 1 %", "larger ones"]]
    for entry in report.measurements:
        if entry.section == "Zoom":
            summary = entry.details
            dice = [f"{summary[name]:.3f}" for name in ("dice", "dice small", "dice large")]
            rows.append([entry.what, *_cell(entry), str(summary["images encoded"]), *dice])
    return f"Zoom, {facts['images']} images, {facts['cases']}\n{aligned(rows)}"


def _goals(goals: Sequence[Goal]) -> str:
    rows = [["goal", "aim", "measured", "", ""]]
    for goal in goals:
        aim = f"{'>=' if goal.at_least else '<='} {goal.target:g}{goal.unit}"
        value = "-" if goal.status == UNKNOWN else f"{goal.value:.3g}{goal.unit if len(goal.unit) < 4 else ''}"
        rows.append([goal.name, aim, value, goal.status, goal.note])
    return "Goals\n" + "\n".join(_goal_lines(rows))


def _goal_lines(rows: list[list[str]]) -> Iterator[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    for name, aim, value, status, note in rows:
        line = f"  {name.ljust(widths[0])}  {aim.ljust(widths[1])}  {value.rjust(widths[2])}  {status.ljust(widths[3])}"
        yield f"{line}  {note}".rstrip()


def _left_out(title: str, reasons: Sequence[tuple[str, str]]) -> str:
    return "\n".join([title, *(f"  {what}: {reason}" for what, reason in reasons)]) if reasons else ""


def _size(count: int) -> str:
    return f"{count / 1e6:g} MB"
