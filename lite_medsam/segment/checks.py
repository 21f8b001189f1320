"""What an image and prompts must be before the model is asked."""

from collections.abc import Iterable, Sequence

import numpy as np

from lite_medsam.errors import CaseError, PromptError
from lite_medsam.model.prompt_tokens import prompt_kinds
from lite_medsam.model.spec import ModelSpec
from lite_medsam.prompts.prompt_set import Prompt, as_prompts, validate
from lite_medsam.prompts.vocabulary import check_target

# (N, 4) boxes, or one prompt or box per object
Prompts = Iterable[Prompt | Sequence[float]] | np.ndarray


def check_image(image: np.ndarray) -> None:
    """Raises CaseError unless the image is (H, W) or (H, W, 3) uint8 and not empty."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        kind = image.dtype if isinstance(image, np.ndarray) else type(image).__name__
        raise CaseError(f"image must be a uint8 array, got {kind}; convert it with lite_medsam.to_uint8")
    if not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)) or not image.size:
        raise CaseError(f"image must be (H, W) or (H, W, 3) and not empty, got shape {image.shape}")


def checked_prompts(prompts: Prompts, image_hw: tuple[int, int], spec: ModelSpec) -> tuple[Prompt, ...]:
    """One prompt per object, inside the image, all of them fit for the model.

    Args:
        prompts: (N, 4) boxes, or prompts.
        image_hw: Shape of the image.
        spec: Of the model.

    Raises:
        PromptError: If a prompt does not fit the image, is of a kind that the model was not trained on, or has a target
            that the model does not know.
    """
    given, checked = as_prompts(prompts), []
    for i, prompt in enumerate(given):
        try:
            checked.append(validate(prompt, image_hw))
            if prompt.target is not None and not prompt.final:
                check_target(prompt.target, spec.targets, spec.name)
        except PromptError as error:
            raise PromptError(f"object {i + 1}: {error}" if len(given) > 1 else str(error)) from None
        check_kinds(prompt, spec)
    return tuple(checked)


def check_kinds(prompt: Prompt, spec: ModelSpec) -> None:
    """Raises PromptError if a prompt is of a kind that a model was not trained on."""
    missing = prompt_kinds(prompt) - set(spec.prompts)
    if missing:
        raise PromptError(
            f"prompts must be of the kinds that {spec.name} was trained on ({', '.join(sorted(spec.prompts))}), "
            f"got {', '.join(sorted(missing))}; use other weights"
        )
