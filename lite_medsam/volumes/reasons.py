"""Why following an object ended, or why a slice needs a look, in words."""

REASONS = {
    "end of volume": "the end of the volume",
    "limit": "the limit that was set",
    "empty": "nothing found",
    "score": "the model is much less sure of it",
    "strength": "its pixels are much less certain",
    "contrast": "it stands out much less",
    "area": "suddenly much larger",
    "stopped": "stopped by hand",
    "plane": "followed on another plane",
    "jump": "lies elsewhere than on the slice before",
}
"""What `Ending.why` and `VolumePrediction.weak` say, for people."""

EXPECTED = ("end of volume", "limit", "plane")
"""Endings that need no look."""


def in_words(why: str) -> str:
    """A reason for people; one that is not known as it is."""
    return REASONS.get(why, why)
