"""Options that several commands share, and options made from a dataclass of settings."""

import dataclasses
import os
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import click


class WeightsPath(click.Path):
    """A model directory, or the name of a published model on this machine; a command gets the directory."""

    def __init__(self):
        super().__init__(path_type=Path)

    def convert(self, value, param, ctx):
        from lite_medsam.model.published import find_weights

        return find_weights(os.fsdecode(super().convert(value, param, ctx)))


class InputPath(click.Path):
    """A path, or an address such as `s3://bucket/scans`, which stays a text."""

    def __init__(self):
        super().__init__(path_type=Path)

    def convert(self, value, param, ctx):
        from lite_medsam.jobs.remote import is_url

        return value if isinstance(value, str) and is_url(value) else super().convert(value, param, ctx)


refine_option = click.option(
    "--refine",
    type=click.Choice(["off", "auto", "always"]),
    default="off",
    show_default=True,
    help="Look at borders a second time, from closer: auto at those of large objects in large pictures. It takes much longer.",
)


def engine_options(function):
    """Adds --weights, --engine, --threads, --zoom and --refine."""
    options = [
        click.option(
            "--weights",
            type=WeightsPath(),
            metavar="PATH|NAME",
            help="Model directory, or a name of weights list.  [default: the bundled one]",
        ),
        click.option(
            "--engine",
            type=click.Choice(["auto", "onnxruntime", "openvino", "torch"]),
            default="auto",
            show_default=True,
            help="What runs the model.",
        ),
        click.option(
            "--threads",
            type=click.IntRange(1),
            help="CPU threads.  [default: physical cores, in a container its share]",
        ),
        click.option(
            "--zoom",
            type=click.Choice(["auto", "off", "always"]),
            default="auto",
            show_default=True,
            help="Segment small objects from a crop: auto lets near ones share it where there are many; always never does.",
        ),
        refine_option,
    ]
    for option in reversed(options):
        function = option(function)
    return function


def open_predictor(weights: Path | None, engine: str, threads: int | None, zoom: str, refine: str):
    """The predictor that the shared options ask for."""
    from lite_medsam.segment.predictor import Predictor

    return Predictor.open(weights, engine, threads, zoom, refine=refine)


def settings_options(
    function,
    cls: type,
    choices: Mapping[str, Sequence[str]] | None = None,
    renamed: Mapping[str, str] | None = None,
    left_out: Collection[str] = (),
):
    """Adds an option for every field of a dataclass; its help is the field's line in the docstring.

    Args:
        function: The command.
        cls: The dataclass; every field has a default.
        choices: What a field may be, by its name; "" stands for not given.
        renamed: Option names of fields that are called otherwise, as repeated options are, in the singular.
        left_out: Fields without an option.
    """
    texts = field_texts(cls)
    for field in reversed(dataclasses.fields(cls)):
        if field.name in left_out:
            continue
        flag = "--" + (renamed or {}).get(field.name, field.name).replace("_", "-")
        options: dict = {
            "help": texts[field.name],
            "show_default": field.default not in ("", None),
            "default": field.default,
        }
        if isinstance(field.default, bool):
            flag = f"{flag}/--no-{field.name.replace('_', '-')}"
        elif choices and field.name in choices:
            options["type"] = click.Choice([choice for choice in choices[field.name] if choice])
            options["default"] = field.default or None
        elif isinstance(field.default, tuple) and isinstance(field.default[0], str):
            options |= {"multiple": True, "type": str}
        elif isinstance(field.default, tuple):
            options |= {"nargs": len(field.default), "type": float}
        else:
            options["type"] = type(field.default)
        function = click.option(flag, field.name, **options)(function)
    return function


def field_texts(cls: type) -> dict[str, str]:
    """The text of each field from the Attributes section of a dataclass's docstring."""
    texts: dict[str, str] = {}
    for part in re.split(r"\n {8}(?=\w)", (cls.__doc__ or "").split("Attributes:", 1)[1]):
        name, _, text = part.partition(":")
        if name.strip():
            texts[name.strip()] = " ".join(text.split())
    return texts
