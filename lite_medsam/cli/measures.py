"""What `lite-medsam evaluate` does with --metrics and --baseline: columns, protocol, summary, and who is scored."""

import dataclasses
import sys
from pathlib import Path

import click


def columns_of(metrics: str, tolerance: float):
    """What is added to each row, see `evaluation.columns`."""
    from lite_medsam.evaluation.columns import click_columns, measure_columns, missing_measures

    if metrics == "review":
        if missing_measures():
            print(f'without {", ".join(missing_measures())}: pip install "lite-medsam[metrics]"', file=sys.stderr)
        return measure_columns(tolerance)
    return click_columns(tolerance) if metrics == "clicks" else None


def protocol_of(name: str, metrics: str):
    """The protocol; with as many clicks as a count of clicks to a goal needs."""
    from lite_medsam.evaluation.metrics.interactive import LIMIT
    from lite_medsam.prompts.prompt_set import load_protocol

    protocol = load_protocol(name)
    if metrics != "clicks":
        return protocol
    if protocol.kind not in ("clicks", "box+clicks"):
        raise click.UsageError(f"--metrics clicks needs --protocol clicks or box+clicks, got {name}")
    return dataclasses.replace(protocol, name=f"{protocol.name}, {LIMIT} clicks", clicks=LIMIT)


def open_baseline(given: str, threads: int | None):
    """A baseline by its kind, or a specialist by its folder."""
    from lite_medsam.evaluation.baselines import BaselineSegmenter
    from lite_medsam.evaluation.specialist import SpecialistSegmenter

    if given in BaselineSegmenter.KINDS:
        return BaselineSegmenter(given)
    if not Path(given).is_dir():
        kinds = ", ".join(BaselineSegmenter.KINDS)
        raise click.BadParameter(
            f"must be one of {kinds}, or a folder that `lite-medsam baseline` wrote, got {given!r}",
            param_hint="--baseline",
        )
    return SpecialistSegmenter.open(given, threads)


def with_measures(result, metrics: str):
    """The scores of a run, whose tables are those of all measures or of the clicks."""
    from lite_medsam.evaluation.columns import Measures, add_click_scores

    if metrics == "basic":
        return result
    if metrics == "clicks":
        add_click_scores(result.rows)
    return Measures(**vars(result), of_clicks=metrics == "clicks")
