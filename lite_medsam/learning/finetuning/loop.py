"""Fine-tuning: the steps on prompted views, their validation, and how a run is continued bit by bit."""

import math
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.utils.checkpoint import checkpoint
from tqdm import tqdm

from lite_medsam.errors import WeightsError
from lite_medsam.learning.finetuning.prompt_batch import PromptBatch, PromptSource, correct
from lite_medsam.learning.finetuning.settings import FinetuneSettings
from lite_medsam.learning.network.checkpoint import Segmenter
from lite_medsam.learning.training.losses import make_mask_loss, prompt_loss
from lite_medsam.learning.training.run_log import RunLog
from lite_medsam.learning.training.stepping import Stepper, read_checkpoint, write_checkpoint
from lite_medsam.learning.training.trainable import (
    checkpoint_activations,
    parameter_groups,
    select_parameters,
    set_modes,
)
from lite_medsam.learning.training.validation import Validator, means
from lite_medsam.model.spec import OWN_FAMILY

CHECKPOINT, BEST = "checkpoint.pt", "best.pt"
LOG_EVERY = 10
# the number of steps that fit into the time given is decided after so many, the first of which are slow
PROBE_STEPS, SLOW_STEPS = 10, 2
VALIDATIONS, FEWEST_VALIDATIONS = 10, 3
VALIDATION_SHARE = 0.25  # of the time, at most, unless even the fewest take longer
FLOOR = 0.02


class FineTuner(Stepper):
    """The optimiser steps of a fine-tuning run.

    What is drawn for step n depends on the seed and n alone, so there is no other random state to keep.

    Args:
        model: The starting weights.
        settings: Of the run.
        fabric: Device, precision and processes.
    """

    def __init__(self, model: Segmenter, settings: FinetuneSettings, fabric: Fabric):
        select_parameters(model, settings.train)
        if settings.preset().checkpointing:
            checkpoint_activations(model)
        groups = parameter_groups(model, settings.learning_rate, settings.backbone_rate, settings.weight_decay)
        shared = settings.norm == "trained" and settings.train != "decoder"
        super().__init__(model, groups, settings.clip_norm, settings.ema_decay, fabric, shared)
        set_modes(model, settings.norm)
        self.settings = settings
        self.total = settings.steps
        self.mask_loss = make_mask_loss(settings.loss, settings.pixel_weight)
        self.draws_one = model.spec.architecture.family == OWN_FAMILY

    def rate(self, step: int) -> float:
        """Factor of the learning rate at a step counted from 0: a linear rise, then a cosine down to 2 %."""
        rise = min(self.settings.warmup_steps, max(1, self.total // 4)) if self.total else self.settings.warmup_steps
        if step < rise:
            return (step + 1) / rise
        if not self.total:
            return 1.0
        progress = min(1.0, (step - rise) / max(1, self.total - rise))
        return FLOOR + (1 - FLOOR) * (1 + math.cos(math.pi * progress)) / 2

    def train_step(self, parts: list[PromptBatch]) -> float:
        """One optimiser step on this process's parts of a batch; returns the loss over all processes."""
        views = sum(len(part) for part in parts)
        names = ", ".join(name for part in parts for name in part.names)
        return self.advance(
            [partial(self._loss, part, len(part) / views) for part in parts], self.rate(self.step), names
        )

    def _loss(self, batch: PromptBatch, share: float) -> Tensor:
        """Loss of a part of the batch; a mean over views, so that parts add up to the loss of the whole."""
        batch = batch.to(self.fabric.device)
        features = batch.features
        if features is None:
            assert batch.pixels is not None  # a batch has one or the other
            features = self.model.encode(batch.pixels.contiguous(memory_format=torch.channels_last))
        loss = torch.zeros((), device=self.fabric.device)
        for tokens, members in batch.groups():
            loss = loss + self._group_loss(batch, features, members, tokens) * (len(members) / len(batch))
        return loss * share

    def _group_loss(self, batch: PromptBatch, features: tuple[Tensor, ...], members: Tensor, tokens: int) -> Tensor:
        """Loss of views whose prompts have equally many tokens: of the first answers, and of those after each correction."""
        features = tuple(feature[members] for feature in features)
        coords, labels = (batch.of_views(x, members)[:, :tokens] for x in (batch.coords, batch.labels))
        targets, valid, ambiguous = (batch.of_views(x, members) for x in (batch.targets, batch.valid, batch.ambiguous))
        logits, scores = self._decode(features, coords, labels, None, not bool(ambiguous.any()))
        loss = self._prompt_loss(logits, scores, targets, valid, ambiguous)
        nobody = torch.zeros_like(ambiguous)
        stride = self.model.spec.preprocessing.mask_stride
        for turn in range(self._turns() if bool(batch.corrects[members[0]]) else 0):
            answers = logits[:, 0]
            click, kind, previous = correct(answers, batch, members, self.step, turn, self.settings.seed, stride)
            coords, labels = torch.cat([coords, click], 1), torch.cat([labels, kind], 1)
            logits, scores = self._decode(features, coords, labels, previous, True)
            loss = loss + self._prompt_loss(logits[:, :1], scores[:, :1], targets, valid, nobody)
        return loss

    def _turns(self) -> int:
        """Corrections in this step, the same for all processes and parts."""
        rng = np.random.default_rng([self.settings.seed, self.step, 0, 0])  # corrections end in 1 and more
        return int(rng.integers(self.settings.rounds + 1))

    def _decode(self, features, coords: Tensor, labels: Tensor, previous: Tensor | None, first_only: bool):
        has_previous = None if previous is None else torch.ones(len(coords), device=coords.device)
        options = {"mask_tokens": 1 if first_only else None} if self.draws_one else {}

        def run(*parts: Tensor) -> tuple[Tensor, Tensor]:
            return self.model.decode(parts, coords, labels, previous, has_previous, **options)

        if self.settings.preset().checkpointing:
            return checkpoint(run, *features, use_reentrant=False)
        return run(*features)

    def _prompt_loss(self, logits, scores, targets, valid, ambiguous) -> Tensor:
        weight = self.settings.score_weight
        return prompt_loss(logits, scores, targets, valid, ambiguous, self.mask_loss, weight)


class FinetuneLoop:
    """A run from its first step, or where it was cut, to its last: steps, validations, checkpoints, early stopping.

    Args:
        tuner: Takes the steps.
        source: Gives the batches of this process.
        validator: Scores weights; only the first process uses it.
        out: Folder of the run.
        identity: What a checkpoint must agree on to be continued: hashes of weights, data and split.
    """

    def __init__(
        self, tuner: FineTuner, source: PromptSource, validator: Validator | None, out: Path, identity: dict[str, str]
    ):
        self.tuner, self.source, self.validator, self.out, self.identity = tuner, source, validator, out, identity
        self.fabric, self.settings = tuner.fabric, tuner.settings
        self.best, self.best_step, self.stale = -1.0, 0, 0
        self.stopped = False
        self.losses: list[float] = []  # since the last line of the log
        self.validations = VALIDATIONS
        self.validation_seconds = 0.0  # of the last one
        self.log: RunLog | None = None

    def resume(self) -> bool:
        """Continues from the folder's checkpoint; False if there is none yet.

        Raises:
            WeightsError: If it belongs to another run.
        """
        path = self.out / CHECKPOINT
        if not path.exists():
            return False
        state = read_checkpoint(path, ("finetune", "average", "step"))
        extra = state["finetune"]
        for name, value in self.identity.items():
            if extra["identity"].get(name) != value:
                raise WeightsError(f"{path} must belong to the same {name}; use another --output for a new run")
        self.tuner.load_state(state)
        self.tuner.total = extra["total"]
        self.best, self.best_step, self.stale = extra["best"], extra["best_step"], extra["stale"]
        self.stopped, self.validation_seconds = extra["stopped"], extra["validation_seconds"]
        self.validations = extra["validations"]
        self.losses = list(extra["losses"])
        return True

    def run(self) -> None:
        """Trains to the end.

        Raises:
            FloatingPointError: If the loss is not finite; the last checkpoint stays.
        """
        if self.fabric.is_global_zero:
            self.log = RunLog(self.out, self.tuner.step)
        if self.best < 0:
            self._validate()
        bar = tqdm(total=self.tuner.total or None, initial=self.tuner.step, unit="step", desc="finetune",
                   disable=not self.fabric.is_global_zero)  # fmt: skip
        try:
            self._steps(bar)
        finally:
            bar.close()
            if self.log:
                self.log.close()

    def _steps(self, bar: tqdm) -> None:
        tuner, times = self.tuner, []
        for parts in self._batches():
            if self.stopped or (tuner.total and tuner.step >= tuner.total):
                break
            started = time.perf_counter()
            self.losses.append(tuner.train_step(parts))
            times.append(time.perf_counter() - started)
            tuner.seconds += times[-1]
            bar.update()
            if tuner.step % LOG_EVERY == 0 or tuner.step == tuner.total:
                mean = sum(self.losses) / len(self.losses)
                bar.set_postfix(loss=f"{mean:.3f}", dice=f"{self.best:.3f}")
                if self.log:
                    self.log.training(tuner.step, mean, tuner.rate(tuner.step), tuner.seconds)
                self.losses = []
            if not tuner.total and len(times) == PROBE_STEPS:
                bar.total = self._decide_total(times)
                self._save()
            if tuner.total and (tuner.step % self._interval() == 0 or tuner.step == tuner.total):
                self._validate()
            elif tuner.step % self.settings.checkpoint_every == 0:
                self._save()

    def _batches(self) -> Iterable[list[PromptBatch]]:
        return self.source.from_step(self.tuner.step)

    def _interval(self) -> int:
        return self.settings.validate_every or max(1, self.tuner.total // self.validations)

    def _decide_total(self, times: list[float]) -> int:
        """Fixes the numbers of steps and validations by the time that the first ones took; all processes follow the first."""
        budget, each = self.settings.minutes * 60, max(self.validation_seconds, 1e-3)
        fitting = int(VALIDATION_SHARE * budget / each)
        validations = min(VALIDATIONS, max(FEWEST_VALIDATIONS, fitting))
        per_step = sum(times[SLOW_STEPS:]) / len(times[SLOW_STEPS:])
        # where validations are slow the training still gets half of the time
        seconds = max(budget - validations * each - sum(times), budget / 2)
        decided = self.tuner.step + max(PROBE_STEPS, int(seconds / per_step)), validations
        if self.fabric.world_size > 1:
            decided = self.fabric.broadcast(decided)
        self.tuner.total, self.validations = map(int, decided)
        return self.tuner.total

    def _validate(self) -> None:
        """Scores the averaged weights, keeps them if they are the best, and ends the run if they have not been for long."""
        scores = {}
        if self.fabric.is_global_zero:
            assert self.validator is not None  # the first process has one
            started = time.perf_counter()
            scores = means(self.validator.evaluate(self.tuner.average))
            self.validation_seconds = time.perf_counter() - started
        if self.fabric.world_size > 1:
            scores = self.fabric.broadcast(scores)
        better = scores["dice"] > self.best
        if better:
            self.best, self.best_step, self.stale = scores["dice"], self.tuner.step, 0
        else:
            self.stale += 1
        self.stopped = bool(self.settings.patience) and self.stale >= self.settings.patience
        if self.log:
            self.log.validation(self.tuner.step, scores, better, self.tuner.seconds)
            if better:  # before the checkpoint: a kill in between leaves weights that the continued run writes again
                average = {name: value.cpu() for name, value in self.tuner.average.items()}
                write_checkpoint(self.out / BEST, {"average": average, "step": self.tuner.step, "dice": self.best})
        self._save()

    def _save(self) -> None:
        if not self.fabric.is_global_zero:
            return
        extra = {
            "identity": self.identity,
            "total": self.tuner.total,
            "best": self.best,
            "best_step": self.best_step,
            "stale": self.stale,
            "stopped": self.stopped,
            "losses": self.losses,
            "validations": self.validations,
            "validation_seconds": self.validation_seconds,
        }
        state = self.tuner.state() | {
            "spec": self.tuner.model.spec.to_json(), "seed": self.settings.seed, "finetune": extra,
        }  # fmt: skip
        write_checkpoint(self.out / CHECKPOINT, state)
