"""Everything that decides a specialist's training besides the data; readable without torch."""

from dataclasses import dataclass

from lite_medsam.cases.case import MODALITIES
from lite_medsam.evaluation.specialist import NETWORKS

LOSSES = ("dice-ce", "dice-focal", "soft-dice-ce")
PRECISIONS = ("32", "bf16")
# what a continued run may change
FREE_TO_CHANGE = ("name", "checkpoint_every", "accelerator")


@dataclass(frozen=True)
class SpecialistSettings:
    """Settings of a specialist's training; each is an option of `lite-medsam baseline` of the same name.

    Attributes:
        network: unet: MONAI's BasicUNet; relaynet: three levels of 7 x 3 kernels with unpooling.
        width: Channels of the first stage; 0 for what a CPU trains in minutes.
        image_size: Side of the network's square input; a multiple of 16.
        protocol: Simulated user who draws the boxes, in training and validation.
        steps: Optimiser steps; 0 for as many as fit into `minutes`.
        minutes: Wall time of the training with its validations, where `steps` is 0.
        batch_size: Views per step, each with one object.
        learning_rate: After the warm-up.
        weight_decay: Of AdamW.
        warmup_steps: Linear rise at the start; a cosine down to 2 % follows.
        clip_norm: Largest norm of the gradient.
        ema_decay: Averaging of the weights that are validated and kept.
        loss: dice-ce: MONAI's Dice + cross-entropy; dice-focal: MONAI's Dice + focal; soft-dice-ce: as in pre-training.
        pixel_weight: Weight of the cross-entropy or focal term, a mean over pixels.
        crop_share: Share of views that show a crop around an object.
        crop_context: Smallest and largest side of a crop over the longer side of the object's box.
        minimum_area_px: Smallest object in the network's frame; smaller ones in a view are not asked for.
        augment: Whether views are changed at random, as far as their modality allows.
        validations: Validations in a run; the best weights are kept.
        validation_share: Share of the groups that is held out, where no split is given.
        validation_cases: Most validation cases that are scored during the run, evenly chosen.
        checkpoint_every: Steps between checkpoints; each validation writes one too.
        slices_per_volume: Labelled slices taken from a volume.
        modality: Modality of cases that do not say theirs; decides how they may be augmented.
        name: Name of the specialist; the network's by default.
        seed: Of everything that is drawn.
        accelerator: cpu, cuda or mps.
        precision: 32, or bf16: computing in bfloat16 where it is safe.
    """

    network: str = "unet"
    width: int = 0
    image_size: int = 256
    protocol: str = "box"
    steps: int = 0
    minutes: float = 8.0
    batch_size: int = 8
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    warmup_steps: int = 20
    clip_norm: float = 1.0
    ema_decay: float = 0.99
    loss: str = "dice-ce"
    pixel_weight: float = 4.0
    crop_share: float = 0.65
    crop_context: tuple[float, float] = (1.25, 2.6)
    minimum_area_px: float = 6.0
    augment: bool = True
    validations: int = 6
    validation_share: float = 0.2
    validation_cases: int = 24
    checkpoint_every: int = 50
    slices_per_volume: int = 6
    modality: str = ""
    name: str = ""
    seed: int = 0
    accelerator: str = "cpu"
    precision: str = "32"

    def __post_init__(self):
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                shown = ", ".join(choice or "nothing" for choice in choices)
                raise ValueError(f"{name} must be one of {shown}, got {getattr(self, name)!r}")
        for name in ("batch_size", "validations", "validation_cases", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.image_size < 16 or self.image_size % 16:
            raise ValueError(f"image_size must be a multiple of 16, got {self.image_size}")
        if self.width < 0 or self.steps < 0 or (self.steps == 0 and not self.minutes > 0):
            raise ValueError(
                f"width and steps must be at least 0, and steps or minutes above 0, got width {self.width}, "
                f"steps {self.steps}, minutes {self.minutes:g}"
            )
        low, high = self.crop_context
        if not 1 <= low <= high:
            raise ValueError(f"crop_context must be two numbers with 1 <= low <= high, got {self.crop_context}")


CHOICES = {
    "network": NETWORKS,
    "loss": LOSSES,
    "precision": PRECISIONS,
    "modality": ("", *MODALITIES),
    "accelerator": ("cpu", "cuda", "mps"),
}
