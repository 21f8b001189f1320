"""Training a specialist: steps by number or by time, validation, a checkpoint to continue from."""

import copy
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from tqdm import tqdm

from lite_medsam.errors import WeightsError
from lite_medsam.evaluation.evaluate import evaluate
from lite_medsam.evaluation.scores import average
from lite_medsam.evaluation.specialist import SpecialistSegmenter, SpecialistSpec
from lite_medsam.learning.specialists.examples import Batch, Examples
from lite_medsam.learning.specialists.settings import SpecialistSettings
from lite_medsam.learning.training.losses import make_mask_loss
from lite_medsam.learning.training.stepping import Stepper, make_fabric, read_checkpoint, write_checkpoint
from lite_medsam.prompts.prompt_set import load_protocol

CHECKPOINT, BEST = "checkpoint.pt", "best.pt"
FLOOR = 0.02  # of the learning rate at the end


class SpecialistLoop:
    """A run from its first step, or where it was cut, to its last.

    Args:
        network: With fresh weights.
        spec: What the network expects, for validation.
        examples: Training batches.
        validation: Held-out cases.
        settings: Of the run.
        out: Folder of the run.
        identity: What a checkpoint must agree on to be continued.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        spec: SpecialistSpec,
        examples: Examples,
        validation: Sequence[Path],
        settings: SpecialistSettings,
        out: Path,
        identity: dict[str, str],
    ):
        self.spec, self.examples, self.validation = spec, examples, list(validation)
        self.settings, self.out, self.identity = settings, out, identity
        self.judged = copy.deepcopy(network).eval().requires_grad_(False)
        matrices = [p for p in network.parameters() if p.ndim > 1]
        others = [p for p in network.parameters() if p.ndim <= 1]
        groups = [
            {"params": matrices, "base_rate": settings.learning_rate, "weight_decay": settings.weight_decay},
            {"params": others, "base_rate": settings.learning_rate, "weight_decay": 0.0},
        ]
        fabric = make_fabric(
            settings.accelerator, precision={"32": "32-true", "bf16": "bf16-mixed"}[settings.precision]
        )
        network = network.to(memory_format=torch.channels_last)
        self.stepper = Stepper(network, groups, settings.clip_norm, settings.ema_decay, fabric)
        self.loss = make_mask_loss(settings.loss, settings.pixel_weight)
        self.best, self.best_step, self.validated = -1.0, 0, 0
        self.history: list[tuple[int, float]] = []

    @property
    def progress(self) -> float:
        """Share of the run that is done, by steps or by time."""
        if self.settings.steps:
            return self.stepper.step / self.settings.steps
        return self.stepper.seconds / (60 * self.settings.minutes)

    def rate(self) -> float:
        """Factor of the learning rate of the next step."""
        rise = min(1.0, (self.stepper.step + 1) / max(1, self.settings.warmup_steps))
        return rise * (FLOOR + (1 - FLOOR) * (1 + math.cos(math.pi * min(1.0, self.progress))) / 2)

    def resume(self) -> bool:
        """Continues from the folder's checkpoint; False if there is none yet.

        Raises:
            WeightsError: If it belongs to another run.
        """
        path = self.out / CHECKPOINT
        if not path.exists():
            return False
        state = read_checkpoint(path, ("specialist", "model", "average", "optimizer", "step", "seconds"))
        extra = state["specialist"]
        for name, value in self.identity.items():
            if extra["identity"].get(name) != value:
                raise WeightsError(f"{path} must belong to the same {name}; use another --output for a new run")
        self.stepper.load_state(state)
        self.best, self.best_step, self.validated = extra["best"], extra["best_step"], extra["validated"]
        self.history = [tuple(pair) for pair in extra["history"]]
        return True

    def run(self) -> None:
        """Trains to the end.

        Raises:
            FloatingPointError: If the loss is not finite; the last checkpoint stays.
        """
        if self.progress >= 1:
            return
        bar = tqdm(
            total=self.settings.steps or None, initial=self.stepper.step, unit="step", desc=self.settings.network
        )
        with bar:
            for batch in self.examples.from_step(self.stepper.step):
                started = time.perf_counter()
                loss = self.stepper.advance([self._loss(batch)], self.rate())
                self.stepper.seconds += time.perf_counter() - started
                bar.update()
                bar.set_postfix(loss=f"{loss:.3f}", dice=f"{self.best:.3f}")
                if self.progress >= min(1.0, (self.validated + 1) / self.settings.validations):
                    self._validate()
                elif self.stepper.step % self.settings.checkpoint_every == 0:
                    self._save()
                if self.progress >= 1:
                    return

    def _loss(self, batch: Batch) -> Callable[[], torch.Tensor]:
        inputs, targets, valid = (part.to(self.stepper.fabric.device) for part in batch)
        inputs = inputs.contiguous(memory_format=torch.channels_last)
        return lambda: self.loss(self.stepper.model(inputs)[:, 0].float(), targets, valid).mean()

    def _validate(self) -> None:
        """Scores the averaged weights through the same evaluation as every model, and keeps them if they are the best."""
        started = time.perf_counter()
        self.judged.load_state_dict({name: value.cpu() for name, value in self.stepper.average.items()})
        segmenter = SpecialistSegmenter(self.spec, runner(self.judged))
        result = evaluate(
            segmenter,
            self.validation,
            load_protocol(self.settings.protocol),
            slices_per_volume=self.settings.slices_per_volume,
        )
        dice = average(result.rows, "dice", over_modalities=True)
        if math.isnan(dice):
            raise ValueError(f"validation needs an object to score, got none in {len(self.validation)} cases")
        self.stepper.seconds += time.perf_counter() - started
        self.validated = max(self.validated + 1, int(min(1.0, self.progress) * self.settings.validations))
        self.history.append((self.stepper.step, dice))
        if dice > self.best:
            self.best, self.best_step = dice, self.stepper.step
            write_checkpoint(
                self.out / BEST, {"average": self.judged.state_dict(), "step": self.best_step, "dice": dice}
            )
        self._save()

    def _save(self) -> None:
        extra = {
            "identity": self.identity, "best": self.best, "best_step": self.best_step, "validated": self.validated,
            "history": self.history,
        }  # fmt: skip
        write_checkpoint(self.out / CHECKPOINT, self.stepper.state() | {"specialist": extra})


def runner(network: torch.nn.Module):
    """A network in evaluation mode as `SpecialistSegmenter` calls it."""

    @torch.inference_mode()
    def run(inputs):
        return network(torch.from_numpy(inputs))[:, 0].numpy()

    return run
