"""How far a student's features are from its teacher's."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lite_medsam.learning.lessons.book import Lesson, pool_valid

SMALLEST_SPREAD = 1e-2  # of a view that hardly differs from the mean, such as a black one


class FeatureLoss(nn.Module):
    """Distance of two embeddings over the part of the grid that shows the image.

    The teacher's channels are standardised with their mean and deviation over the data. A view's squared error is divided by
    what the means alone would get there: it is the share of the teacher's variance that the student does not explain, 1 for
    whoever only knows the means, 0 for an equal, and a few views with large features do not rule the others.

    Where the widths differ a learned 1x1 convolution leads from the student to the teacher; it is thrown away in the end.
    Where they agree the student's embedding itself comes to be the teacher's. Within a view the squared error is ruled by
    cells with large features, so the angle between the two vectors of a cell is a second term, in which all weigh the same.

    Args:
        student_dim: Channels of the student's embedding.
        teacher_dim: Channels of the teacher's.
        always_project: A convolution even where the widths agree.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, student_dim: int, teacher_dim: int, always_project: bool = False):
        super().__init__()
        self.register_buffer("mean", torch.zeros(teacher_dim, 1, 1))
        self.register_buffer("deviation", torch.ones(teacher_dim, 1, 1))
        needed = always_project or student_dim != teacher_dim
        self.project = nn.Conv2d(student_dim, teacher_dim, 1) if needed else None

    @torch.no_grad()
    def measure_statistics(self, lessons: list[Lesson]) -> None:
        """Takes mean and deviation of each channel of the teacher from some lessons."""
        features = torch.stack([lesson.features for lesson in lessons]).double()
        weight = cover_of(torch.stack([lesson.valid for lesson in lessons]), features.shape[-1]).double().unsqueeze(1)
        mean = (features * weight).sum((0, 2, 3)) / weight.sum()
        variance = ((features - mean[:, None, None]) ** 2 * weight).sum((0, 2, 3)) / weight.sum()
        deviation = variance.sqrt()
        # a channel that hardly ever changes must not count for more than the others
        deviation = deviation.clamp(min=max(0.05 * deviation.mean().item(), 1e-6))
        self.mean.copy_(mean[:, None, None])
        self.deviation.copy_(deviation[:, None, None])

    def forward(self, embedding: Tensor, features: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Squared error and angle of a batch.

        Args:
            embedding: (B, C', G', G') of the student.
            features: (B, C, g, g) of the teacher, g <= G'.
            valid: (B, S, S) bool, where the frame shows the image.

        Returns:
            The share of the variance that is not explained, and 1 - cosine; means over views.
        """
        target = (features - self.mean) / self.deviation
        scaled = (embedding.float() - self.mean) / self.deviation if self.project is None else self.project(embedding)
        guess = pool_valid(scaled.float(), cover_of(valid, embedding.shape[-1]), target.shape[-1])
        cover = cover_of(valid, target.shape[-1])

        def mean(cells: Tensor) -> Tensor:
            return (cells * cover).sum((1, 2)) / cover.sum((1, 2))

        error = mean((guess - target).square().mean(1)) / mean(target.square().mean(1)).clamp(min=SMALLEST_SPREAD)
        angle = mean(1 - F.cosine_similarity(guess, target, dim=1))
        return error.mean(), angle.mean()


def cover_of(valid: Tensor, cells: int) -> Tensor:
    """Share of each cell of a square grid that shows the image: (B, S, S) bool to (B, cells, cells) float32."""
    return F.adaptive_avg_pool2d(valid.float(), cells)
