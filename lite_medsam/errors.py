"""The errors that a user's input or environment can cause; each message says what it must be, what came, what to do."""


class CaseError(ValueError):
    """An image, volume, label map or npz case is not what it must be."""


class PromptError(ValueError):
    """A box, point, previous mask, prompt file or protocol is not what it must be."""


class WeightsError(ValueError):
    """A model directory, its spec or a checkpoint is missing, damaged or of another kind."""


class MissingExtraError(ImportError):
    """An optional dependency is not installed; the message names the extra that brings it."""

    def __init__(self, needed_for: str, extra: str, missing: str | None = None):
        what = f" (missing: {missing})" if missing else ""
        super().__init__(
            f'{needed_for} needs the "{extra}" extra{what}; install it: pip install "lite-medsam[{extra}]"'
        )
