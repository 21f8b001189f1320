"""Options that several commands share."""

from pathlib import Path

import click


def engine_options(function):
    """Adds --weights, --engine, --threads and --zoom."""
    options = [
        click.option("--weights", type=click.Path(path_type=Path), help="Model directory.  [default: the bundled one]"),
        click.option(
            "--engine",
            type=click.Choice(["auto", "onnxruntime", "openvino", "torch"]),
            default="auto",
            show_default=True,
            help="What runs the model.",
        ),
        click.option("--threads", type=click.IntRange(1), help="CPU threads.  [default: physical cores]"),
        click.option(
            "--zoom",
            type=click.Choice(["auto", "off", "always"]),
            default="auto",
            show_default=True,
            help="Segment small objects from a crop: auto lets near ones share it where there are many; always never does.",
        ),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def open_predictor(weights: Path | None, engine: str, threads: int | None, zoom: str):
    """The predictor that the shared options ask for."""
    from lite_medsam.predictor import Predictor

    return Predictor.open(weights, engine, threads, zoom)
