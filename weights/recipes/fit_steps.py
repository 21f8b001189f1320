"""Sets the steps of a recipe to what fits into so many minutes, from a run that was stopped early: used by on-gpu.sh.

python weights/recipes/fit_steps.py RECIPE RUN MINUTES
"""

import json
import sys
from pathlib import Path

import torch

SHARE = 0.95  # of the time, for what is not steps: reading, saving, slower moments


def steps_within(seconds: float, done: int, spent: float) -> int:
    """Steps in all, of which `done` took `spent` seconds."""
    return max(done + 1, int(SHARE * seconds / (spent / done)))


def main() -> None:
    recipe, run, minutes = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
    state = torch.load(run / "checkpoint.pt", map_location="cpu", weights_only=True)
    record = json.loads(recipe.read_text(encoding="utf-8"))
    record["train"]["steps"] = steps_within(60 * minutes, state["step"], state["seconds"])
    record["train"].pop("stop_after", None)
    recipe.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(f"{record['train']['steps']} steps in {minutes:g} minutes")


if __name__ == "__main__":
    main()
