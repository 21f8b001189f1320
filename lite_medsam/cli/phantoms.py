"""`lite-medsam phantoms`: synthetic sample cases with exact labels."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

FORMATS = ("npz", "png", "nifti")


@click.command(
    name="phantoms",
    epilog="""\b
Examples:
  lite-medsam phantoms -o cases
  lite-medsam phantoms -o raw --kind oct-cme --count 6 --save png
  lite-medsam phantoms -o scans --kind ct --volumes --save nifti
""",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder for the files.")
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    help="Which to make, or scene: things to train on. Repeatable.  [default: the bundled set]",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="First seed.")
@click.option("--count", type=click.IntRange(1), default=1, show_default=True, help="Cases per kind.")
@click.option("--volumes", is_flag=True, help="Volumes instead of pictures, for the kinds that have them.")
@click.option("--save", default="npz", show_default=True,
              help="npz; png: NAME.png and NAME_mask.png; nifti: NAME.nii.gz and NAME_label.nii.gz; or several.")  # fmt: skip
def command(output: Path, kinds: tuple[str, ...], seed: int, count: int, volumes: bool, save: str) -> None:
    """Write synthetic sample cases with exact labels.

    They look like their modality and are no substitute for it: never report a score on them as accuracy.
    """
    from lite_medsam.phantoms import VOLUME_KINDS, bundled_cases, make_phantom, make_phantom_volume

    formats = _formats(save, volumes)
    if volumes:
        kinds = kinds or VOLUME_KINDS
    make = make_phantom_volume if volumes else make_phantom
    for case in [make(kind, s) for kind in kinds for s in range(seed, seed + count)] if kinds else bundled_cases():
        for name in formats:
            for path in _write(output, case, name):
                print(path)


def _formats(save: str, volumes: bool) -> list[str]:
    """The names in `--save`, checked."""
    names = [name for name in save.split(",") if name]
    unknown = [name for name in names if name not in FORMATS]
    if unknown or not names:
        raise click.UsageError(f"--save must be a list of {', '.join(FORMATS)}, got {save!r}")
    if ("png" if volumes else "nifti") in names:
        raise click.UsageError("--save png is for pictures, --save nifti for --volumes; npz holds both")
    return names


def _write(output: Path, case: Any, form: str) -> Sequence[Path]:
    """One case in one format."""
    if form == "npz":
        from lite_medsam.cases.case import save_case

        path = output / f"{case.name}.npz"
        save_case(path, case)
        return [path]
    if form == "png":
        return _write_pictures(output, case)
    from lite_medsam.scans.geometry import Geometry
    from lite_medsam.scans.nifti import save_nifti

    geometry = Geometry.from_spacing(case.label.shape, case.spacing_mm)
    paths = [output / f"{case.name}.nii.gz", output / f"{case.name}_label.nii.gz"]
    for path, array in zip(paths, (case.image, case.label), strict=True):
        save_nifti(path, array, geometry)
    return paths


def _write_pictures(output: Path, case: Any) -> Sequence[Path]:
    from lite_medsam.images.png_writing import png_bytes
    from lite_medsam.results.take_home import label_png
    from lite_medsam.storage.files import atomic_write

    files = {f"{case.name}.png": png_bytes(case.image), f"{case.name}_mask.png": label_png(case.label)}
    for name, data in files.items():
        with atomic_write(output / name) as path:
            path.write_bytes(data)
    return [output / name for name in files]
