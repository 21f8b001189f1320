"""`lite-medsam datasets`: known data sets, their sources and terms."""

from dataclasses import asdict

import click


@click.command(
    name="datasets",
    epilog="""\b
Examples:
  lite-medsam datasets
  lite-medsam datasets tjdr
  lite-medsam datasets fluid masks --modality OCT
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
    """
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
