"""What decides a distillation besides the teacher, the student and the images; readable without torch."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class ViewSettings:
    """Which views of the images the teacher is asked about, and with which prompts.

    An image has a fixed number of views, each a function of its content, the seed and the view's number, so that the
    answers can be kept. View 0 is the whole image as it is.

    Attributes:
        views_per_image: Views of each image.
        crop_share: Share of the views after the first that show a crop around an object.
        crop_context: Smallest and largest side of such a crop over the longer side of the object's box, log-uniform.
        crop_minimum_px: Smallest side of a crop, image pixels.
        objects_per_view: Prompts per view; objects are asked for again with other prompts where there are fewer.
        jitter: How far a box's sides move, as a share of its width or height: inward and outward limit.
        click_share: Share of views that are asked with clicks instead of boxes, where teacher and student both know clicks.
        augment: Flip the views after the first and change their intensity, as far as the modality allows.
        slices_per_volume: Slices taken from a volume.
    """

    views_per_image: int = 4
    crop_share: float = 0.6
    crop_context: tuple[float, float] = (1.25, 2.6)
    crop_minimum_px: int = 48
    objects_per_view: int = 3
    jitter: tuple[float, float] = (-0.04, 0.12)
    click_share: float = 0.25
    augment: bool = True
    slices_per_volume: int = 6


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
        v = self.views
        checks = {
            "steps": self.steps >= 1,
            "batch_size": self.batch_size >= 1,
            "learning_rate": self.learning_rate > 0,
            "checkpoint_every": self.checkpoint_every >= 1,
            "held_out": 0 <= self.held_out < 1,
            "cosine_weight": self.cosine_weight >= 0,
            "logit_weight": self.logit_weight >= 0,
            "views_per_image": v.views_per_image >= 1,
            "objects_per_view": v.objects_per_view >= 1,
            "slices_per_volume": v.slices_per_volume >= 1,
            "crop_context": 1 <= v.crop_context[0] <= v.crop_context[1],
            "jitter": -0.5 < v.jitter[0] <= v.jitter[1],
            "crop_share": 0 <= v.crop_share <= 1,
            "click_share": 0 <= v.click_share <= 1,
        }
        for name, good in checks.items():
            if not good:
                value = getattr(self, name, None) if hasattr(self, name) else getattr(v, name)
                raise ValueError(f"{name} is out of its range, got {value}; see lite-medsam distill --help")
