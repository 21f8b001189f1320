"""`lite-medsam weights`: published weights listed, downloaded and checked."""

import json
import sys
from pathlib import Path

import click


@click.group(
    name="weights",
    epilog="""\b
Examples:
  lite-medsam weights list
  lite-medsam weights download mobile-sam --out downloads
  lite-medsam weights verify downloads/mobile_sam.pt
  lite-medsam convert downloads/mobile_sam.pt --out models/mobile-sam
""",
)
def command() -> None:
    """List, download and check published weights."""


@command.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print the entries as JSON.")
def list_command(as_json: bool) -> None:
    """Show which published models there are, their terms and their size."""
    import dataclasses

    from lite_medsam.model.download import load_manifest

    models = load_manifest()
    if as_json:
        print(json.dumps([dataclasses.asdict(model) for model in models], indent=1, ensure_ascii=False))
        return
    width = max(len(model.name) for model in models)
    for model in models:
        size = f"{model.size_bytes / 1e6:,.0f} MB" if model.size_bytes else "-"
        how = "bundled" if model.bundled else "download" if model.urls else "by hand"
        print(f"{model.name:<{width}}  {how:<8}  {size:>9}  {model.title}; {model.licence}; {model.source}")


@command.command(name="download")
@click.argument("name")
@click.option("-o", "--out", type=click.Path(path_type=Path, file_okay=False), default=".", show_default=True,
              help="Folder for the file.")  # fmt: skip
@click.option("--mirror", "mirrors", multiple=True, metavar="URL", help="An address to try first. Repeatable.")
@click.option("-q", "--quiet", is_flag=True, help="No progress bar.")
def download_command(name: str, out: Path, mirrors: tuple[str, ...], quiet: bool) -> None:
    """Download a published model; go on where an earlier attempt stopped."""
    from tqdm import tqdm

    from lite_medsam.errors import WeightsError
    from lite_medsam.model.download import check_file, download, find_model, load_manifest

    model = find_model(name, load_manifest())
    if model.bundled:
        print(f"{model.name}: {' '.join(model.instructions)}")
        return
    path, urls = out / model.file, (*mirrors, *model.urls)
    if not urls and path.is_file():
        check_file(path, model.sha256, model.size_bytes)
    elif not urls:
        for number, line in enumerate(model.instructions, start=1):
            print(f"{number}. {line}")
        raise WeightsError(f"{model.title} must be downloaded by hand, see above; put it at {path} and run this again")
    else:
        with tqdm(unit="B", unit_scale=True, desc=model.file, disable=quiet, leave=False) as bar:

            def show(done: int, total: int | None) -> None:
                bar.total = total
                bar.update(done - bar.n)

            try:
                download(urls, path, model.sha256, model.size_bytes, show)
            except WeightsError:
                for line in model.instructions:
                    print(line, file=sys.stderr)
                raise
    checked = "SHA-256 is right" if model.sha256 else "no hash is known to check it"
    print(f"{path}: {checked}; terms: {model.licence}; next: lite-medsam convert {path} --out DIR")


@command.command(name="verify")
@click.argument("path", type=click.Path(path_type=Path))
def verify_command(path: Path) -> None:
    """Check a model directory, or downloaded files, against their known hashes."""
    from lite_medsam.model.download import load_manifest, verify

    for name, result in verify(path, load_manifest()):
        print(f"{name}: {result}")
