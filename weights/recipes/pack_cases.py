"""Packs the training cases of a recipe into a small folder, to be sent to a machine with a GPU: used by on-gpu.sh.

    python weights/recipes/pack_cases.py RECIPE CASES START OUT [--longest 384] [--batch 64]

OUT gets `cases/` (volumes as the labelled slices that training draws from, pictures with their longer side brought down to so
many pixels), the starting weights, and `recipe.json`: the recipe with larger batches, and without the hashes of the pictures,
which these no longer have. Only cases of the recipe's training part are taken; another one is an error.
"""

import argparse
import dataclasses
import json
import math
import shutil
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from lite_medsam.cases.adapters.split_file import load_split
from lite_medsam.cases.case import Case, load_case, save_case, slices
from lite_medsam.learning.training.recipe import load_recipe, training_part

MOST_MIB = 60.0


def shrunk(case: Case, longest: int) -> Case:
    """A picture with its longer side at most so long; labels by nearest neighbour."""
    height, width = case.image.shape[:2]
    if max(height, width) <= longest:
        return case
    size = tuple(max(1, round(n * longest / max(height, width))) for n in (width, height))
    image = cv2.resize(case.image, size, interpolation=cv2.INTER_AREA)
    label = cv2.resize(case.label, size, interpolation=cv2.INTER_NEAREST)
    return dataclasses.replace(case, image=image, label=label, boxes=None, spacing_mm=None)


def pack(recipe_path: Path, cases: Path, start: Path, out: Path, longest: int, batch: int) -> float:
    """Packs; returns the MiB of it all.

    Raises:
        CaseError: If a case is not of the recipe's training part.
    """
    recipe = load_recipe(recipe_path)
    check = training_part(load_split(recipe.split)) if recipe.split else None
    (out / "cases").mkdir(parents=True)
    for path in tqdm(sorted(cases.rglob("*.npz")), unit="case"):
        case = load_case(path)
        if case.label is None:
            continue
        if check is not None:
            check(case)
        for flat in slices(case, recipe.train.sampling.slices_per_volume) if case.is_volume else [case]:
            small = shrunk(flat, longest)
            save_case(out / "cases" / f"{small.name}.npz", small)
    for name in {recipe.start, recipe.teacher} - {""}:
        if (start / name).is_file():
            shutil.copy(start / name, out / name)
    record = json.loads(recipe_path.read_text(encoding="utf-8"))
    record["split"] = ""
    record["train"] |= {
        "batch_size": batch,
        # the usual rule for AdamW: the rate grows with the root of the batch
        "learning_rate": recipe.train.learning_rate * math.sqrt(batch / recipe.train.batch_size),
        "checkpoint_every": 500,
        "keep_every": 0,
    }
    if recipe.teacher:
        record["lessons"]["per_step"] = round(recipe.lessons.per_step * batch / recipe.train.batch_size)
    (out / "recipe.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return float(np.sum([path.stat().st_size for path in out.rglob("*") if path.is_file()])) / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description="Packs a recipe's training cases.")
    for name in ("recipe", "cases", "start", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--longest", type=int, default=384)
    parser.add_argument("--batch", type=int, default=64)
    given = parser.parse_args()
    size = pack(given.recipe, given.cases, given.start, given.out, given.longest, given.batch)
    print(f"{size:.1f} MiB in {given.out}")
    if size > MOST_MIB:
        raise SystemExit(f"{size:.1f} MiB are more than {MOST_MIB:.0f}; use a smaller --longest than {given.longest}")


if __name__ == "__main__":
    main()
