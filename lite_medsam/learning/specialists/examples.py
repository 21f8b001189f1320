"""Training examples of a specialist: a view of an image, the box of one object in it, its mask."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from lite_medsam.evaluation.specialist import network_input
from lite_medsam.learning.data.dataset import index_by_modality
from lite_medsam.learning.data.labelled_image import LabelledImage
from lite_medsam.learning.data.sampling import Sampling, draw_view
from lite_medsam.learning.specialists.settings import SpecialistSettings
from lite_medsam.model.preprocessing import Frame, boxes_to_model
from lite_medsam.model.spec import Preprocessing, Zoom
from lite_medsam.prompts.first_prompts import first_prompt
from lite_medsam.prompts.prompt_set import load_protocol

TRIES = 30
Batch = tuple[Tensor, Tensor, Tensor]
"""(N, 4, S, S) inputs, (N, S, S) share of each pixel that the object covers, (N, S, S) bool, False in the padding."""


class Examples:
    """Batches of views, the modalities in equal shares. Example i of step n depends on the seed, n and i alone.

    Args:
        images: What is trained on.
        settings: Of the run.
    """

    def __init__(self, images: Sequence[LabelledImage], settings: SpecialistSettings):
        if not images:
            raise ValueError("training needs images with labelled objects, got none")
        self.images, self.settings = list(images), settings
        self.preprocessing = Preprocessing(image_size=settings.image_size)
        self.sampling = Sampling(
            objects_per_image=1,
            crop_share=settings.crop_share,
            crop_context=settings.crop_context,
            crop_minimum_px=Zoom().minimum_px,
            minimum_area_px=settings.minimum_area_px,
        )
        self.protocol = load_protocol(settings.protocol)
        self.by_modality = index_by_modality(self.images)

    def from_step(self, step: int) -> Iterator[Batch]:
        """Endless batches; the next one is made while the last one is used."""
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(self.batch, step)
            while True:
                step += 1
                ready, waiting = waiting.result(), pool.submit(self.batch, step)
                yield ready

    def batch(self, step: int) -> Batch:
        """The batch of a step."""
        examples = [
            self.draw(np.random.default_rng([self.settings.seed, step, number]))
            for number in range(self.settings.batch_size)
        ]
        inputs, masks, valid = (torch.from_numpy(np.stack(arrays)) for arrays in zip(*examples, strict=True))
        return inputs, masks, valid

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """One example.

        Raises:
            ValueError: If the objects are too small to be seen.
        """
        size = self.settings.image_size
        frame = Frame.whole((size, size), size)
        for _ in range(TRIES):
            members, weights = self.by_modality[list(self.by_modality)[rng.integers(len(self.by_modality))]]
            source = self.images[rng.choice(members, p=weights)]
            view = draw_view(source, self.preprocessing, self.sampling, rng, self.settings.augment)
            if view is None:
                continue
            mask = view.masks[0]
            prompt = first_prompt(mask > min(0.5, 0.5 * mask.max()), self.protocol, rng)
            return network_input(view.pixels, boxes_to_model(np.asarray(prompt.box), frame)), mask, view.valid > 0
        raise ValueError(
            f"views must show objects, {TRIES} in a row did not; lower --minimum-area-px or raise --crop-share"
        )
