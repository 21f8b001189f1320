"""`lite-medsam bench`: speed and memory beside the published LiteMedSAM architecture."""

import sys
from pathlib import Path

import click

from lite_medsam.cli.options import WeightsPath


@click.command(
    name="bench",
    epilog="""\b
Examples:
  lite-medsam bench --quick
  lite-medsam bench --json bench.json --chart bench.png
  lite-medsam bench --engine onnxruntime --threads 1 --no-reference
  lite-medsam bench --cases folder/of/labelled/npz
""",
)
@click.option("--weights", type=WeightsPath(), metavar="PATH|NAME", help="Model directory.  [default: the bundled one]")
@click.option("--engine", "engines", type=click.Choice(["onnxruntime", "openvino", "torch"]), multiple=True,
              help="Repeatable; the first runs everything, others the graphs.  [default: all that are installed]")  # fmt: skip
@click.option(
    "--threads", type=click.IntRange(1), help="CPU threads.  [default: physical cores, in a container its share]"
)
@click.option("--repeats", type=click.IntRange(1), help="Rounds of each comparison.  [default: 15, quick 5]")
@click.option(
    "--quick", is_flag=True, help="A minute or two; long counts of the reference are computed, marked with *."
)
@click.option("--no-reference", is_flag=True, help="Leave out LiteMedSAM.")
@click.option(
    "--part", "parts", multiple=True, help="Only this part; repeatable: graphs, roofline, threads, files, ..."
)
@click.option("--cases", type=click.Path(exists=True, path_type=Path),
              help="Labelled npz case, or a folder of them, for the Dice of zoom.  [default: phantoms]")  # fmt: skip
@click.option("--json", "json_path", type=click.Path(dir_okay=False, path_type=Path), help="Write the record here.")
@click.option("--chart", type=click.Path(dir_okay=False, path_type=Path), help="Draw a PNG; needs the plots extra.")
@click.option("-q", "--quiet", is_flag=True, help="No progress on stderr.")
def command(weights, engines, threads, repeats, quick, no_reference, parts, cases, json_path, chart, quiet) -> None:
    """Measure speed and memory beside the published LiteMedSAM.

    Both run in the same engine, taking turns, so that what else the machine does hits both. The reference is LiteMedSAM
    itself after `lite-medsam weights get litemedsam`; else random weights of its shape, which torch makes once and which are
    kept in the user's cache folder: they take as long.
    """
    from lite_medsam.bench.context import BenchSettings
    from lite_medsam.bench.report import format_report
    from lite_medsam.bench.run import INTERRUPTED, PARTS, run_bench
    from lite_medsam.storage.files import atomic_write

    if chart is not None:
        from lite_medsam.bench.chart import check_matplotlib

        check_matplotlib()  # before the minutes, not after them
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        raise click.UsageError(f"--part must be one of {', '.join(PARTS)}, got {unknown[0]}")
    repeats = repeats or (5 if quick else 15)
    settings = BenchSettings(weights, tuple(dict.fromkeys(engines)), threads, repeats, quick, not no_reference, cases)

    def progress(part: str) -> None:
        if not quiet:
            print(f"measuring {part} ...", file=sys.stderr)

    report = run_bench(settings, tuple(parts) or None, progress)
    print(format_report(report))
    if json_path is not None:
        with atomic_write(json_path) as path:
            path.write_text(report.to_json() + "\n", encoding="utf-8")
    if chart is not None:
        from lite_medsam.bench.chart import draw_chart

        draw_chart(report, chart)
    if report.failures:
        print(f"error: {len(report.failures)} part(s) failed, see FAILED above", file=sys.stderr)
        raise click.exceptions.Exit(130 if any(reason == INTERRUPTED for _, reason in report.failures) else 1)
