"""`lite-medsam phantoms`: synthetic sample cases with exact labels."""

from pathlib import Path

import click


@click.command(name="phantoms")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder for the npz cases.")
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    help="Which to make, or scene: things to train on. Repeatable.  [default: the bundled set]",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="First seed.")
@click.option("--count", type=click.IntRange(1), default=1, show_default=True, help="Cases per kind.")
def command(output: Path, kinds: tuple[str, ...], seed: int, count: int) -> None:
    """Write synthetic sample cases with exact labels.

    They look like their modality and are no substitute for it: never report a score on them as accuracy.
    """
    from lite_medsam.cases.case import save_case
    from lite_medsam.phantoms import bundled_cases, make_phantom

    cases = [make_phantom(kind, s) for kind in kinds for s in range(seed, seed + count)] if kinds else bundled_cases()
    for case in cases:
        path = output / f"{case.name}.npz"
        save_case(path, case)
        print(path)
