"""Which lessons of a book a training run reads at which step."""

from collections.abc import Iterator

import numpy as np

from lite_medsam.learning.lessons.book import Lesson, LessonBook
from lite_medsam.learning.lessons.settings import LessonPlan


class DrawnLessons:
    """A fixed number of lessons, spread evenly over modalities; those of step n depend on the seed and n alone.

    Args:
        book: All views that there are.
        plan: How many of them, and how many at a step.
        seed: Of what is drawn.
    """

    def __init__(self, book: LessonBook, plan: LessonPlan, seed: int):
        self.book, self.plan, self.seed = book, plan, seed
        self.by_modality = _chosen(book, plan.count, seed)

    def __len__(self) -> int:
        return sum(map(len, self.by_modality.values()))

    def places(self) -> Iterator[tuple[int, int]]:
        """Image and view of each lesson, one of each modality in turn."""
        for number in range(max(map(len, self.by_modality.values()))):
            for members in self.by_modality.values():
                if number < len(members):
                    yield members[number]

    def batch(self, step: int) -> Lesson:
        """The lessons of a step."""
        rng = np.random.default_rng([self.seed, step, 3])
        names, chosen = list(self.by_modality), []
        for _ in range(self.plan.per_step):
            members = self.by_modality[names[rng.integers(len(names))]]
            chosen.append(members[rng.integers(len(members))])
        return Lesson.batch([self.book.lesson(*place) for place in chosen])


def _chosen(book: LessonBook, count: int, seed: int) -> dict[str, list[tuple[int, int]]]:
    scenes_of: dict[str, list[int]] = {}
    for index, scene in enumerate(book.scenes):
        scenes_of.setdefault(scene.modality, []).append(index)
    rng = np.random.default_rng([seed, 4])
    views = range(book.views.views_per_image)
    each = -(-count // len(scenes_of))
    return {
        modality: rng.permutation([(scene, view) for view in views for scene in scenes_of[modality]])[:each].tolist()
        for modality in sorted(scenes_of)
    }
