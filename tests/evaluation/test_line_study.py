"""The study of lines: which objects count as lesions, and every rule is asked for each."""

import numpy as np
from fakes import FakeBackend

from lite_medsam.cases.case import Case
from lite_medsam.evaluation.line_study import lesions, study
from lite_medsam.prompts.diameter_lines import RULES
from lite_medsam.segment.predictor import Predictor


def test_lesions_are_one_solid_part_and_every_rule_is_scored():
    label = np.zeros((60, 80), np.uint8)
    label[5:20, 5:30] = 1
    label[30:32, 5:60] = label[30:58, 5:7] = 2  # an angle: not solid
    label[40:50, 40:50] = label[5:15, 60:70] = 3  # two parts
    label[55, 75] = 4  # too small
    case = Case(image=np.zeros((60, 80), np.uint8), label=label, name="a")
    (mask,) = lesions(case)
    assert np.array_equal(mask, label == 1)
    found = study(Predictor(FakeBackend()), [case])
    assert [*found] == ["box", *RULES] and all(len(scores) == 1 for scores in found.values())
    assert found["box"][0] > 0
