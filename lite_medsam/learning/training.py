"""The training loop: batches in, resumable checkpoints and averaged weights out."""

import csv
import dataclasses
import json
import math
import pickle
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from lite_medsam.errors import WeightsError
from lite_medsam.files import atomic_write
from lite_medsam.learning.dataset import Batch, BatchSource, LabelledImage, Sampling, error_click
from lite_medsam.learning.losses import prompt_loss
from lite_medsam.learning.model import PromptedSegmenter
from lite_medsam.spec import ModelSpec


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
        second_round: Share of the mixed batches that get a click on the error with the previous mask.
        seed: Of everything that is drawn.
        bfloat16: Compute in bfloat16 where it is safe (autocast).
        checkpoint_every: Steps between checkpoints.
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
    seed: int = 0
    bfloat16: bool = False
    checkpoint_every: int = 250
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


class Trainer:
    """A model, its optimiser and its averaged weights, advanced step by step.

    Batch n and all that is drawn for it depend on the seed and n alone, so a run that is continued from a checkpoint
    takes the same steps as one that was never interrupted.
    """

    def __init__(self, model: PromptedSegmenter, images: list[LabelledImage], settings: TrainSettings):
        self.model, self.settings = model.to(memory_format=torch.channels_last), settings
        self.source = BatchSource(
            images, model.spec.preprocessing, settings.sampling, settings.batch_size, settings.seed
        )
        self.optimizer = torch.optim.AdamW(_parameter_groups(model, settings), betas=(0.9, 0.98))
        self.average = {k: v.detach().clone() for k, v in model.state_dict().items()}
        self.step = 0
        self.seconds = 0.0

    def train(self, out: Path) -> None:
        """Runs up to settings.steps, writing `checkpoint.pt`, `settings.json` and `log.csv` under `out`.

        Raises:
            FloatingPointError: If the loss is not finite; the last checkpoint stays.
        """
        out.mkdir(parents=True, exist_ok=True)
        with atomic_write(out / "settings.json") as path:
            path.write_text(json.dumps(dataclasses.asdict(self.settings), indent=2) + "\n", encoding="utf-8")
        self.model.train()
        bar = tqdm(total=self.settings.steps, initial=self.step, unit="step", desc="train", smoothing=0.05)
        rows, losses = [], []
        for batch in self.source.from_number(self.step):
            if self.step >= self.settings.steps:
                break
            started = time.perf_counter()
            losses.append(self._advance(batch))
            self.seconds += time.perf_counter() - started
            bar.update()
            if self.step % 50 == 0:
                mean = float(np.mean(losses))
                rows.append([self.step, f"{mean:.5f}", f"{self.settings.rate(self.step):.4f}", f"{self.seconds:.1f}"])
                bar.set_postfix(loss=f"{mean:.3f}")
                losses = []
            if self.step % self.settings.checkpoint_every == 0 or self.step == self.settings.steps:
                self.save(out / "checkpoint.pt")
                _append_log(out / "log.csv", rows)
                rows = []
        bar.close()

    def _advance(self, batch: Batch) -> float:
        """One optimiser step; returns the loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = group["base_rate"] * self.settings.rate(self.step)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.settings.bfloat16):
            loss = self._loss(batch)
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f"the loss of batch {self.step} must be finite, got {loss.item()}; continue from the last checkpoint "
                "with a lower --learning-rate"
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip_norm)
        self.optimizer.step()
        self.step += 1
        self._update_average()
        return loss.item()

    def _loss(self, batch: Batch) -> Tensor:
        features = self.model.encode(batch.pixels.contiguous(memory_format=torch.channels_last))
        boxes_only = batch.coords.shape[1] == 2
        logits, scores = self.model.decode(
            features, batch.coords, batch.labels, mask_tokens=1 if boxes_only else None
        )
        loss = prompt_loss(logits, scores, batch.targets, batch.valid, batch.ambiguous)
        rng = np.random.default_rng([self.settings.seed, self.step, 1])
        if boxes_only or rng.random() >= self.settings.second_round:
            return loss
        # a click where the first answer is wrong, together with that answer
        answer = logits[:, 0].detach().float()
        clicks, kinds = error_click(answer.numpy(), batch.targets.numpy(), batch.valid.numpy(), rng)
        # a previous mask may also come from a file: then there are two values instead of logits
        previous = torch.where(answer > 0, 6.0, -6.0) if rng.random() < 0.3 else answer.clamp(-12, 12)
        refined, refined_scores = self.model.decode(
            features,
            torch.cat([batch.coords, torch.from_numpy(clicks)], 1),
            torch.cat([batch.labels, torch.from_numpy(kinds)], 1),
            previous.unsqueeze(1),
            torch.ones(len(previous)),
            mask_tokens=1,
        )
        nobody = torch.zeros_like(batch.ambiguous)
        return loss + prompt_loss(refined, refined_scores, batch.targets, batch.valid, nobody)

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(self.settings.ema_decay, (1 + self.step) / (10 + self.step))
        for name, value in self.model.state_dict().items():
            average = self.average[name]
            if average.is_floating_point():
                average.lerp_(value, 1 - decay)
            else:
                average.copy_(value)

    def save(self, path: Path) -> None:
        """Writes everything that continuing needs, atomically."""
        state = {
            "model": self.model.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "spec": self.model.spec.to_json(),
            "seed": self.settings.seed,
        }
        with atomic_write(path) as temporary:
            torch.save(state, temporary)

    def resume(self, path: Path) -> None:
        """Continues from a checkpoint of the same model and seed.

        Raises:
            WeightsError: If it belongs to another model or seed.
        """
        state = _read_checkpoint(path)
        if state["spec"] != self.model.spec.to_json() or state["seed"] != self.settings.seed:
            raise WeightsError(f"{path} must be a checkpoint of this model and seed; use another --out or the same settings")
        self.model.load_state_dict(state["model"])
        self.average = state["average"]
        rates = [group["base_rate"] for group in self.optimizer.param_groups]
        self.optimizer.load_state_dict(state["optimizer"])
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["base_rate"] = rate
        self.step, self.seconds = state["step"], state["seconds"]


def load_averaged(path: Path) -> PromptedSegmenter:
    """The model of a checkpoint with its averaged weights, in evaluation mode.

    Raises:
        WeightsError: If the file is no checkpoint of a training run.
    """
    state = _read_checkpoint(path)
    model = PromptedSegmenter(ModelSpec.from_json(state["spec"], origin=str(path)))
    model.load_state_dict(state["average"])
    return model.eval()


def _read_checkpoint(path: Path) -> dict:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError) as error:
        reason = str(error).splitlines()[0][:200]
        raise WeightsError(f"{path} must be a checkpoint of `lite-medsam train`, got: {reason}") from None
    if not isinstance(state, dict) or not {"spec", "average", "step"} <= set(state):
        raise WeightsError(f"{path} must be a checkpoint of `lite-medsam train`, but holds something else")
    return state


def _parameter_groups(model: PromptedSegmenter, settings: TrainSettings) -> list[dict]:
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        key = (name.startswith("image_encoder.backbone"), parameter.ndim >= 2)
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


def _append_log(path: Path, rows: list[list]) -> None:
    fresh = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if fresh:
            writer.writerow(["step", "loss", "rate", "seconds"])
        writer.writerows(rows)


def new_model(spec: ModelSpec, seed: int) -> PromptedSegmenter:
    """A model with random weights that depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return PromptedSegmenter(spec)
