"""What decides a distillation besides the teacher, the student and the images; readable without torch."""

from dataclasses import dataclass, field

from lite_medsam.learning.lessons.settings import ViewSettings


@dataclass(frozen=True)
class DistillSettings:
    """How a student learns from a teacher.

    Attributes:
        steps: Optimiser steps in all.
        batch_size: Views per step.
        learning_rate: Of all but the backbone, after the warm-up.
        backbone_rate: Share of it for the backbone.
        weight_decay: AdamW's, for matrices and kernels; none for biases and normalisation.
        warmup_steps: Linear rise at the start.
        cooldown: Share of the steps at the end over which the rate falls to 2 %.
        clip_norm: Largest norm of the gradient.
        ema_decay: Averaging of the weights that are kept.
        cosine_weight: Weight of the angle between the features beside their squared error, which weighs 1.
        logit_weight: Weight of the masks; 0 teaches features alone and leaves the decoder as it was.
        always_project: Compare features through a learned 1x1 convolution even where their widths agree.
        held_out: Share of the groups of images that is only measured, not learned from.
        seed: Of everything that is drawn.
        bfloat16: Compute in bfloat16 where it is safe (autocast).
        checkpoint_every: Steps between checkpoints.
        views: What the teacher is asked about.
    """

    steps: int = 4000
    batch_size: int = 8
    learning_rate: float = 1e-3
    backbone_rate: float = 0.5
    weight_decay: float = 0.01
    warmup_steps: int = 100
    cooldown: float = 0.3
    clip_norm: float = 1.0
    ema_decay: float = 0.998
    cosine_weight: float = 0.5
    logit_weight: float = 0.5
    always_project: bool = False
    held_out: float = 0.1
    seed: int = 0
    bfloat16: bool = False
    checkpoint_every: int = 250
    views: ViewSettings = field(default_factory=ViewSettings)

    def __post_init__(self):
        checks = {
            "steps": self.steps >= 1,
            "batch_size": self.batch_size >= 1,
            "learning_rate": self.learning_rate > 0,
            "checkpoint_every": self.checkpoint_every >= 1,
            "held_out": 0 <= self.held_out < 1,
            "cosine_weight": self.cosine_weight >= 0,
            "logit_weight": self.logit_weight >= 0,
        }
        for name, good in checks.items():
            if not good:
                raise ValueError(
                    f"{name} is out of its range, got {getattr(self, name)}; see lite-medsam distill --help"
                )
