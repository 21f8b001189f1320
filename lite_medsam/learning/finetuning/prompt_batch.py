"""Views with the prompts of simulated users, as batches for fine-tuning."""

import concurrent.futures
import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol as Interface

import numpy as np
import torch
from torch import Tensor

from lite_medsam.learning.data.prompting import error_click
from lite_medsam.learning.finetuning.settings import FinetuneSettings
from lite_medsam.learning.finetuning.views import DrawnView
from lite_medsam.learning.network.model import OBJECT, PADDING
from lite_medsam.model.preprocessing import Frame
from lite_medsam.model.prompt_tokens import decoder_inputs
from lite_medsam.model.spec import ModelSpec
from lite_medsam.prompts.first_prompts import first_prompt
from lite_medsam.prompts.prompt_set import Prompt, Protocol

NEGATIVE_TRIES = 10


class Views(Interface):
    """Where views come from."""

    def draw(self, rng: np.random.Generator) -> DrawnView: ...


@dataclass(frozen=True, eq=False)
class PromptBatch:
    """B views with K prompts each, prompts of a view in a row.

    Attributes:
        pixels: (B, 3, S, S) float32; None where the features are known.
        features: Features of the views, each (B, ...); None where they are not.
        targets: (B K, M, M) float32, share of each pixel of the logits that the object covers.
        valid: (B K, M, M) bool, False in the padding.
        coords: (B K, P, 2) float32 prompt tokens in model pixels.
        labels: (B K, P) float32 their kinds.
        ambiguous: (B K,) bool, True where the prompt is nothing but points on the object.
        corrects: (B,) bool, whether the view's user clicks on errors.
        numbers: Of the views in the step's whole batch.
        names: Of the cases.
    """

    pixels: Tensor | None
    features: tuple[Tensor, ...] | None
    targets: Tensor
    valid: Tensor
    coords: Tensor
    labels: Tensor
    ambiguous: Tensor
    corrects: Tensor
    numbers: tuple[int, ...]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def of_views(self, x: Tensor, members: Tensor) -> Tensor:
        """The rows (V K, ...) of some views of a tensor (B K, ...)."""
        return x.unflatten(0, (len(self), -1))[members].flatten(0, 1)

    def groups(self) -> list[tuple[int, Tensor]]:
        """Views by number of tokens and whether their users correct: (tokens, (V,) numbers of the views).

        Decoded apart, no prompt needs padding, which the network takes for a token: as in use, where the prompts of one call
        are of one kind, and the same however a batch is cut into parts.
        """
        counts = (self.labels.unflatten(0, (len(self), -1))[:, 0] != PADDING).sum(1)
        kinds = sorted(set(zip(counts.tolist(), self.corrects.tolist(), strict=True)))
        return [(n, torch.nonzero((counts == n) & (self.corrects == c)).flatten()) for n, c in kinds]

    def to(self, device: torch.device) -> "PromptBatch":
        """The batch on a device."""

        def moved(value):
            if isinstance(value, tuple) and value and isinstance(value[0], Tensor):
                return tuple(moved(part) for part in value)
            return value.to(device, non_blocking=True) if isinstance(value, Tensor) else value

        return PromptBatch(*(moved(getattr(self, field.name)) for field in dataclasses.fields(self)))


class PromptSource:
    """Batches of this process. View i of step n depends on the seed, n and i alone, whoever computes it.

    Args:
        views: Where views come from.
        spec: The model.
        settings: Of the run.
        rank: Number of this process.
        count: Number of processes; process r takes the r-th share of each step's views.
    """

    def __init__(self, views: Views, spec: ModelSpec, settings: FinetuneSettings, rank: int = 0, count: int = 1):
        if settings.batch_size % count:
            raise ValueError(
                f"batch_size must be a multiple of the number of processes {count}, got {settings.batch_size}"
            )
        self.views, self.spec, self.settings = views, spec, settings
        self.users = settings.users()
        share = settings.batch_size // count
        self.numbers = range(rank * share, (rank + 1) * share)

    def parts(self, step: int) -> list[PromptBatch]:
        """This process's part of a step's batch, cut to what fits into memory at once."""
        size = self.settings.preset().views
        chunks = [self.numbers[i : i + size] for i in range(0, len(self.numbers), size)]
        return [self._batch(step, chunk) for chunk in chunks]

    def from_step(self, step: int) -> Iterator[list[PromptBatch]]:
        """The parts of steps `step`, `step` + 1, ...; the next ones are made in the background."""
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            upcoming = pool.submit(self.parts, step)
            while True:
                step += 1
                parts, upcoming = upcoming.result(), pool.submit(self.parts, step)
                yield parts

    def _batch(self, step: int, numbers: Sequence[int]) -> PromptBatch:
        drawn, masks, prompts, corrects = [], [], [], []
        for number in numbers:
            rng = np.random.default_rng([self.settings.seed, step, number])
            view = self.views.draw(rng)
            user = self.users[rng.choice(len(self.users), p=[share for _, share in self.users])][0]
            asked, said = _prompt_view(view, user, self.settings, rng)
            drawn.append(view)
            masks.append(asked)
            prompts += said
            corrects.append(user.corrections > 0)
        # torch.tensor copies: numpy's memory is aligned by chance, and matrix products round differently with it
        size = self.spec.preprocessing.image_size
        frame = dataclasses.replace(Frame.whole((size, size), size), geometry=self.spec.preprocessing.geometry)
        coords, labels, _, _ = decoder_inputs(prompts, [frame] * len(prompts), size, 1)
        stride = self.spec.preprocessing.mask_stride
        targets = torch.nn.functional.avg_pool2d(torch.tensor(np.concatenate(masks)), stride)
        valid = torch.tensor(np.stack([view.valid for view in drawn])[:, ::stride, ::stride])
        features = None
        if drawn[0].features is not None:
            stacks = zip(*(view.features for view in drawn), strict=True)
            features = tuple(torch.tensor(np.stack(arrays)) for arrays in stacks)
        return PromptBatch(
            pixels=None if features else torch.tensor(np.stack([np.asarray(view.pixels) for view in drawn])),
            features=features,
            targets=targets,
            valid=valid.repeat_interleave(self.settings.objects_per_image, 0),
            coords=torch.tensor(coords),
            labels=torch.tensor(labels),
            ambiguous=torch.tensor(((labels == OBJECT) | (labels == PADDING)).all(1)),
            corrects=torch.tensor(corrects),
            numbers=tuple(numbers),
            names=tuple(view.name for view in drawn),
        )


def _prompt_view(
    view: DrawnView, user: Protocol, settings: FinetuneSettings, rng: np.random.Generator
) -> tuple[np.ndarray, list[Prompt]]:
    """K masks (K, S, S) and their prompts; objects are asked for again, with other prompts, where there are fewer."""
    wanted = settings.objects_per_image
    masks = view.masks[np.arange(wanted) % len(view.masks)]
    prompts = [_filled(first_prompt(core_of(mask), user, rng), user) for mask in masks]
    if "box" in user.kind and rng.random() < settings.negative_share:
        box = _empty_box(view, rng)
        if box is not None:
            masks[-1], prompts[-1] = 0, Prompt(box=box)
    return masks, prompts


def _filled(prompt: Prompt, user: Protocol) -> Prompt:
    """A stroke on a small object has fewer points; the last one is said again, so that all strokes have as many."""
    missing = user.clicks - len(prompt.points) if user.kind == "scribble" else 0
    if missing <= 0:
        return prompt
    points = np.concatenate([prompt.points, np.repeat(prompt.points[-1:], missing, 0)])
    return Prompt(points=points, point_labels=np.ones(len(points)))


def core_of(mask: np.ndarray) -> np.ndarray:
    """Where an object is at least half of a pixel; at least half of its best pixel where it is thinner than that."""
    return mask > min(0.5, 0.5 * float(mask.max()))


def _empty_box(view: DrawnView, rng: np.random.Generator) -> tuple[float, float, float, float] | None:
    """A box inside the image that touches no labelled object; None if none is found."""
    rows, columns = np.flatnonzero(view.valid.any(1)), np.flatnonzero(view.valid.any(0))
    if not len(rows):
        return None
    origin = np.array([columns[0], rows[0]])
    extent = np.array([columns[-1], rows[-1]]) - origin + 1
    for _ in range(NEGATIVE_TRIES):
        side = np.maximum(4, extent * rng.uniform(0.08, 0.4, 2)).astype(int)
        if (side >= extent).any():
            continue
        x0, y0 = origin + rng.integers(0, extent - side)
        x1, y1 = x0 + side[0] - 1, y0 + side[1] - 1
        if not view.occupied[y0 : y1 + 1, x0 : x1 + 1].any() and view.valid[y0 : y1 + 1, x0 : x1 + 1].all():
            return float(x0), float(y0), float(x1), float(y1)
    return None


def correct(
    answers: Tensor, batch: PromptBatch, members: Tensor, step: int, turn: int, seed: int, stride: int
) -> tuple[Tensor, Tensor, Tensor]:
    """What users say next: a click where the answer is wrong, together with that answer.

    Args:
        answers: (V K, M, M) float32 logits of the prompts of `members`.
        batch: The batch.
        members: (V,) numbers of the views in it whose users correct.
        step: Number of the step.
        turn: 0 for the first correction.
        seed: Of the run.
        stride: Model pixels per pixel of the logits.

    Returns:
        (V K, 1, 2) coordinates in model pixels, (V K, 1) kinds, and (V K, 1, M, M) previous logits: clipped ones, or two
        values as from a mask in a file.
    """
    count = len(batch.targets) // len(batch)
    targets = batch.targets.unflatten(0, (-1, count))[members].cpu().numpy()
    valid = batch.valid.unflatten(0, (-1, count))[members].cpu().numpy()
    answers = answers.detach().float()
    shown = answers.unflatten(0, (-1, count)).cpu().numpy()
    coords, kinds, previous = [], [], []
    for i, member in enumerate(members.tolist()):
        rng = np.random.default_rng([seed, step, batch.numbers[member], 1 + turn])
        click, kind = error_click(shown[i], targets[i], valid[i], rng)
        coords.append((click + 0.5) * stride - 0.5)
        kinds.append(kind)
        answer = answers[i * count : (i + 1) * count]
        previous.append(torch.where(answer > 0, 6.0, -6.0) if rng.random() < 0.3 else answer.clamp(-12, 12))
    device = answers.device
    return (
        torch.tensor(np.concatenate(coords)).to(device),
        torch.tensor(np.concatenate(kinds)).to(device),
        torch.cat(previous).unsqueeze(1),
    )
