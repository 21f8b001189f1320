"""Distillation: a small student learns to answer as a large teacher does."""

import copy
import csv
import dataclasses
import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from tqdm import tqdm

from lite_medsam.errors import WeightsError
from lite_medsam.learning.distillation.feature_loss import FeatureLoss
from lite_medsam.learning.distillation.settings import DistillSettings
from lite_medsam.learning.lessons.book import Lesson, LessonBook, decode_lessons
from lite_medsam.learning.lessons.views import Scene
from lite_medsam.learning.network.model import PromptedSegmenter
from lite_medsam.learning.training.loop import TrainSettings
from lite_medsam.learning.training.losses import SCORE_WEIGHT, mask_loss
from lite_medsam.learning.training.run_log import read_rows
from lite_medsam.learning.training.stepping import Stepper, make_fabric, read_checkpoint, write_checkpoint
from lite_medsam.storage.files import atomic_write

STATISTICS_LESSONS = 64
MEASURED_LESSONS = 48
LOG_EVERY = 50
LOG_COLUMNS = ("step", "loss", "feature_error", "angle", "mask_loss", "rate", "seconds")
# a run may be continued with other values of these
_MAY_CHANGE = ("steps", "checkpoint_every")


@dataclasses.dataclass(frozen=True)
class Measured:
    """How alike student and teacher are.

    Attributes:
        feature_error: Share of the variance of the teacher's features that the student does not explain, mean over views.
        agreement: Mean Dice between their masks for the same prompt, where the teacher's is not empty; NaN if all are.
        lessons: Views behind the numbers.
        held_out: Whether those views were kept from the student.
    """

    feature_error: float
    agreement: float
    lessons: int
    held_out: bool


class StudentAndLoss(nn.Module):
    """What learns: the student, and the projection from its features to the teacher's."""

    def __init__(self, student: PromptedSegmenter, feature_loss: FeatureLoss):
        super().__init__()
        self.student, self.feature_loss = student, feature_loss


class Distiller(Stepper):
    """A student, its optimiser and its averaged weights, advanced step by step.

    Making one asks the teacher for every lesson of the run that is not in the cache. Step n and all that is drawn for it
    depend on the seed and n alone, so a run that is continued from a checkpoint takes the same steps as one that was
    never interrupted.

    Args:
        student: The student, changed in place.
        book: The lessons.
        settings: How it learns.
        fabric: Device and precision; the CPU by default.
    """

    def __init__(
        self, student: PromptedSegmenter, book: LessonBook, settings: DistillSettings, fabric: Fabric | None = None
    ):
        if not book.scenes:
            raise ValueError("distillation needs at least one image, got none; check --cases")
        self.book, self.settings = book, settings
        self.learned, self.held_out = split_scenes(book.scenes, settings.held_out)
        drawn = list(dict.fromkeys(pair for n in range(settings.steps) for pair in self.draw(n)))
        for pair in tqdm(dict.fromkeys([*drawn, *self._measured()]), desc="teacher", unit="view"):
            book.lesson(*pair)
        sample = [book.lesson(*pair) for pair in drawn[:STATISTICS_LESSONS]]
        widths = student.spec.architecture.embedding_dim, sample[0].features.shape[0]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            feature_loss = FeatureLoss(*widths, settings.always_project)
        feature_loss.measure_statistics(sample)
        both = StudentAndLoss(student.to(memory_format=torch.channels_last), feature_loss)
        fabric = fabric or make_fabric(precision="bf16-mixed" if settings.bfloat16 else "32-true")
        super().__init__(both, _parameter_groups(both, settings), settings.clip_norm, settings.ema_decay, fabric)
        self._schedule = TrainSettings(
            steps=settings.steps, warmup_steps=settings.warmup_steps, cooldown=settings.cooldown
        )

    @property
    def student(self) -> PromptedSegmenter:
        """The student with the weights of the last step; the ones to keep are in the checkpoint's average."""
        return self.model.student

    def draw(self, number: int) -> list[tuple[int, int]]:
        """Image and view of each member of batch `number`; every modality comes as often as any other."""
        rng = np.random.default_rng([self.settings.seed, number, 2])
        by_modality: dict[str, list[int]] = {}
        for index in self.learned:
            by_modality.setdefault(self.book.scenes[index].modality, []).append(index)
        names, chosen = sorted(by_modality), []
        for _ in range(self.settings.batch_size):
            members = by_modality[names[rng.integers(len(names))]]
            view = int(rng.integers(self.settings.views.views_per_image))
            chosen.append((members[rng.integers(len(members))], view))
        return chosen

    def train(self, out: Path) -> None:
        """Runs up to settings.steps, writing `checkpoint.pt`, `settings.json` and `log.csv` under `out`.

        Raises:
            FloatingPointError: If the loss is not finite; the last checkpoint stays.
        """
        out.mkdir(parents=True, exist_ok=True)
        with atomic_write(out / "settings.json") as path:
            path.write_text(json.dumps(dataclasses.asdict(self.settings), indent=2) + "\n", encoding="utf-8")
        rows: list[list[object]] = [
            list(row.values()) for row in read_rows(out / "log.csv") if int(row["step"]) <= self.step
        ]
        self.model.train()
        bar = tqdm(total=self.settings.steps, initial=self.step, unit="step", desc="distil", smoothing=0.05)
        parts = []
        for lessons in self._batches():
            started = time.perf_counter()
            parts.append(self._advance(lessons))
            self.seconds += time.perf_counter() - started
            bar.update()
            last = self.step == self.settings.steps
            if self.step % LOG_EVERY == 0 or last:
                means = np.mean(parts, axis=0)
                bar.set_postfix(loss=f"{means[0]:.3f}", feature_error=f"{means[1]:.3f}")
                rate = self._schedule.rate(self.step - 1)
                rows.append([self.step, *(f"{mean:.5f}" for mean in means), f"{rate:.4f}", f"{self.seconds:.1f}"])
                parts = []
            if self.step % self.settings.checkpoint_every == 0 or last:
                _write_log(out / "log.csv", rows)
                self.save(out / "checkpoint.pt")
        bar.close()

    def measure(self) -> Measured:
        """Compares the averaged student with the teacher on views that it did not learn from, if there are any."""
        pair = copy.deepcopy(self.model).eval()
        pair.load_state_dict(self.average)
        errors, overlaps = [], []
        for place in self._measured():
            lesson = Lesson.batch([self.book.lesson(*place)]).to(self.fabric.device)
            with torch.inference_mode():
                features = pair.student.encode(lesson.pixels)
                errors.append(pair.feature_loss(features[0], lesson.features, lesson.valid)[0].item())
                logits, _ = decode_lessons(pair.student, features, lesson)
            mine, theirs = (logits[0] > 0) & lesson.valid, (lesson.logits[0] > 0) & lesson.valid
            sizes, shared = (mine.sum((1, 2)) + theirs.sum((1, 2))).tolist(), (mine & theirs).sum((1, 2)).tolist()
            asked = theirs.any(2).any(1).tolist()
            overlaps += [2 * s / size for s, size, real in zip(shared, sizes, asked, strict=True) if real]
        agreement = float(np.mean(overlaps)) if overlaps else float("nan")
        return Measured(float(np.mean(errors)), agreement, len(errors), bool(self.held_out))

    def save(self, path: Path) -> None:
        """Writes everything that continuing needs, atomically; `lite-medsam export` opens it."""
        state = self.state()
        parts = {name: _split(state[name]) for name in ("model", "average")}
        student = {name: part["student"] for name, part in parts.items()}
        feature_loss = {f"{name}_loss": part["feature_loss"] for name, part in parts.items()}
        identity = {"spec": self.student.spec.to_json(), "seed": self.settings.seed, **self._identity()}
        write_checkpoint(path, {**state, **student, **feature_loss, **identity})

    def resume(self, path: Path) -> None:
        """Continues from a checkpoint of the same student, teacher and settings; only the steps may differ.

        Raises:
            WeightsError: If it belongs to another run, or is damaged.
        """
        state = read_checkpoint(path, ("model", "average", "optimizer", "step", "seconds", "spec", "seed"))
        expected = {"spec": self.student.spec.to_json(), **self._identity()}
        other = [name for name, value in expected.items() if state.get(name) != value]
        if other:
            raise WeightsError(
                f"{path} must be a checkpoint of this run, but its {' and '.join(other)} differ; use them again or "
                "another --output"
            )
        joined = {name: _join(state[name], state[f"{name}_loss"]) for name in ("model", "average")}
        self.load_state({**state, **joined})

    def _identity(self) -> dict[str, str]:
        """What a run must share with the checkpoint that it continues from."""
        settings = dataclasses.asdict(self.settings)
        kept = {name: value for name, value in settings.items() if name not in _MAY_CHANGE}
        return {"teacher": self.book.teacher.sha256, "settings": json.dumps(kept)}

    def _measured(self) -> list[tuple[int, int]]:
        """The views that `measure` looks at: the whole of every image first, then further views."""
        indices = self.held_out or self.learned
        views = range(min(2, self.settings.views.views_per_image))
        return [(index, view) for view in views for index in indices][:MEASURED_LESSONS]

    def _batches(self) -> Iterator[list[Lesson]]:
        """The batches that are left; the next one is made in the background."""
        with ThreadPoolExecutor(1) as pool:
            upcoming = pool.submit(self._batch, self.step)
            for number in range(self.step, self.settings.steps):
                lessons = upcoming.result()
                if number + 1 < self.settings.steps:
                    upcoming = pool.submit(self._batch, number + 1)
                yield lessons

    def _batch(self, number: int) -> list[Lesson]:
        return [self.book.lesson(*place) for place in self.draw(number)]

    def _advance(self, lessons: list[Lesson]) -> tuple[float, ...]:
        """One optimiser step; returns the loss and its three parts."""
        torch.manual_seed(self.settings.seed * 1_000_003 + self.step)  # for students that drop out
        batch = Lesson.batch(lessons).to(self.fabric.device)
        parts: list[Tensor] = []

        def compute() -> Tensor:
            loss, *rest = self._loss(batch)
            parts.extend(part.detach() for part in rest)
            return loss

        loss = self.advance([compute], self._schedule.rate(self.step), batch.name)
        return loss, *(part.item() for part in parts)

    def _loss(self, batch: Lesson) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The loss; feature error, angle and loss of the masks, of which it is made."""
        settings = self.settings
        features = self.student.encode(batch.pixels.contiguous(memory_format=torch.channels_last))
        error, angle = self.model.feature_loss(features[0], batch.features, batch.valid)
        loss = error + settings.cosine_weight * angle
        if settings.logit_weight == 0:
            return loss, error, angle, torch.zeros_like(loss)
        logits, scores = decode_lessons(self.student, features, batch)
        # the teacher's certainty is part of the answer: its probabilities are the targets, as they are
        targets = torch.sigmoid(batch.logits.flatten(0, 1))
        valid = batch.valid.repeat_interleave(logits.shape[1], 0)
        masks = mask_loss(logits.flatten(0, 1), targets, valid).mean()
        confidence = nn.functional.mse_loss(scores, batch.scores)
        return loss + settings.logit_weight * (masks + SCORE_WEIGHT * confidence), error, angle, masks


def split_scenes(scenes: Sequence[Scene], share: float) -> tuple[list[int], list[int]]:
    """Indices to learn from and to measure on; a group (patient, volume) is never on both sides.

    Args:
        scenes: The images.
        share: Of the groups to measure on; at least one where there are five, none where there are fewer.
    """
    groups = sorted({s.group for s in scenes}, key=lambda group: hashlib.sha256(group.encode()).hexdigest())
    count = max(1, round(share * len(groups))) if share > 0 and len(groups) >= 5 else 0
    held_out = set(groups[:count])
    sides: tuple[list[int], list[int]] = ([], [])
    for index, scene in enumerate(scenes):
        sides[scene.group in held_out].append(index)
    return sides


def _split(state: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """A state of StudentAndLoss by part, so that a checkpoint's student is one like any other."""
    parts: dict[str, dict[str, Tensor]] = {"student": {}, "feature_loss": {}}
    for name, value in state.items():
        part, rest = name.split(".", 1)
        parts[part][rest] = value
    return parts


def _join(student: dict[str, Tensor], feature_loss: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"student.{k}": v for k, v in student.items()} | {f"feature_loss.{k}": v for k, v in feature_loss.items()}


def _parameter_groups(pair: StudentAndLoss, settings: DistillSettings) -> list[dict]:
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in pair.named_parameters():
        key = (name.startswith("student.image_encoder.backbone"), parameter.ndim >= 2)
        groups.setdefault(key, []).append(parameter)
    return [
        {
            "params": parameters,
            "base_rate": settings.learning_rate * (settings.backbone_rate if in_backbone else 1.0),
            "lr": 0.0,
            "weight_decay": settings.weight_decay if is_matrix else 0.0,
        }
        for (in_backbone, is_matrix), parameters in groups.items()
    ]


def _write_log(path: Path, rows: list[list]) -> None:
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([LOG_COLUMNS, *rows])
