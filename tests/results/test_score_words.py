"""Scores in words."""

import numpy as np
import pytest

from lite_medsam.results.score_words import MEANINGS, score_words


@pytest.mark.parametrize(
    ("score", "words"),
    [
        (1.0, "good"), (0.8, "good"), (np.float32(0.81), "good"), (0.7999, "usable after correction"),
        (0.5, "usable after correction"), (0.43, "start over"), (0.0, "start over"), (None, "no score"),
        (float("nan"), "no score"), (np.float32("nan"), "no score"),
    ],
)  # fmt: skip
def test_words(score, words):
    assert score_words(score) == words and MEANINGS[words]
