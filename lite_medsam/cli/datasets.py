"""`lite-medsam datasets`: known data sets, their sources and terms; how to cite one; which one a folder is."""

from dataclasses import asdict
from pathlib import Path

import click


@click.command(
    name="datasets",
    epilog="""\b
Examples:
  lite-medsam datasets
  lite-medsam datasets tjdr
  lite-medsam datasets fluid masks --modality OCT
  lite-medsam datasets cite retouch
  lite-medsam datasets check /data/RETOUCH
""",
)
@click.argument("words", nargs=-1)
@click.option("--modality", help="Only sets of this modality, such as OCT.")
@click.option("--adapter", help="Only sets that this adapter of `prepare` reads; any: those that have one.")
@click.option("--json", "as_json", is_flag=True, help="Print everything known as JSON.")
def command(words: tuple[str, ...], modality: str | None, adapter: str | None, as_json: bool) -> None:
    """List known data sets: where they come from and under which terms.

    WORDS narrow the list; an id, or a search with one hit, shows the whole entry. Nothing is downloaded: get the files
    from the source, under its terms, and turn them into cases with `lite-medsam prepare`.

    `cite NAME` prints what to cite, with source and terms. `check FOLDER` says which known set a folder is, what is missing,
    and which `prepare` command reads it; code 2 where it is none.
    """
    if len(words) > 1 and words[0] in ("cite", "check"):
        if modality or adapter or len(words) > 2:
            raise click.UsageError(f"`datasets {words[0]}` takes one name and --json only")
        (cite if words[0] == "cite" else check)(words[1], as_json)
        return
    from lite_medsam.cases.datasets import find_datasets
    from lite_medsam.storage.console import print_json

    found = find_datasets(words, modality, adapter)
    if as_json:
        print_json([asdict(dataset) for dataset in found])
    elif not found:
        raise click.UsageError("no data set fits; `lite-medsam datasets` lists all")
    elif len(found) == 1:
        print(describe(found[0]))
    else:
        print(table(found))


def cite(name: str, as_json: bool) -> None:
    """Prints what to cite of one data set, with its source and terms."""
    from lite_medsam.cases.datasets import find_datasets
    from lite_medsam.storage.console import print_json

    found = find_datasets([name])
    if len(found) != 1:
        several = f"{len(found)} fit: {', '.join(d.id for d in found[:8])}" if found else "none is called so"
        raise click.UsageError(
            f"cite must name one data set, got {name!r}; {several}; `lite-medsam datasets` lists all"
        )
    (dataset,) = found
    facts = {"id": dataset.id, "cite": dataset.citation, "source": dataset.source, "terms": dataset.terms}
    if as_json:
        print_json(facts)
        return
    print(dataset.citation or f"{dataset.name}: what to cite is not established; see its source")
    print(f"source: {dataset.source or 'not established'}")
    print(f"terms:  {dataset.terms}{f' ({dataset.terms_source})' if dataset.terms_source else ''}")


def check(folder: str, as_json: bool) -> None:
    """Prints which known data set a folder is, what is missing and how to prepare it."""
    from lite_medsam.cases.recognise import recognise
    from lite_medsam.storage.console import print_json

    found = recognise(Path(folder))
    if as_json:
        print_json(
            [
                {"id": one.dataset.id, "parts": one.parts, "missing": one.missing, "prepare": one.command}
                for one in found
            ]
        )
    for one in () if as_json else found:
        print(f"{one.dataset.name} ({one.dataset.id})")
        for words, count, wanted in one.parts:
            print(f"  {words}: {count}{f' of {wanted} as printed' if wanted else ''}")
        print(f"  missing: {'; '.join(one.missing) or 'nothing that is known of'}")
        print(f"  {one.command}")
    if not found:
        raise click.UsageError(
            f"{folder} is none of the known sets by how its files lie; `lite-medsam prepare image-folder -i {folder} --check` "
            "reads folders of images and masks"
        )


def describe(dataset) -> str:
    """Everything known of one data set, a line per fact."""
    facts = {
        "source": dataset.source or "not established",
        "as printed": dataset.source_as_printed,
        "listed in": dataset.listed_in,
        "modality": dataset.modality,
        "pathology": dataset.pathology,
        "size": f"{dataset.size} (as printed)" if dataset.size not in ("-", "not established") else "not established",
        "has": ", ".join(dataset.has) or "not established",
        "terms": dataset.terms,
        "terms from": dataset.terms_source,
        "adapter": dataset.adapter or "none; `image-folder` reads folders of images and masks",
        "cite": dataset.citation,
    }
    lines = [f"{dataset.name} ({dataset.id})"]
    lines += [f"  {key + ':':<12}{value}" for key, value in facts.items() if value]
    lines += [f"  note:       {note}" for note in dataset.notes]
    if dataset.adapter:
        from lite_medsam.cases.adapters import adapter_class

        lines += [f"  `lite-medsam prepare {dataset.adapter} -i RAW -o CASES` reads"]
        lines += [f"    {line}" for line in adapter_class(dataset.adapter).tree.splitlines()]
    return "\n".join(lines)


def table(datasets) -> str:
    """One line per data set."""
    rows = [("id", "modality", "adapter", "size as printed", "terms")]
    rows += [(d.id, d.modality, d.adapter or "-", _cut(d.size, 44), _cut(d.terms, 40)) for d in datasets]
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    return "\n".join("  ".join([*(c.ljust(w) for c, w in zip(row, widths, strict=False)), row[4]]) for row in rows)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3].rstrip() + "..."
