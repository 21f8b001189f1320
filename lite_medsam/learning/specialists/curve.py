"""Specialists and the fine-tuned promptable model on the same images, for several numbers of them.

Every contender is trained on the same nested subsets of the train part, chooses its weights on the same val part, and is scored
through the same evaluation on the same boxes of the test part, which none of them sees before.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lite_medsam.cases.adapters.split import Split
from lite_medsam.cases.adapters.split_file import load_split, save_split
from lite_medsam.cases.fields import dataset_from_name
from lite_medsam.errors import CaseError
from lite_medsam.evaluation.baselines import BaselineSegmenter
from lite_medsam.evaluation.evaluate import evaluate
from lite_medsam.evaluation.score_tables import to_json
from lite_medsam.evaluation.scores import average, interval
from lite_medsam.evaluation.specialist import NETWORKS, SpecialistSegmenter
from lite_medsam.learning.finetuning.data import SPLIT
from lite_medsam.learning.finetuning.run import finetune
from lite_medsam.learning.finetuning.settings import FinetuneSettings
from lite_medsam.learning.specialists.run import train_specialist
from lite_medsam.learning.specialists.settings import SpecialistSettings
from lite_medsam.prompts.prompt_set import load_protocol
from lite_medsam.prompts.simulated_user import Segmenter
from lite_medsam.segment.predictor import Predictor
from lite_medsam.storage.files import atomic_write

MEASURES = ("dice", "iou", "surface_dice")
FINETUNED, BUNDLED, ELLIPSE = "fine-tuned", "as it comes", "ellipse"
Say = Callable[[str], None]


class Curve:
    """The runs of a learning curve in a folder; each leaves a result file, so that it can be cut and continued.

    Args:
        cases: Folder of the labelled npz cases of all three parts.
        split: split.json with the parts train, val and test.
        out: Folder of the runs and of curve.json.
        sizes: Numbers of training images, in the order in which they are run.
        settings: Of the specialists, all NETWORKS in turn; the fine-tuning has the same steps, views and boxes.
        longer: The U-Net once more on the largest number of images, with so many times the steps: is the budget the limit?
            1 for not.
        weights: Model directory that is fine-tuned; None for the bundled one. What it was trained on counts: images that it has
            seen already teach it nothing, and its scores as it comes are no test of few images.

    Raises:
        CaseError: If the split lacks a part or as many training images.
    """

    def __init__(
        self,
        cases: Path,
        split: Path,
        out: Path,
        sizes: Sequence[int],
        settings: SpecialistSettings,
        longer: int = 1,
        weights: Path | None = None,
    ):
        self.weights = weights
        self.cases, self.split, self.out = cases, load_split(split), out
        self.settings, self.tuning, self.sizes = settings, tuning_settings(settings), list(dict.fromkeys(sizes))
        missing = [part for part in ("train", "val", "test") if not self.split.parts.get(part)]
        if missing:
            raise CaseError(f"{split} must have the parts train, val and test, lacks {', '.join(missing)}")
        most = len(self.split.parts["train"])
        if not self.sizes or min(self.sizes) < 1 or max(self.sizes) > most:
            raise CaseError(f"the numbers of training images must lie in 1..{most}, got {list(sizes)}")
        self.jobs = [(BUNDLED, 0, 1), (ELLIPSE, 0, 1)]
        self.jobs += [(method, size, 1) for method in NETWORKS for size in self.sizes]
        if longer > 1:
            self.jobs.append((NETWORKS[0], max(self.sizes), longer))
        self.jobs += [(FINETUNED, size, 1) for size in self.sizes]

    def run(self, pieces: int = 0, say: Say = lambda text: None) -> dict[str, Any]:
        """Does what is not done yet, at most so many trainings (0: all), and writes curve.json after each.

        Returns:
            The content of curve.json; its "left" names what is still to do.
        """
        left = pieces or len(self.jobs)
        for job in self.jobs:
            path = self.out / "results" / f"{_name(*job)}.json"
            if path.is_file():
                continue
            if not left:
                break
            say(f"{_name(*job)}")
            result = self._job(*job, say)
            with atomic_write(path) as temporary:
                temporary.write_text(to_json(result) + "\n", encoding="utf-8")
            left -= job[1] > 0
            self._write()
        return self._write()

    def _job(self, method: str, size: int, times: int, say: Say) -> dict[str, Any]:
        folder = self.out / _name(method, size, times)
        started = time.process_time()
        record: dict[str, Any] = {"method": method, "images": size}
        if method == ELLIPSE:
            segmenter: Segmenter = BaselineSegmenter("ellipse")
        elif method == BUNDLED:
            segmenter = predictor = Predictor.open(self.weights, "onnxruntime")
            record["model"] = predictor.spec.name
        else:
            subset = self._subset(size)
            cases = self.out / "cases" / str(size)
            _link(self.cases, cases, [*subset.parts["train"], *subset.parts["val"]])
            save_split(cases / SPLIT, subset)
            if method == FINETUNED:
                tuned = finetune(
                    cases, folder, self.tuning, self.weights, resume=True, cache=self.out / "features", say=say
                )
                assert tuned is not None  # one process
                segmenter = Predictor.open(tuned.model, "onnxruntime")
                record |= {"steps": tuned.steps, "best_step": tuned.best_step}
            else:
                settings = replace(
                    self.settings,
                    network=method,
                    steps=times * self.settings.steps,
                    minutes=times * self.settings.minutes,
                )
                trained = train_specialist(cases, folder, settings, resume=True, say=say)
                segmenter = SpecialistSegmenter.open(trained.model)
                record |= {"steps": trained.steps, "best_step": trained.best_step}
            record["cpu_seconds"] = round(time.process_time() - started)  # less than all where the run was cut
        return record | self._scores(segmenter)

    def _scores(self, segmenter: Segmenter) -> dict[str, Any]:
        paths = _paths(self.cases, self.split.parts["test"])
        groups = dict(self.split.groups)
        result = evaluate(segmenter, paths, load_protocol(self.settings.protocol), groups=groups)
        low, high = interval(result.rows, "dice")
        scores: dict[str, Any] = {name: average(result.rows, name) for name in MEASURES}
        scores |= {"dice_low": low, "dice_high": high}
        for dataset in sorted({row["dataset"] for row in result.rows}):
            rows = [row for row in result.rows if row["dataset"] == dataset]
            scores[f"dice {dataset}"] = average(rows, "dice")
        counts = {"test_images": len({row["image"] for row in result.rows}), "test_objects": len(result.rows)}
        return scores | counts

    def _subset(self, size: int) -> Split:
        """The split with so many training images; smaller subsets are part of larger ones, data sets in proportion."""
        names = sorted(self.split.parts["train"])
        rng = np.random.default_rng(self.settings.seed)
        drawn = [names[i] for i in rng.permutation(len(names))]
        by_set: dict[str, list[str]] = {}
        for name in drawn:
            by_set.setdefault(dataset_from_name(name), []).append(name)
        place = {
            name: ((rank + 0.5) / len(members), name)
            for members in by_set.values()
            for rank, name in enumerate(members)
        }
        chosen = sorted(sorted(names, key=place.__getitem__)[:size])
        kept = {"train": tuple(chosen), "val": self.split.parts["val"]}
        groups = {name: self.split.groups[name] for part in kept.values() for name in part}
        return Split(kept, groups, seed=self.settings.seed)

    def _write(self) -> dict[str, Any]:
        files = {_name(*job): self.out / "results" / f"{_name(*job)}.json" for job in self.jobs}
        done = [json.loads(path.read_text(encoding="utf-8")) for path in files.values() if path.is_file()]
        document = {
            "split": self.split.sha256,
            "images": {part: len(names) for part, names in sorted(self.split.parts.items())},
            "groups": {
                part: len({self.split.groups[name] for name in names})
                for part, names in sorted(self.split.parts.items())
            },
            "specialists": _changed(self.settings, SpecialistSettings()),
            "fine-tuning": _changed(self.tuning, FinetuneSettings()),
            "results": done,
            "left": [name for name, path in files.items() if not path.is_file()],
        }
        with atomic_write(self.out / "curve.json") as path:
            path.write_text(to_json(document) + "\n", encoding="utf-8")
        return document


def tuning_settings(settings: SpecialistSettings) -> FinetuneSettings:
    """Fine-tuning with the budget of the specialists: as many steps (or minutes), views, objects and boxes."""
    each = max(1, settings.steps // settings.validations)
    return FinetuneSettings(
        protocols=(settings.protocol,),
        validation_protocol=settings.protocol,
        steps=settings.steps,
        minutes=settings.minutes,
        batch_size=settings.batch_size,
        objects_per_image=1,
        validate_every=each if settings.steps else 0,
        validation_cases=settings.validation_cases,
        report_cases=1,  # the curve scores all contenders itself
        slices_per_volume=settings.slices_per_volume,
        modality=settings.modality,
        seed=settings.seed,
        accelerator=settings.accelerator,
    )


def _name(method: str, size: int, times: int) -> str:
    return f"{method.replace(' ', '-')}-{size}" + (f"-x{times}" if times > 1 else "")


def _changed(settings: Any, default: Any) -> dict[str, Any]:
    """What differs from the default settings."""
    return {name: value for name, value in vars(settings).items() if value != getattr(default, name)}


def _paths(folder: Path, names: Sequence[str]) -> list[Path]:
    known = {path.stem: path for path in sorted(folder.rglob("*.npz"))}
    missing = [name for name in names if name not in known]
    if missing:
        raise CaseError(f"{folder} must hold every case of the split, lacks {len(missing)}, such as {missing[0]}")
    return [known[name] for name in names]


def _link(source: Path, folder: Path, names: Sequence[str]) -> None:
    """The named cases in a folder of their own, as links, or copied where links cannot be made."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in _paths(source, names):
        there = folder / path.name
        if there.exists():
            continue
        try:
            there.symlink_to(path.resolve())
        except OSError:
            there.write_bytes(path.read_bytes())
