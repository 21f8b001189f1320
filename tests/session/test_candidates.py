"""Find the others: how many true objects are offered and how many false, on the sample phantom that was looked at on the way."""

import numpy as np
import pytest

from lite_medsam.errors import PromptError
from lite_medsam.phantoms import make_phantom
from lite_medsam.segment.choices import overlap
from lite_medsam.segment.predictor import Predictor
from lite_medsam.segment.region import Region
from lite_medsam.session.candidates import find_similar, is_same
from lite_medsam.session.everything import find_everything


@pytest.fixture(scope="module")
def predictor():
    return Predictor.open(threads=1)


def test_most_nuclei_are_offered_and_few_things_that_are_none(predictor):
    case = make_phantom("microscopy", 1)
    truths = [Region.of(case.label == value) for value in sorted(case.label_names)]
    example = Region.of(predictor.segment(case.image, [case.boxes[1]]).mask(0))
    found = find_similar(predictor, case.image, [example])
    taken = [item.region for item in found if item.likeness >= 0.5]
    right = [max(overlap(region, truth) for truth in truths) >= 0.5 for region in taken]
    assert sum(right) >= 0.55 * (len(truths) - 1) and np.mean(right) >= 0.8
    assert not any(is_same(region, example) for region in taken)
    assert [item.likeness for item in found] == sorted((item.likeness for item in found), reverse=True)


def test_without_an_example_there_is_nothing_to_look_for(predictor):
    with pytest.raises(PromptError, match="draw a box first"):
        find_similar(predictor, np.zeros((64, 64), np.uint8), [Region.of(np.zeros((64, 64), bool))])


def test_a_search_that_is_given_up_finds_nothing_and_works_no_longer(predictor):
    case = make_phantom("microscopy", 1)
    image = case.image[:160, :160]
    example = Region.of(predictor.segment(case.image, [case.boxes[1]]).mask(0))
    asked = []

    def stop():
        asked.append(len(asked))
        return len(asked) == 2

    assert find_everything(predictor, image, stop=stop) == [] and len(asked) == 2
    asked.clear()
    assert find_similar(predictor, case.image, [example], stop=stop) == [] and len(asked) == 2
