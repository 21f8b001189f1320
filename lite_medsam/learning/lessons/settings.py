"""Which views of the images the teacher is asked about, and with which prompts; readable without torch."""

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
        random_share: Share of the prompts that ask about any place also where objects are known.
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
    random_share: float = 0.0
    click_share: float = 0.25
    augment: bool = True
    slices_per_volume: int = 6

    def __post_init__(self):
        checks = {
            "views_per_image": self.views_per_image >= 1,
            "objects_per_view": self.objects_per_view >= 1,
            "slices_per_volume": self.slices_per_volume >= 1,
            "crop_context": 1 <= self.crop_context[0] <= self.crop_context[1],
            "jitter": -0.5 < self.jitter[0] <= self.jitter[1],
            "crop_share": 0 <= self.crop_share <= 1,
            "click_share": 0 <= self.click_share <= 1,
            "random_share": 0 <= self.random_share <= 1,
        }
        for name, good in checks.items():
            if not good:
                raise ValueError(f"{name} is out of its range, got {getattr(self, name)}")


@dataclass(frozen=True)
class LessonPlan:
    """How a training on labels is reminded of what a teacher answers.

    Attributes:
        count: Lessons that the teacher is asked for, evenly over modalities.
        per_step: So many of them at each step, beside the labelled views.
        weight: Of their loss beside that of the labels, which weighs 1.
        sure: Smallest score of the teacher's own for an answer that counts.
        views: What the teacher is asked about.
    """

    count: int = 1500
    per_step: int = 3
    weight: float = 0.5
    sure: float = 0.6
    views: ViewSettings = field(default_factory=ViewSettings)
