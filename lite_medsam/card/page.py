"""The card as two Markdown pages, from the record of the measurements."""

import csv
from pathlib import Path
from typing import Any

from lite_medsam.card.ablation import ablation_table
from lite_medsam.card.front import front
from lite_medsam.card.honesty import calibration
from lite_medsam.card.markdown import table
from lite_medsam.card.pictures import NO_PLOT, picture
from lite_medsam.card.prompting import prompting
from lite_medsam.card.quality import quality
from lite_medsam.card.weaknesses import LIMITS, weaknesses
from lite_medsam.model.spec import ModelSpec

FRONT, MEASUREMENTS = "README.md", "measurements.md"

ABLATION = (
    "What each part brings, from short runs with equally many steps that are far from finished (see "
    "`weights/recipes/ablation`); every line adds to the one above it, unless its name says otherwise.\n\n"
)


def write_card(
    spec: ModelSpec,
    record: dict[str, Any],
    training_data: Path | None,
    pictures: set[str],
    ablation: list[dict[str, Any]] | None = None,
) -> dict[str, str]:
    """The pages of the card as Markdown, by the names of their files: `FRONT` fits a screen, `MEASUREMENTS` has every table.

    Args:
        spec: The model.
        record: From `summarise_card`.
        training_data: CSV with dataset, modality, targets, training_files, copy_taken_from, source_and_terms.
        pictures: Those of `pictures.PICTURES` that lie beside the card; the others are not shown.
        ablation: From `read_reports`.
    """
    trained = training_data or ablation or pictures & {"training.png", "history.png"}
    parts = [
        f"# {spec.name}: measurements",
        f"Every table behind [the card]({FRONT}). `scores.json` has the same numbers; `lite-medsam card` measured them.",
        "## How good it is",
        *quality(record),
        "## How it depends on the prompt",
        picture("curves.png", pictures) or NO_PLOT,
        *prompting(record),
        "## How honest its score is",
        calibration(record),
        picture("reliability.png", pictures) or NO_PLOT,
        "## Known weaknesses",
        "\n".join(f"- {sentence}" for sentence in (*weaknesses(record), *LIMITS)),
        picture("failures.png", pictures),
        "## Training" if trained else "",
        picture("training.png", pictures),
        picture("history.png", pictures),
        ABLATION + ablation_table(ablation) if ablation else "",
        _training(training_data) if training_data else "",
    ]
    return {
        FRONT: front(spec, record, pictures, MEASUREMENTS),
        MEASUREMENTS: "\n\n".join(part for part in parts if part) + "\n",
    }


def _training(path: Path) -> str:
    with path.open(newline="", encoding="utf-8") as file:
        sources = [row for row in csv.DictReader(file) if int(row["training_files"])]
    rows = [[r["dataset"], r["modality"], r["targets"], r["training_files"], r["source_and_terms"]] for r in sources]
    text = (
        "Trained on the training split of these sets, split by group. Several are for research only or of unknown terms, so "
        "the weights are for research only. None of the images is part of this project.\n\n"
    )
    return text + table(["data set", "modality", "targets", "files", "source and terms as stated there"], rows)
