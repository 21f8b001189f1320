"""The comparison on the OCT page is what its recipe measured, and nothing else."""

import json

from places import ROOT

from lite_medsam.learning.specialists.curve_chart import curve_table

DOCUMENT = json.loads((ROOT / "docs" / "oct-specialists.json").read_text(encoding="utf-8"))
PAGE = (ROOT / "docs" / "oct.md").read_text(encoding="utf-8")
RECIPE = (ROOT / "weights" / "recipes" / "specialists-oct.sh").read_text(encoding="utf-8")


def test_the_table_is_that_of_the_measurement():
    assert curve_table(DOCUMENT, markdown=True) in PAGE


def test_the_settings_are_those_of_the_recipe():
    for name, value in DOCUMENT["specialists"].items():
        assert f"--{name.replace('_', '-')} {value}" in RECIPE, name
    sizes = [int(size) for size in RECIPE.split("--curve ")[1].split()[0].split(",")]
    assert {r["images"] for r in DOCUMENT["results"]} <= {0, *sizes}


def test_what_is_left_is_said():
    assert bool(DOCUMENT["left"]) == ("Not measured yet: " in PAGE)
