"""Lays out the OCT cases of the training data for `lite-medsam baseline --curve`, and puts its result on docs/oct.md.

Usage: python weights/recipes/specialists-oct.py DATA OUT
       python weights/recipes/specialists-oct.py --page OUT/curve
  DATA    folder with train/, val/ and index.csv (../shared/data)
  OUT     folder to write: cases/*.npz (links where the system has them, else copies) and split.json

What DATA holds as validation is the test part here: every contender is scored on it and sees nothing of it. What DATA holds for
training is divided by group (patient, eye) into train, from which the subsets are drawn, and val, by which weights are chosen.
"""

import csv
import json
import sys
from pathlib import Path

from lite_medsam.cases.adapters.split import Entry, Split, make_split
from lite_medsam.cases.adapters.split_file import save_split
from lite_medsam.learning.specialists.curve_chart import curve_table, draw_curve

MODALITY = "OCT"
MARKS = "<!-- specialists: made by weights/recipes/specialists-oct.sh -->", "<!-- specialists end -->"
SHARES = {"train": 0.9, "val": 0.1}


def main(data: Path, out: Path) -> None:
    with (data / "index.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["modality"] == MODALITY]
    by_side = {side: [row for row in rows if row["split"] == side] for side in ("train", "val")}
    names = {row["file"]: Path(row["file"]).stem for row in rows}
    # stratified by data set, which stands in for the labels here
    entries = [Entry(names[row["file"]], row["group"], labels=frozenset([row["dataset"]])) for row in by_side["train"]]
    divided = make_split(entries, SHARES, seed=0)
    parts = {**divided.parts, "test": tuple(sorted(names[row["file"]] for row in by_side["val"]))}
    groups = {names[row["file"]]: row["group"] for row in rows}
    save_split(out / "split.json", Split(parts, groups, seed=0, fractions=SHARES))
    folder = out / "cases"
    folder.mkdir(parents=True, exist_ok=True)
    for row in rows:
        source, there = data / row["file"], folder / Path(row["file"]).name
        if there.exists():
            continue
        try:
            there.symlink_to(source.resolve())
        except OSError:
            there.write_bytes(source.read_bytes())
    print(", ".join(f"{part}: {len(members)} cases" for part, members in parts.items()))


def update_page(curve: Path) -> None:
    """Copies curve.json and curve.png to docs/, and writes the table between the two marks on docs/oct.md."""
    docs = Path(__file__).parents[2] / "docs"
    document = json.loads((curve / "curve.json").read_text(encoding="utf-8"))
    (docs / "oct-specialists.json").write_bytes((curve / "curve.json").read_bytes())
    draw_curve(document, docs / "oct-specialists.png")
    lines = [curve_table(document, markdown=True)]
    if document["left"]:
        lines += ["", f"Not measured yet: {', '.join(document['left'])}."]
    page = docs / "oct.md"
    head, rest = page.read_text(encoding="utf-8").split(MARKS[0])
    tail = rest.split(MARKS[1])[1]
    text = "\n".join([MARKS[0], "", *lines, "", MARKS[1]])
    page.write_text(head + text + tail, encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    if sys.argv[1] == "--page":
        update_page(Path(sys.argv[2]))
    else:
        main(Path(sys.argv[1]), Path(sys.argv[2]))
