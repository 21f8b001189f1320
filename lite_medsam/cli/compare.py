"""`lite-medsam compare`."""

import json
import sys
import time
from pathlib import Path

import click

from lite_medsam.cli.evaluate import groups_of, labelled_cases

DEFAULT_WAYS = ("lite-medsam", "litemedsam:quirks", "litemedsam:off", "litemedsam", "litemedsam-128")


@click.command(
    name="compare",
    epilog="""\b
Examples:
  lite-medsam weights get litemedsam
  lite-medsam weights get litemedsam --image-size 128
  lite-medsam compare -i cases --groups index.csv -o beside.json
  lite-medsam compare -i cases --way lite-medsam --way litemedsam --way runs/mine/model:off
""",
)
@click.option("-i", "--input", "inputs", type=click.Path(exists=True, path_type=Path), multiple=True, required=True,
              help="Labelled npz case, or a folder of them. Repeatable.")  # fmt: skip
@click.option("--way", "names", multiple=True, metavar="MODEL[:HOW]",
              help="A model by name or directory, and how: auto, always or off (--zoom), or quirks, LiteMedSAM's own "
              "script. Repeatable; the others are compared with the first.  "
              f"[default: {', '.join(DEFAULT_WAYS)}]")  # fmt: skip
@click.option("--groups", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="CSV with the columns file and group; intervals are over groups.")  # fmt: skip
@click.option("--protocol", default="box", show_default=True, help="Whose boxes, see evaluate.")
@click.option("--every", type=click.IntRange(1), default=1, show_default=True, help="Take only every n-th case.")
@click.option("--ledger", type=click.Path(dir_okay=False, path_type=Path),
              help="Keep the scores of each case here, and go on from what is there.")  # fmt: skip
@click.option("--minutes", type=click.FloatRange(0, min_open=True), help="Stop after so long; needs --ledger.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the record (JSON) here.")
@click.option(
    "--threads", type=click.IntRange(1), help="CPU threads.  [default: physical cores, in a container its share]"
)
@click.option("-q", "--quiet", is_flag=True, help="No progress bar.")
def command(inputs, names, groups, protocol, every, ledger, minutes, output, threads, quiet) -> None:
    """Score several models, or ways of running them, on the same boxes.

    Dice and surface Dice at 2 px, averaged over objects, then images, then modalities, with 95 % intervals over groups; and the
    difference to the first way, object by object.
    """
    from lite_medsam.challenge.side_by_side import Ledger, missing, summarise
    from lite_medsam.challenge.side_by_side_text import format_record
    from lite_medsam.errors import CaseError
    from lite_medsam.prompts.prompt_set import load_protocol
    from lite_medsam.storage.files import atomic_write

    if minutes and ledger is None:
        raise click.UsageError("--minutes needs --ledger FILE, else what was measured is lost")
    found = labelled_cases(inputs)
    owners, cases = groups_of(groups, found) if found else None, found[::every]
    if not cases:
        raise CaseError(f"the input must hold npz cases, got none in {', '.join(map(str, inputs))}")
    if len({case.stem for case in cases}) < len(cases):
        raise CaseError("cases must have different file names, got the same one twice; give the folders one by one")
    ways = [_open(name, threads) for name in names or DEFAULT_WAYS]
    kept, chosen = Ledger(ledger), load_protocol(protocol)
    _measure(ways, missing(ways, cases, chosen, kept), chosen, kept, minutes, quiet)
    left = len(missing(ways, cases, chosen, kept))
    if left:
        print(f"{left} of {len(ways) * len(cases)} are left; run the same command again to go on", file=sys.stderr)
        raise click.exceptions.Exit(1)
    record = summarise(ways, cases, chosen, kept, owners)
    if not record["objects"]:
        raise CaseError("no case could be scored: none has labels with an object that is large enough")
    print(format_record(record))
    if output:
        with atomic_write(output) as path:
            path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _open(name: str, threads: int | None):
    from lite_medsam.challenge.side_by_side import MODES, Way
    from lite_medsam.model.runtime import open_backend

    model, colon, mode = name.rpartition(":")
    if not colon or mode not in MODES:
        model, mode = name, "auto"
    return Way(name, open_backend(model, "onnxruntime", threads), mode)


def _measure(ways, left, protocol, ledger, minutes, quiet) -> None:
    from tqdm import tqdm

    from lite_medsam.challenge.side_by_side import measure_case
    from lite_medsam.model.encoding_cache import EncodingCache

    cache = EncodingCache()
    segmenters = {way: way.segmenter(cache) for way in ways}
    started = time.monotonic()
    for way, case in tqdm(left, unit="case", disable=quiet, leave=False):
        if minutes and time.monotonic() - started > 60 * minutes:
            return
        measure_case(way, segmenters[way], case, protocol, ledger)
