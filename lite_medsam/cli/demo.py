"""`lite-medsam demo`: the demo in the browser."""

import math
from pathlib import Path

import click

from lite_medsam.cli.options import refine_option


@click.command(
    name="demo",
    epilog="""\b
Examples:
  lite-medsam demo
  lite-medsam demo scans                  # work through a folder, results in scans/lite-medsam
  lite-medsam demo --host 0.0.0.0 --auth-file users.txt
""",
)
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 lets others in.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=7860, show_default=True, help="Port; 0 takes a free one."
)
@click.option("--share", is_flag=True, help="Open a public tunnel through gradio.live. Off by default.")
@click.option("--root-path", default="", help="Path prefix behind a proxy, such as /segment.")
@click.option("--weights", multiple=True, type=click.Path(path_type=Path),
              help="Model directory, or a folder of them, beside the bundled model. Repeatable.")  # fmt: skip
@click.option("--engine", type=click.Choice(["auto", "onnxruntime", "openvino", "torch"]), default="auto", show_default=True,
              help="What runs the model at first.")  # fmt: skip
@click.option(
    "--threads", type=click.IntRange(1), help="CPU threads.  [default: physical cores, in a container its share]"
)
@click.option("--zoom", type=click.Choice(["auto", "off", "always"]), default="auto", show_default=True,
              help="Segment small objects from a crop of their own.")  # fmt: skip
@refine_option
@click.option(
    "--auth-file", type=click.Path(path_type=Path), help="Text file with one name:password a line; asks for a login."
)
@click.option(
    "--max-upload-mb", type=click.IntRange(1, 100_000), default=200, show_default=True, help="Largest upload."
)
@click.option("--max-pixels", type=click.IntRange(1), default=120_000_000, show_default=True,
              help="Pixels of a picture, or voxels of a volume.")  # fmt: skip
@click.option("--max-users", type=click.IntRange(1), default=64, show_default=True, help="Open pages at a time.")
@click.option("--idle-minutes", type=click.FloatRange(0.1),
              help="A page that nobody uses for so long gives up its place.  [default: never on localhost, else 30]")  # fmt: skip
@click.option("--no-browser", is_flag=True, help="Do not open a browser window.")
def command(folder, host, port, share, root_path, auth_file, no_browser, **settings) -> None:
    """Open the demo in the browser: draw a box, get the mask, take it home.

    With FOLDER, work through the pictures and volumes in it, one after another; results lie in FOLDER/lite-medsam, and the
    next start goes on where this one ended. Without, files are opened in the page.

    It needs the demo extra: pip install "lite-medsam[demo]". Nothing leaves this machine.
    """
    from lite_medsam.cli.demo_loading import load_demo

    is_local = host in ("localhost", "::1") or host.startswith("127.")
    if folder is not None and auth_file is None and (share or not is_local):
        raise click.UsageError("FOLDER would be open to everybody who reaches this address; give --auth-file, too")
    if settings["idle_minutes"] is None:
        settings["idle_minutes"] = math.inf if is_local and not share else 30.0
    settings["folder"] = None if folder is None else str(folder)
    service = load_demo()
    settings["weights"] = tuple(str(path) for path in settings["weights"])
    chosen = service.Settings(**settings)
    service.serve(
        chosen, host, port, share=share, root_path=root_path, auth_file=auth_file, open_browser=not no_browser
    )
