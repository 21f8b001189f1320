"""The training loop: batches in, resumable checkpoints and averaged weights out."""

import dataclasses
import json
import math
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor
from tqdm import tqdm

from lite_medsam.errors import WeightsError
from lite_medsam.learning.data.dataset import Batch, BatchSource
from lite_medsam.learning.data.labelled_image import LabelledImage
from lite_medsam.learning.data.prompting import error_click
from lite_medsam.learning.data.sampling import Sampling
from lite_medsam.learning.data.workers import batches_from
from lite_medsam.learning.lessons.drawn import DrawnLessons
from lite_medsam.learning.network.model import PromptedSegmenter
from lite_medsam.learning.training.losses import lesson_loss, prompt_loss
from lite_medsam.learning.training.run_log import RunLog
from lite_medsam.learning.training.stepping import Stepper, make_fabric, read_checkpoint, write_checkpoint
from lite_medsam.learning.training.trainable import parameter_groups, set_modes
from lite_medsam.model.spec import ModelSpec
from lite_medsam.storage.files import atomic_write

CHECKPOINT_KEYS = ("spec", "average", "step")
KEPT = "kept"


@dataclass(frozen=True)
class TrainSettings:
    """Everything that decides a training run besides the data and the model.

    Attributes:
        steps: Optimiser steps in all.
        batch_size: Views per step.
        learning_rate: Of the neck and the decoder, after the warm-up.
        backbone_rate: Share of it for the backbone.
        weight_decay: AdamW's, for matrices and kernels; none for biases and normalisation.
        warmup_steps: Linear rise at the start.
        cooldown: Share of the steps at the end over which the rate falls to 2 %; constant before, so that a run can be
            lengthened or shortened while it is under way.
        clip_norm: Largest norm of the gradient.
        ema_decay: Averaging of the weights that are kept.
        second_round: Share of the mixed batches that get a click on the error with the previous mask, and of those that got
            one that get another.
        corrections: Most such clicks.
        seed: Of everything that is drawn.
        norm: "trained", or "frozen" for batch normalisation that keeps the statistics it started with.
        bfloat16: Compute in bfloat16 where it is safe (autocast).
        stop_after: End after so many steps all the same, the schedule unfinished; 0 for all steps.
        checkpoint_every: Steps between checkpoints.
        keep_every: Every so many steps, and at the end, the averaged weights are kept as `kept/checkpoint-<step>.pt`, for
            `lite-medsam history`; 0 for never.
        sampling: How samples are drawn.
    """

    steps: int = 6000
    batch_size: int = 8
    learning_rate: float = 1e-3
    backbone_rate: float = 0.3
    weight_decay: float = 0.01
    warmup_steps: int = 100
    cooldown: float = 0.3
    clip_norm: float = 1.0
    ema_decay: float = 0.998
    second_round: float = 0.6
    corrections: int = 1
    seed: int = 0
    norm: str = "trained"
    bfloat16: bool = False
    stop_after: int = 0
    checkpoint_every: int = 250
    keep_every: int = 0
    sampling: Sampling = field(default_factory=Sampling)

    def rate(self, step: int) -> float:
        """Factor of the learning rate at a step counted from 0: warm-up, constant, cosine to 0.02."""
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        start = self.steps * (1 - self.cooldown)
        if step < start:
            return 1.0
        progress = min(1.0, (step - start) / max(1.0, self.steps - start))
        return 0.02 + 0.98 * (1 + math.cos(math.pi * progress)) / 2


class Trainer(Stepper):
    """Training of a whole model on fresh views.

    Batch n and all that is drawn for it depend on the seed and n alone, so a run that is continued from a checkpoint
    takes the same steps as one that was never interrupted. With several processes each takes its share of the views.

    Args:
        model: The model, changed in place.
        images: What is learned from.
        settings: How.
        fabric: Device and processes; one CPU process by default.
        lessons: A teacher's answers to be kept in mind, None for labels alone.
        workers: Processes that make batches; 0 for a thread of this one.
    """

    def __init__(
        self,
        model: PromptedSegmenter,
        images: list[LabelledImage],
        settings: TrainSettings,
        fabric: Fabric | None = None,
        lessons: DrawnLessons | None = None,
        workers: int = 0,
    ):
        self.settings, self.lessons, self.workers = settings, lessons, workers
        self.source = BatchSource(
            images,
            model.spec.preprocessing,
            settings.sampling,
            settings.batch_size,
            settings.seed,
            model.spec.targets,
        )
        fabric = fabric or make_fabric(precision="bf16-mixed" if settings.bfloat16 else "32-true")
        model = model.to(memory_format=torch.channels_last)
        groups = parameter_groups(model, settings.learning_rate, settings.backbone_rate, settings.weight_decay)
        super().__init__(model, groups, settings.clip_norm, settings.ema_decay, fabric)

    def train(self, out: Path) -> None:
        """Runs up to settings.steps or settings.stop_after, writing `checkpoint.pt`, `settings.json` and `log.csv` under `out`.

        Raises:
            FloatingPointError: If the loss is not finite; the last checkpoint stays.
        """
        writes = self.fabric.is_global_zero
        if writes:
            out.mkdir(parents=True, exist_ok=True)
            with atomic_write(out / "settings.json") as path:
                path.write_text(json.dumps(dataclasses.asdict(self.settings), indent=2) + "\n", encoding="utf-8")
        set_modes(self.model.train(), self.settings.norm)
        end = min(self.settings.steps, self.settings.stop_after or self.settings.steps)
        bar = tqdm(total=end, initial=self.step, unit="step", desc="train", smoothing=0.05, disable=not writes)
        log, losses = RunLog(out, self.step) if writes else None, []
        for batch in batches_from(self.source, self.step, end, self.workers):
            started = time.perf_counter()
            losses.append(self._advance(batch))
            self.seconds += time.perf_counter() - started
            bar.update()
            if self.step % 50 == 0:
                mean = float(np.mean(losses))
                if log:
                    log.training(self.step, mean, self.settings.rate(self.step), self.seconds)
                bar.set_postfix(loss=f"{mean:.3f}")
                losses = []
            if writes and (self.step % self.settings.checkpoint_every == 0 or self.step == end):
                self.save(out / "checkpoint.pt")
            if writes and self.settings.keep_every and (self.step == end or self.step % self.settings.keep_every == 0):
                self.keep(out / KEPT / f"checkpoint-{self.step:06d}.pt")
        bar.close()
        if log:
            log.close()

    def _advance(self, batch: Batch) -> float:
        """One optimiser step; returns the loss."""
        if self.fabric.world_size > 1:
            batch = batch.share(self.fabric.global_rank, self.fabric.world_size)
        parts = [lambda: self._loss(batch)]
        if self.lessons is not None:
            parts.append(self._lesson_loss)
        return self.advance(parts, self.settings.rate(self.step))

    def _lesson_loss(self) -> Tensor:
        assert self.lessons is not None
        plan = self.lessons.plan
        lessons = self.lessons.batch(self.step).to(self.fabric.device)
        return plan.weight * lesson_loss(self.model, lessons, plan.sure)

    def _loss(self, batch: Batch) -> Tensor:
        batch = batch.to(self.fabric.device)
        features = self.model.encode(batch.pixels.contiguous(memory_format=torch.channels_last))
        boxes_only = batch.coords.shape[1] <= 3  # its corners, and a name
        logits, scores = self.model.decode(features, batch.coords, batch.labels, mask_tokens=1 if boxes_only else None)
        loss = prompt_loss(logits, scores, batch.targets, batch.valid, batch.ambiguous)
        rng = np.random.default_rng([self.settings.seed, self.step, 1])
        coords, labels, nobody = batch.coords, batch.labels, torch.zeros_like(batch.ambiguous)
        for _ in range(self.settings.corrections):
            if boxes_only or rng.random() >= self.settings.second_round:
                break
            # a click where the last answer is wrong, together with that answer
            answer = logits[:, 0].detach().float()
            truth, valid = batch.targets.cpu().numpy(), batch.valid.cpu().numpy()
            clicks, kinds = error_click(answer.cpu().numpy(), truth, valid, rng)
            coords = torch.cat([coords, torch.tensor(clicks).to(answer.device)], 1)
            labels = torch.cat([labels, torch.tensor(kinds).to(answer.device)], 1)
            # a previous mask may also come from a file: then there are two values instead of logits
            previous = torch.where(answer > 0, 6.0, -6.0) if rng.random() < 0.3 else answer.clamp(-12, 12)
            given = torch.ones(len(previous), device=answer.device)
            logits, scores = self.model.decode(features, coords, labels, previous.unsqueeze(1), given, mask_tokens=1)
            loss = loss + prompt_loss(logits, scores, batch.targets, batch.valid, nobody)
        return loss

    def save(self, path: Path) -> None:
        """Writes everything that continuing needs, atomically."""
        write_checkpoint(path, self.state() | {"spec": self.model.spec.to_json(), "seed": self.settings.seed})

    def keep(self, path: Path) -> None:
        """Writes what `load_averaged` reads, atomically: the averaged weights alone."""
        path.parent.mkdir(parents=True, exist_ok=True)
        state = {"spec": self.model.spec.to_json(), "average": self.average, "step": self.step}
        write_checkpoint(path, state)

    def resume(self, path: Path) -> None:
        """Continues from a checkpoint of the same model and seed.

        Raises:
            WeightsError: If it belongs to another model or seed.
        """
        state = read_checkpoint(path, CHECKPOINT_KEYS)
        if state["spec"] != self.model.spec.to_json() or state["seed"] != self.settings.seed:
            raise WeightsError(
                f"{path} must be a checkpoint of this model and seed; use another --out or the same settings"
            )
        self.load_state(state)


def load_averaged(path: Path) -> PromptedSegmenter:
    """The model of a checkpoint with its averaged weights, in evaluation mode.

    Raises:
        WeightsError: If the file is no checkpoint of a training run.
    """
    state = read_checkpoint(path, CHECKPOINT_KEYS)
    model = PromptedSegmenter(ModelSpec.from_json(state["spec"], origin=str(path)))
    model.load_state_dict(state["average"])
    return model.eval()


def new_model(spec: ModelSpec, seed: int) -> PromptedSegmenter:
    """A model with random weights that depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return PromptedSegmenter(spec)
