"""Lays out the OCT cases of the training data for `lite-medsam baseline --curve`: train, val and test, divided by group.

Usage: python weights/recipes/specialists-oct.py DATA OUT
  DATA    folder with train/, val/ and index.csv (../shared/data)
  OUT     folder to write: cases/*.npz (links where the system has them, else copies) and split.json

What DATA holds as validation is the test part here: every contender is scored on it and sees nothing of it. What DATA holds for
training is divided by group (patient, eye) into train, from which the subsets are drawn, and val, by which weights are chosen.
"""

import csv
import sys
from pathlib import Path

from lite_medsam.cases.adapters.split import Entry, Split, make_split
from lite_medsam.cases.adapters.split_file import save_split

MODALITY = "OCT"
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


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
