"""Optimiser steps that every training shares: rate, clipping, averages, processes, checkpoints."""

import os
import pickle
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments import LightningEnvironment
from torch import Tensor, nn

from lite_medsam.errors import WeightsError
from lite_medsam.storage.files import atomic_write

# how many processes torchrun, and SLURM's srun, have started
STARTED = ("WORLD_SIZE", "SLURM_STEP_NUM_TASKS")


def make_fabric(accelerator: str = "cpu", devices: int = 1, nodes: int = 1, precision: str = "32-true") -> Fabric:
    """Lightning Fabric for so many processes; under `torchrun` or SLURM it joins those that were started.

    Args:
        accelerator: "cpu", "cuda", "mps" or "auto".
        devices: Processes per machine.
        nodes: Machines.
        precision: "32-true" or "bf16-mixed".

    Raises:
        ValueError: If several processes were started for a run of one: each would write the same folder.
    """
    options: dict[str, Any] = {
        "accelerator": accelerator,
        "devices": devices,
        "num_nodes": nodes,
        "precision": precision,
    }
    if devices * nodes > 1:
        return Fabric(**options, strategy="ddp")
    started = max(int(os.environ.get(name) or 1) for name in STARTED)
    if started > 1:
        raise ValueError(
            f"{started} processes were started, but devices x nodes is 1; say --devices, or start one process"
        )
    # what a SLURM job reserves says nothing about a single process that is started inside it
    return Fabric(**options, strategy="auto", plugins=[LightningEnvironment()])


class Stepper:
    """A model, its optimiser and its averaged weights, advanced step by step.

    Gradients are averaged over processes here rather than by a wrapper around the model, so that several decoder passes
    and parameters that a step does not use need no special care: all processes stay equal to the last bit.

    Args:
        model: The model; parameters that need no gradient stay as they are.
        groups: Parameter groups for AdamW, each with "base_rate".
        clip_norm: Largest norm of the gradient.
        ema_decay: Averaging of the weights that are kept.
        fabric: Device, precision and processes; one CPU process by default.
        shared_statistics: Whether running statistics of normalisation are averaged over processes; not needed where they
            are frozen.
    """

    model: Any  # a subclass says which; torch's own type knows neither `encode` nor `spec`

    def __init__(
        self,
        model: nn.Module,
        groups: list[dict],
        clip_norm: float,
        ema_decay: float,
        fabric: Fabric | None = None,
        shared_statistics: bool = True,
    ):
        self.fabric = fabric or make_fabric()
        self.model = self.fabric.to_device(model)
        self.clip_norm, self.ema_decay, self.shared_statistics = clip_norm, ema_decay, shared_statistics
        self.optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98))
        self.average = {k: v.detach().clone() for k, v in model.state_dict().items()}
        self.step = 0
        self.seconds = 0.0

    def advance(self, losses: Iterable[Callable[[], Tensor]], rate: float, names: str = "") -> float:
        """One optimiser step on the sum of losses, each computed and differentiated before the next one is begun.

        Args:
            losses: The parts of the batch of this process.
            rate: Factor of the learning rate.
            names: What the batch shows, for the error.

        Returns:
            The loss, averaged over processes.

        Raises:
            FloatingPointError: If it is not finite; weights and optimiser are as before.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = group["base_rate"] * rate
        self.optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=self.fabric.device)
        for compute in losses:
            with self.fabric.autocast():
                loss = compute()
            self.fabric.backward(loss)
            total += loss.detach()
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        if self.fabric.world_size > 1:
            total = self._average_gradients(parameters, total)
        if not torch.isfinite(total):
            shown = f" ({names})" if names else ""
            raise FloatingPointError(
                f"the loss of batch {self.step}{shown} must be finite, got {total.item()}; continue from the last "
                "checkpoint with a lower --learning-rate"
            )
        nn.utils.clip_grad_norm_(parameters, self.clip_norm)
        self.optimizer.step()
        self.step += 1
        self._update_average()
        return total.item()

    def _average_gradients(self, parameters: list[nn.Parameter], total: Tensor) -> Tensor:
        """Replaces the gradients by their means over processes; returns the mean loss. One message in all."""
        used = [torch.ones(()) if p.grad is not None else torch.zeros(()) for p in parameters]
        pieces = [p.grad.flatten() if p.grad is not None else torch.zeros_like(p).flatten() for p in parameters]
        message: Any = torch.cat([*pieces, torch.stack(used).to(total.device), total.reshape(1)])
        message = self.fabric.all_reduce(message, reduce_op="mean")
        *means, used, total = message.split([*(p.numel() for p in parameters), len(parameters), 1])
        for parameter, mean, share in zip(parameters, means, used, strict=True):
            parameter.grad = mean.view_as(parameter).clone() if share > 0 else None
        return total[0]

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(self.ema_decay, (1 + self.step) / (10 + self.step))
        state = self.model.state_dict()
        if self.fabric.world_size > 1 and self.shared_statistics:
            for name, _ in self.model.named_buffers():  # normalisation saw other images in each process
                if name in state and state[name].is_floating_point():
                    state[name].copy_(self.fabric.all_reduce(state[name].clone(), reduce_op="mean"))
        for name, value in state.items():
            average = self.average[name]
            if average.is_floating_point():
                average.lerp_(value, 1 - decay)
            else:
                average.copy_(value)

    def state(self) -> dict[str, Any]:
        """Everything that continuing needs, apart from what the kind of training adds."""
        return {
            "model": self.model.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Continues from `state`; base rates are those of the settings of this run."""
        self.model.load_state_dict(state["model"])
        self.average = {name: self.fabric.to_device(value) for name, value in state["average"].items()}
        rates = [group["base_rate"] for group in self.optimizer.param_groups]
        self.optimizer.load_state_dict(state["optimizer"])
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["base_rate"] = rate
        self.step, self.seconds = state["step"], state["seconds"]


def write_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Writes a state, atomically: a kill leaves the old file or the new one."""
    with atomic_write(path) as temporary:
        torch.save(state, temporary)


def read_checkpoint(path: Path, needed: Iterable[str]) -> dict[str, Any]:
    """Reads a state without ever running code from it.

    Args:
        path: The file.
        needed: Keys that it must have.

    Raises:
        WeightsError: If it is damaged or something else.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError) as error:
        reason = str(error).splitlines()[0][:200]
        raise WeightsError(f"{path} must be a checkpoint of `lite-medsam train`, got: {reason}") from None
    if not isinstance(state, dict) or not set(needed) <= set(state):
        raise WeightsError(f"{path} must be a checkpoint of `lite-medsam train`, but holds something else")
    return state
