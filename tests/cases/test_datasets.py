"""The registry: complete, honest about what is not known, and printed so that a person can use it."""

import json

import pytest
from click.testing import CliRunner

from lite_medsam.cases.adapters import ADAPTERS
from lite_medsam.cases.case import MODALITIES
from lite_medsam.cases.datasets import NOT_ESTABLISHED, find_datasets, load_registry
from lite_medsam.cli.datasets import command

REGISTRY = load_registry()


def run(*arguments):
    return CliRunner().invoke(command, arguments)


def test_every_set_that_was_asked_for_is_there():
    listed = {name for name, dataset in REGISTRY.items() if dataset.listed_in}
    assert len(listed) == 26
    assert set(REGISTRY) - listed == {"cme-oct", "tjdr", "lag", "cvpr24-medsam-laptop", "umn", "oimhs", "nr206"}


def test_adapters_and_the_registry_know_each_other():
    used = {dataset.adapter for dataset in REGISTRY.values()} - {None}
    assert used <= set(ADAPTERS)
    assert set(ADAPTERS) - used == {"dicom", "image-folder", "nifti", "oct"}, "an adapter of a named set has an entry"


@pytest.mark.parametrize("dataset", REGISTRY.values(), ids=list(REGISTRY))
def test_entries_say_what_they_know_and_what_not(dataset):
    assert dataset.id == dataset.id.lower() and " " not in dataset.id
    assert dataset.modality in (*MODALITIES, "several")
    assert dataset.name and dataset.pathology and dataset.size
    if dataset.source is None:
        assert dataset.source_as_printed == "..."
    else:
        assert dataset.source.startswith(("https://", "http://"))
        assert " " not in dataset.source and not dataset.source.endswith(".")
        assert dataset.source != dataset.source_as_printed
    assert dataset.terms == NOT_ESTABLISHED or dataset.terms_source, "terms need a place where they were read"
    assert all(note.endswith(".") for note in dataset.notes)


def test_wrong_links_are_corrected_and_kept_as_printed():
    assert REGISTRY["retouch"].source == "https://retouch.grand-challenge.org"
    assert "grandchallenge" in REGISTRY["retouch"].source_as_printed
    assert "/~sf59/" in REGISTRY["duke-wloa"].source and "wsf59" in REGISTRY["duke-wloa"].source_as_printed


@pytest.mark.parametrize(
    ("name", "parts", "printed"),
    [
        ("zenodo-glaucoma", (847, 263), 1_100),
        ("octdl", (1231, 147, 155, 332, 22, 101, 76), 2_000),
        ("oct5k", (722, 422, 530), 1_672),
    ],
)
def test_inconsistent_sizes_stay_as_printed_with_a_note(name, parts, printed):
    dataset = REGISTRY[name]
    assert f"{printed:,}" in dataset.size
    assert sum(parts) != printed
    assert all(f"{part:,}" in dataset.pathology for part in parts)
    assert any(f"{sum(parts):,}" in note for note in dataset.notes)


def test_search():
    assert [d.id for d in find_datasets(["TJDR"])] == ["tjdr"]
    assert {"retouch", "umn"} <= {d.id for d in find_datasets(["fluid", "masks"], modality="oct")}
    assert {d.id for d in find_datasets(adapter="any")} >= {"cme-oct", "tjdr", "lag", "retouch", "duke-cyst", "umn"}
    assert find_datasets(["no such thing"]) == []
    assert len(find_datasets()) == len(REGISTRY) == 33


def test_the_list_shows_all_and_the_entry_everything():
    result = run()
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert len(lines) == 34 and all(len(line) < 140 for line in lines)
    assert lines[0].split()[:3] == ["id", "modality", "adapter"]
    entry = run("retouch").stdout
    for part in ("https://retouch.grand-challenge.org", "as printed:", "112 volumes (as printed)", "terms:", "note:"):
        assert part in entry
    assert "not established" in run("isfahan-misp").stdout
    assert "RAW/train/image/*.png" in run("tjdr").stdout, "where an adapter exists, the tree that it reads"


def test_json_and_no_hit():
    rows = json.loads(run("--json", "--modality", "fundus").stdout)
    assert {row["id"] for row in rows} == {"tjdr", "lag"}
    result = run("nothing of this kind")
    assert result.exit_code == 2 and "no data set fits" in result.stderr
