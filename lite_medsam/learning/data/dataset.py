"""Training batches: which image, view and prompts; a function of the seed and the batch's number."""

import concurrent.futures
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from lite_medsam.learning.data.labelled_image import LabelledImage
from lite_medsam.learning.data.prompting import simulate_tokens
from lite_medsam.learning.data.sampling import Sampling, draw_view
from lite_medsam.learning.network.model import OBJECT, PADDING
from lite_medsam.model.prompt_tokens import FIRST_TARGET
from lite_medsam.model.spec import Preprocessing


@dataclass(frozen=True)
class Batch:
    """B views with K prompts each.

    Attributes:
        pixels: (B, 3, S, S) float32.
        targets: (B * K, S, S) float32, share of each pixel that the object covers.
        valid: (B * K, S, S) bool, False in the padding.
        coords: (B * K, P, 2) float32 prompt tokens in model pixels.
        labels: (B * K, P) float32 their kinds.
        ambiguous: (B * K,) bool, True where the prompt is nothing but clicks on the object.
    """

    pixels: Tensor
    targets: Tensor
    valid: Tensor
    coords: Tensor
    labels: Tensor
    ambiguous: Tensor

    def share(self, rank: int, count: int) -> "Batch":
        """The views of one of `count` processes, with their prompts.

        Raises:
            ValueError: If the views cannot be divided evenly.
        """
        views = len(self.pixels)
        if views % count:
            raise ValueError(f"batch_size must be a multiple of the number of processes {count}, got {views}")
        return self._map(lambda x: x.chunk(count)[rank])

    def to(self, device: torch.device) -> "Batch":
        """The batch on a device."""
        return self._map(lambda x: x.to(device, non_blocking=True))

    def _map(self, function: Callable[[Tensor], Tensor]) -> "Batch":
        return Batch(*(function(getattr(self, field.name)) for field in fields(self)))


class BatchSource:
    """Endless batches; batch number n is a function of the seed and n alone, so a run can continue anywhere."""

    def __init__(
        self,
        images: Sequence[LabelledImage],
        settings: Preprocessing,
        sampling: Sampling,
        batch_size: int,
        seed: int,
        vocabulary: Sequence[str] = (),
    ):
        if not images:
            raise ValueError("training needs at least one labelled image, got none; check --cases")
        self.images, self.settings, self.sampling = images, settings, sampling
        self.batch_size, self.seed = batch_size, seed
        self.by_modality = index_by_modality(images, sampling.dataset_weights)
        self.number_of = {name: i for i, name in enumerate(vocabulary)}
        self.can_name = [m for m in self.by_modality if m in self.number_of]
        usual = sampling.dataset_weights
        more = {name: factor * usual.get(name, 1.0) for name, factor in sampling.named_weights.items()}
        self.by_modality_named = index_by_modality(images, usual | more)
        factors = np.array([sampling.named_weights.get(m, 1.0) for m in self.can_name])
        self.named_shares = factors / factors.sum() if len(factors) else None

    def batch(self, number: int) -> Batch:
        """Batch `number`, counted from 0."""
        rng = np.random.default_rng([self.seed, number])
        mixed = rng.random() < self.sampling.mixed_share
        # a batch as a whole, because prompts without a name have no token for it, neither here nor in use
        named = bool(self.can_name) and rng.random() < self.sampling.named_share
        views = [self._view(rng, mixed, named) for _ in range(self.batch_size)]
        pixels, targets, valid, coords, labels = (np.stack(part) for part in zip(*views, strict=True))
        objects = targets.shape[1]
        labels = labels.reshape(-1, labels.shape[-1])
        # copied, because numpy's memory is aligned by chance, and matrix products round differently with it
        return Batch(
            pixels=torch.from_numpy(pixels),
            targets=torch.from_numpy(targets).flatten(0, 1),
            valid=torch.from_numpy(valid).repeat_interleave(objects, 0).bool(),
            coords=torch.tensor(coords).flatten(0, 1),
            labels=torch.tensor(labels),
            ambiguous=torch.from_numpy((labels == OBJECT).sum(1) == (labels != PADDING).sum(1)),
        )

    def from_number(self, start: int) -> Iterator[Batch]:
        """Batches start, start + 1, ...; the next one is made in the background."""
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            upcoming = pool.submit(self.batch, start)
            while True:
                start += 1
                batch, upcoming = upcoming.result(), pool.submit(self.batch, start)
                yield batch

    def _view(self, rng: np.random.Generator, mixed: bool, named: bool) -> tuple[np.ndarray, ...]:
        """One view with its prompts; views without an object that is large enough are passed over."""
        view = None
        while view is None:
            modality = rng.choice(self.can_name, p=self.named_shares) if named else rng.choice(list(self.by_modality))
            members, weights = (self.by_modality_named if named else self.by_modality)[modality]
            source = self.images[rng.choice(members, p=weights)]
            view = draw_view(source, self.settings, self.sampling, rng)
        wanted = self.sampling.objects_per_image
        masks = view.masks[np.arange(wanted) % len(view.masks)]
        settings = self.sampling
        prompts = [simulate_tokens(mask, settings.jitter, mixed, rng, settings.stroke_share) for mask in masks]
        coords, labels = (np.stack(part) for part in zip(*prompts, strict=True))
        if named:
            names = [view.targets[i % len(view.targets)] for i in range(wanted)]
            tokens = [self._name_token(name, source.modality, rng) for name in names]
            coords = np.concatenate([coords, np.zeros((wanted, 1, 2), np.float32)], 1)
            labels = np.concatenate([labels, np.array(tokens, np.float32)[:, None]], 1)
        return view.pixels, masks, view.valid, coords, labels

    def _name_token(self, name: str, modality: str, rng: np.random.Generator) -> int:
        by_modality = name not in self.number_of or rng.random() < self.sampling.modality_name_share
        return FIRST_TARGET + self.number_of[modality if by_modality else name]


def index_by_modality(
    images: Sequence[LabelledImage], dataset_weights: Mapping[str, float] | None = None
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Members and draw weights by modality; a data set's share grows with the square root of its size.

    Args:
        images: The images.
        dataset_weights: Factors for the shares of data sets, 1 where there is none.
    """
    members: dict[str, list[int]] = {}
    for i, image in enumerate(images):
        members.setdefault(image.modality, []).append(i)
    result = {}
    for modality in sorted(members):
        indices = np.array(members[modality])
        names, sizes = np.unique([images[i].dataset for i in indices], return_counts=True)
        factors = [(dataset_weights or {}).get(str(name), 1.0) for name in names]
        per_image = dict(zip(names, factors / np.sqrt(sizes), strict=True))
        weights = np.array([per_image[images[i].dataset] for i in indices])
        result[modality] = indices, weights / weights.sum()
    return result
