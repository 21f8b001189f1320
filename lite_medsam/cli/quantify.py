"""`lite-medsam quantify`: masks of an eye become the numbers of a clinic."""

import sys
from pathlib import Path

import click

from lite_medsam.cli.options import engine_options


@click.command(
    name="quantify",
    epilog="""\b
Examples:
  lite-medsam quantify -i case.npz -o numbers
  lite-medsam quantify -i scan.png --masks out --labels 1=IRF,2=SRF --spacing-um 3.87,11.7 -o numbers
  lite-medsam quantify -i volume.npz --prompts fluid.json --spread 10 -o numbers
  lite-medsam quantify --table visits.csv -o numbers
""",
)
@click.option("-i", "--input", "inputs", type=click.Path(exists=True, path_type=Path), multiple=True,
              help="A case with labels, a scan (with --masks or --prompts), or labels alone: segs of an npz, NIfTI, a picture, a "
              "folder of pictures. Repeatable.")  # fmt: skip
@click.option("--masks", type=click.Path(exists=True, path_type=Path),
              help="Labels of the scans: a file, a stack of pictures, or the folder that segment wrote.")  # fmt: skip
@click.option("--table", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="CSV with a row per scan: file, and any of masks, labels, group, eye, visit, spacing_um, fovea, "
              "first_b_scan.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder for the results.")
@click.option(
    "--labels", metavar="1=IRF,2=SRF", help="What the label values are.  [default: as the file or its record says]"
)
@click.option("--group", help="Whose scans these are: makes one person of all inputs, for the trend over visits.")
@click.option("--eye", help="R or L.  [default: as the file says]")
@click.option("--visit", metavar="YYYY-MM-DD", help="Day of the scan.  [default: as the file says]")
@click.option(
    "--spacing-um", metavar="Z,Y,X", help="Voxel size in um: B-scans, depth, A-scans; of a picture depth, A-scans."
)
@click.option("--fovea", metavar="Z,X", help="B-scan and A-scan of the fovea; of a fundus picture row and column.  "
              "[default: as the file says, else where the retina is thinnest]")  # fmt: skip
@click.option("--first-b-scan", type=click.Choice(["superior", "inferior"]), help="Where the first B-scan lies.")
@click.option("--surfaces", metavar="INNER,OUTER", help="Surfaces of the device, or 'top of LABEL' and 'bottom of LABEL', between "
              "which thickness is measured.  [default: ILM and BM, or the retina's labels]")  # fmt: skip
@click.option("--cvi-window", metavar="MM,SIDES", default="1,vertical", show_default=True,
              help="Window of the choroid vascularity index; SIDES: vertical or perpendicular.")  # fmt: skip
@click.option(
    "--kind",
    type=click.Choice(["auto", "oct", "fundus"]),
    default="auto",
    show_default=True,
    help="What the scans are.",
)
@click.option("--prompts", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Segment first, from this prompt file; its objects have names such as IRF.")  # fmt: skip
@click.option("--spread", type=click.IntRange(0), default=0, show_default=True,
              help="Segment again from so many sets of jittered prompts, and tell mean and SD.")  # fmt: skip
@click.option("--jitter", type=click.FloatRange(0, 0.5), default=0.05, show_default=True,
              help="Most that an edge of a box moves, as a share of the box.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the jitter.")
@click.option("--layers", metavar="X0,Y0,X1,Y1", help="Segment all layers first, from a box around the retina on the middle "
              "B-scan; they are put in order.")  # fmt: skip
@click.option("--coordinates", type=click.Choice(["voxel", "display"]), default="voxel", show_default=True,
              help="What --prompts count in NIfTI and DICOM, as in segment.")  # fmt: skip
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
@engine_options
def command(inputs, masks, table, output, labels, group, eye, visit, spacing_um, fovea, prompts, spread, jitter, seed, layers,
            coordinates, quiet, **rest) -> None:  # fmt: skip
    """Measure masks of OCT and fundus pictures: fluid, thickness, atrophy, vessels, cup and disc.

    OUTPUT/quantities.csv and quantities.json hold every number with its unit, the voxel size and where that comes from;
    visits.csv the eyes over their visits; report.html is one page with pictures, maps, trends and definitions. Where the scale is
    unknown, results are in px and say so.
    """
    from tqdm import tqdm

    from lite_medsam.quantities.names import parse_names
    from lite_medsam.quantities.outputs import write_results
    from lite_medsam.quantities.run import Input, inputs_from_table, named_apart, parse_eye, parse_numbers, quantify
    from lite_medsam.quantities.visits import checked_date
    from lite_medsam.storage.paths import shown_path

    if bool(inputs) == bool(table):
        raise click.UsageError("give the scans with -i or with --table, one of them")
    said = Input(
        Path(),
        masks,
        parse_names(labels) if labels else None,
        group,
        parse_eye(eye) if eye else None,
        checked_date(visit) if visit else None,
        parse_numbers(spacing_um, "--spacing-um") if spacing_um else None,
        _pair(parse_numbers(fovea, "--fovea", 2)) if fovea else None,
    )
    options, engine = _measure_options(rest)
    items = inputs_from_table(table, said) if table else [_at(said, path) for path in inputs]
    asking = None
    if prompts or spread or layers:
        asking = _asking(engine, prompts, spread, jitter, seed, layers, coordinates)
    reports, failures = [], 0
    bar = tqdm(total=spread * len(items), unit="set of prompts", delay=1, leave=False, disable=quiet or not spread)
    for item in named_apart(items):
        try:
            reports.append(quantify(item, options, asking, lambda done: bar.update(1)))
        except ValueError as error:
            if len(items) == 1:
                raise
            failures += 1
            print(f"error: {shown_path(item.path)}: {error}", file=sys.stderr)
            continue
        if not quiet:
            _tell(reports[-1])
    bar.close()
    for path in write_results(output, reports) if reports else ():
        if not quiet:
            print(shown_path(path))
    if failures:
        print(f"{failures} of {len(items)} scans failed", file=sys.stderr)
        raise click.exceptions.Exit(2)


def _at(said, path: Path):
    from dataclasses import replace

    return replace(said, path=path)


def _pair(numbers: tuple[float, ...]) -> tuple[float, float]:
    first, second = numbers
    return first, second


def _measure_options(rest: dict):
    """How to measure, and the options of the engine that are left."""
    from lite_medsam.quantities.choroid import ChoroidWindow
    from lite_medsam.quantities.measure import MeasureOptions

    surfaces = rest.pop("surfaces")
    names = None if surfaces is None else tuple(part.strip() for part in surfaces.split(","))
    if names is not None and (len(names) != 2 or not all(names)):
        raise click.UsageError(f"--surfaces must be INNER,OUTER, got {surfaces!r}")
    width, _, sides = rest.pop("cvi_window").partition(",")
    try:
        window = ChoroidWindow(float(width), sides.strip() or "vertical")
    except ValueError as error:
        raise click.UsageError(f"--cvi-window must be MM,SIDES such as 1,vertical: {error}") from None
    options = MeasureOptions(
        first_b_scan=rest.pop("first_b_scan"), surfaces=names, window=window, kind=rest.pop("kind")
    )
    return options, rest


def _asking(engine: dict, prompts, spread, jitter, seed, layers, coordinates):
    from lite_medsam.cli.options import open_predictor
    from lite_medsam.quantities.run import Asking, parse_numbers

    if layers and (prompts or spread):
        raise click.UsageError("--layers segments all layers by itself; leave --prompts and --spread out")
    box = parse_numbers(layers, "--layers", 4) if layers else None
    return Asking(open_predictor(**engine), prompts, spread, jitter, seed, box, coordinates)


def _tell(report) -> None:
    """Notes to stderr, the numbers that are looked for first to stdout."""
    from lite_medsam.quantities.report_html import first_numbers

    for note in report.measured.notes:
        print(f"note: {report.measured.labelled.scan.name}: {note}", file=sys.stderr)
    for q in first_numbers(report.measured.quantities):
        print(f"{report.title}: {q.quantity} {q.of}: {q.value:.6g} {'' if q.unit == '1' else q.unit}".rstrip())
