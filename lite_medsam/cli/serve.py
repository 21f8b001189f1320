"""`lite-medsam serve`: a service for the viewers that know nnInteractive."""

import importlib
from pathlib import Path

import click

from lite_medsam.cli.options import engine_options


@click.command(name="serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 lets others in.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=1527, show_default=True, help="Port; 0 takes a free one."
)
@click.option("--api-key-file", type=click.Path(path_type=Path), help="Text file with the key that clients must know.")
@click.option("--api-key", envvar="NN_INTERACTIVE_API_KEY", show_envvar=True,
              help="The key itself; the list of processes shows it, a variable not.")  # fmt: skip
@click.option("--open", "is_open", is_flag=True, help="Let others in without a key.")
@click.option("--allow-origin", multiple=True, metavar="URL", help="A page that may ask from a browser. Repeatable.")
@click.option("--max-sessions", type=click.IntRange(1, 32), default=3, show_default=True, help="Clients at a time.")
@click.option("--idle-timeout-seconds", type=click.FloatRange(0, min_open=True), default=600.0, show_default=True,
              help="A client that does nothing for so long loses its place.")  # fmt: skip
@click.option("--liveness-timeout-seconds", type=click.FloatRange(0, min_open=True), default=60.0, show_default=True,
              help="The same for one of which nothing is heard.")  # fmt: skip
@click.option(
    "--max-upload-mb", type=click.IntRange(1, 100_000), default=512, show_default=True, help="Largest request."
)
@click.option(
    "--max-voxels", type=click.IntRange(1), default=120_000_000, show_default=True, help="Voxels of a volume."
)
@click.option("--max-memory-mb", type=click.IntRange(1), default=4096, show_default=True,
              help="Volumes and masks of all clients together.")  # fmt: skip
@click.option("--follow-seconds", type=click.FloatRange(1, 3600), default=40.0, show_default=True,
              help="An object is not followed longer than this; clients wait 60 seconds for an answer.")  # fmt: skip
@engine_options
def command(
    host, port, api_key_file, api_key, is_open, allow_origin, weights, engine, threads, zoom, refine, **limits
) -> None:
    """Answer viewers that know nnInteractive: 3D Slicer, napari, MITK.

    It needs the serve extra: pip install "lite-medsam[serve]". Nothing leaves this machine.
    """
    from lite_medsam.errors import MissingExtraError

    key = read_key(api_key_file) if api_key_file is not None else api_key or None
    try:
        for module in ("fastapi", "python_multipart", "uvicorn", "lite_medsam.serve.protocol"):
            importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtraError("the service", "serve", error.name) from None

    from lite_medsam.serve.limits import Limits
    from lite_medsam.serve.running import Settings, serve

    settings = Settings(weights, engine, threads, zoom, refine, key, allow_origin, is_open, Limits(**limits))
    serve(settings, host, port, lambda address: click.echo(f"lite-medsam answers at {address} (Ctrl-C ends it)"))


def read_key(path: Path) -> str:
    """The key of a file, without blanks around it.

    Raises:
        ValueError: If the file cannot be read, is empty, or holds more than one line.
    """
    try:
        key = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"--api-key-file must be a text file with the key, {path}: {error}") from None
    if not key or len(key.split()) != 1:
        raise ValueError(f"--api-key-file must hold one word, the key; {path} does not")
    return key
