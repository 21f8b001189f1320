"""What decides a fine-tuning run besides data and starting weights; readable without torch."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from lite_medsam.cases.case import MODALITIES
from lite_medsam.errors import WeightsError
from lite_medsam.model.spec import build_dataclass
from lite_medsam.prompts.prompt_set import Protocol, load_protocol
from lite_medsam.storage.machine import memory_bytes
from lite_medsam.storage.one_line import one_line

PARTS = ("decoder", "encoder-last", "all")
LOSSES = ("dice-ce", "dice-focal", "soft-dice-ce")
PRECISIONS = ("auto", "32", "bf16")
NORMS = ("frozen", "trained")


@dataclass(frozen=True)
class MemoryPreset:
    """How a batch is cut to fit into memory; the result is the same for all of them.

    Attributes:
        views: Views that are computed at once; gradients of the rest of the batch are accumulated.
        checkpointing: Activations are computed again on the way back instead of being kept.
    """

    views: int
    checkpointing: bool


MEMORY = {
    "2GB": MemoryPreset(1, True),
    "4GB": MemoryPreset(2, True),
    "8GB": MemoryPreset(4, False),
    "16GB": MemoryPreset(8, False),
    "32GB": MemoryPreset(16, False),
}
"""Memory of the GPU, or free memory of a CPU machine -> preset, for the default model (256 px, 3 objects per view).

| memory | views at once | activations |
|---|---|---|
| 2GB | 1 | computed again |
| 4GB | 2 | computed again |
| 8GB | 4 | kept |
| 16GB | 8 | kept |
| 32GB | 16 | kept |
"""


@dataclass(frozen=True)
class FinetuneSettings:
    """Settings of a fine-tuning run; each is an option of `lite-medsam finetune` of the same name.

    Attributes:
        train: What learns. decoder: prompt encoder and mask decoder, from features that are computed once; encoder-last:
            also the neck and the last third of the backbone; all: everything.
        protocols: Simulated users, by name or file; each view is prompted by one of them. NAME=2 counts twice.
        validation_protocol: Simulated user of the validation, by name or file.
        steps: Optimiser steps; 0 for as many as fit into `minutes`.
        minutes: Wall time of the training with its validations, where `steps` is 0. The number of steps is fixed after
            the first few, so it can differ from run to run.
        batch_size: Views per step, over all processes.
        objects_per_image: Objects asked for in a view; repeated with other prompts where there are fewer.
        views: Views per image whose features are kept, with --train decoder: the plain whole image, and random ones. 0 for
            about 500 in all, 4 to 16 of an image.
        cache_gb: Most gigabytes of features on disk; fewer views are kept where they do not fit.
        memory: Cuts batches to fit (2GB, 4GB, 8GB, 16GB, 32GB); auto: 16GB, or less where this machine or container has less.
        learning_rate: Of the decoder and the neck, after the warm-up.
        backbone_rate: Share of it for the backbone.
        weight_decay: Of AdamW, for matrices and kernels.
        warmup_steps: Linear rise at the start; a cosine down to 2 % follows.
        clip_norm: Largest norm of the gradient.
        ema_decay: Averaging of the weights that are validated and kept.
        loss: dice-ce: MONAI's Dice + cross-entropy; dice-focal: MONAI's Dice + focal; soft-dice-ce: as in pre-training.
        pixel_weight: Weight of the cross-entropy or focal term, a mean over pixels.
        score_weight: Weight of the squared error of the predicted IoU.
        rounds: Most corrections per step: clicks on the error, with the previous mask.
        negative_share: Share of boxed views with one box around nothing, to be answered by an empty mask.
        crop_share: Share of views that show a crop around an object. Small objects are never too small in it.
        crop_context: Smallest and largest side of a crop over the longer side of the object's box.
        minimum_area_px: Smallest object in the model frame; smaller ones in a view are not asked for.
        augment: Whether views are changed at random, as far as their modality allows.
        norm: Statistics of batch normalisation: frozen (right for small batches) or trained.
        validate_every: Steps between validations; 0 for ten in a run, fewer where they would take over a quarter of `minutes`.
        patience: Validations without a better Dice after which the run ends; 0 for never.
        validation_share: Share of the groups that is held out, where no split is given.
        validation_cases: Most validation cases that are scored during the run, evenly chosen.
        report_cases: Most validation cases in the table at the end; protocols other than the validation's get a sixth.
        checkpoint_every: Steps between checkpoints; each validation writes one too.
        slices_per_volume: Labelled slices taken from a volume.
        modality: Modality of cases that do not say theirs; decides how they may be augmented.
        name: Name of the new model; the starting model's with "-finetuned" by default.
        seed: Of everything that is drawn.
        accelerator: cpu, cuda, mps or auto.
        devices: Processes on this machine; start them with torchrun, or leave it to Lightning Fabric.
        nodes: Machines.
        precision: 32, bf16 (computing in bfloat16 where it is safe), or auto: bf16 on CUDA.
    """

    train: str = "decoder"
    protocols: tuple[str, ...] = ("box=3", "box-jitter", "clicks=2", "box+clicks", "scribble")
    validation_protocol: str = "box"
    steps: int = 0
    minutes: float = 8.0
    batch_size: int = 8
    objects_per_image: int = 2
    views: int = 0
    cache_gb: float = 8.0
    memory: str = "auto"
    learning_rate: float = 6e-4
    backbone_rate: float = 0.2
    weight_decay: float = 0.01
    warmup_steps: int = 20
    clip_norm: float = 1.0
    ema_decay: float = 0.99
    loss: str = "dice-ce"
    pixel_weight: float = 4.0
    score_weight: float = 0.2
    rounds: int = 2
    negative_share: float = 0.05
    crop_share: float = 0.65
    crop_context: tuple[float, float] = (1.25, 2.6)
    minimum_area_px: float = 6.0
    augment: bool = True
    norm: str = "frozen"
    validate_every: int = 0
    patience: int = 6
    validation_share: float = 0.2
    validation_cases: int = 24
    report_cases: int = 40
    checkpoint_every: int = 100
    slices_per_volume: int = 6
    modality: str = ""
    name: str = ""
    seed: int = 0
    accelerator: str = "auto"
    devices: int = 1
    nodes: int = 1
    precision: str = "auto"

    def __post_init__(self):
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                shown = ", ".join(choice or "nothing" for choice in choices)
                raise ValueError(f"{name} must be one of {shown}, got {getattr(self, name)!r}")
        for name in (
            "batch_size",
            "objects_per_image",
            "devices",
            "nodes",
            "checkpoint_every",
            "validation_cases",
            "report_cases",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.views < 0:
            raise ValueError(f"views must be at least 0, got {self.views}")
        if self.steps < 0 or (self.steps == 0 and not self.minutes > 0):
            raise ValueError(f"steps or minutes must be above 0, got steps {self.steps} and minutes {self.minutes:g}")
        if not 0 < self.validation_share < 1:
            raise ValueError(f"validation_share must be between 0 and 1, got {self.validation_share}")
        if len(self.crop_context) != 2:
            raise ValueError(f"crop_context must be two numbers, got {self.crop_context}")
        low, high = self.crop_context
        if not 1 <= low <= high:
            raise ValueError(f"crop_context must be two numbers with 1 <= low <= high, got {self.crop_context}")
        if self.batch_size % (self.devices * self.nodes):
            raise ValueError(f"batch_size must be a multiple of devices x nodes = {self.devices * self.nodes}, "
                             f"got {self.batch_size}")  # fmt: skip
        if not set(PROMPT_KINDS_OF[load_protocol(self.validation_protocol).kind]) <= self.prompt_kinds():
            raise ValueError(
                f"validation_protocol must give prompts that protocols train, got {self.validation_protocol!r} with "
                f"{', '.join(self.protocols)}"
            )

    def users(self) -> list[tuple[Protocol, float]]:
        """The simulated users with their shares, which add up to 1.

        Raises:
            ValueError: If there is none, or a weight is not a number above 0.
            PromptError: If there is no such protocol.
        """
        users = []
        for text in self.protocols:
            name, _, number = text.partition("=")
            try:
                weight = float(number or 1)
            except ValueError:
                weight = -1.0
            if not 0 < weight < float("inf"):
                raise ValueError(f"protocols must look like box or box=2 with a weight above 0, got {text!r}")
            users.append((load_protocol(name), weight))
        if not users:
            raise ValueError("protocols must name at least one simulated user, got none")
        total = sum(weight for _, weight in users)
        return [(protocol, weight / total) for protocol, weight in users]

    def prompt_kinds(self) -> set[str]:
        """Kinds of prompt that the run trains, in the words of `ModelSpec.prompts`."""
        return {kind for user, _ in self.users() for kind in PROMPT_KINDS_OF[user.kind]}

    def report_protocols(self) -> list[Protocol]:
        """Whom the before/after table asks: the validation's user, then those of the training."""
        users = [load_protocol(self.validation_protocol), *(user for user, _ in self.users())]
        return list({user.name: user for user in users}.values())

    def preset(self) -> MemoryPreset:
        """How batches are cut."""
        return MEMORY[self.memory_here()]

    def memory_here(self) -> str:
        """The key of `MEMORY` that is taken on this machine."""
        return fitting_memory() if self.memory == "auto" else self.memory


CHOICES = {
    "train": PARTS,
    "loss": LOSSES,
    "norm": NORMS,
    "precision": PRECISIONS,
    "memory": ("auto", *MEMORY),
    "modality": ("", *MODALITIES),
}
# what a continued run may change: how long it goes on, where it runs, and the way out of a loss that is not finite
FREE_TO_CHANGE = (
    "patience", "accelerator", "memory", "checkpoint_every", "name", "minutes", "learning_rate", "clip_norm",
)  # fmt: skip
# kinds of prompt in the words of a model's spec, by what a simulated user does
PROMPT_KINDS_OF = {
    "box": ("box",),
    "clicks": ("points", "mask"),
    "box+clicks": ("box", "box+points", "mask"),
    "scribble": ("points",),
}


def fitting_memory(available: int | None = None) -> str:
    """The largest key of `MEMORY` up to 16GB that this process may have.

    Args:
        available: Bytes; None: what the machine has, or its container grants.
    """
    available = memory_bytes() if available is None else available
    names = [name for name in MEMORY if int(name.removesuffix("GB")) <= 16]
    if available is None:
        return names[-1]
    # machines hold back a part: those sold with 16 GB show 15.5
    fitting = [name for name in names if int(name.removesuffix("GB")) * 1e9 * 0.95 <= available]
    return fitting[-1] if fitting else names[0]


def load_settings(path: Path) -> FinetuneSettings:
    """The settings that a run has saved.

    Raises:
        WeightsError: If the file is damaged.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(f"{path} must be the settings of a fine-tuning run, got: {one_line(error)}") from None
    try:
        return build_dataclass(FinetuneSettings, record, str(path))
    except WeightsError:
        raise
    except ValueError as error:
        raise WeightsError(f"{path}: {one_line(error, 400)}") from None


def refuse_other_settings(now: FinetuneSettings, before: FinetuneSettings) -> None:
    """Raises WeightsError if a continued run has settings under which it would take other steps."""
    for field in dataclasses.fields(now):
        old, new = getattr(before, field.name), getattr(now, field.name)
        if field.name not in FREE_TO_CHANGE and old != new:
            raise WeightsError(
                f"a continued run must keep its settings, got {field.name} {new!r} instead of {old!r}; "
                "use another --output for other settings"
            )
