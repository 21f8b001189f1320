"""The clicking user: where it clicks, what goes back in, and when it stops."""

import numpy as np

from lite_medsam.prompts import simulated_user
from lite_medsam.prompts.prompt_set import Prompt
from lite_medsam.prompts.simulated_user import SimulatedUser


class Answers:
    """A segmenter that gives prepared answers, one list of masks per call, and remembers what it was
    asked."""

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), []

    def segment(self, image, prompts):
        self.asked.append(prompts)
        masks = self.answers.pop(0)
        assert len(masks) == len(prompts)
        return Prediction(masks)


class Prediction:
    def __init__(self, masks):
        self.masks, self.scores = masks, np.linspace(0.5, 0.6, len(masks), dtype=np.float32)

    def __len__(self):
        return len(self.masks)

    def mask(self, index):
        return self.masks[index]


def square(top, left, side, size=20):
    mask = np.zeros((size, size), bool)
    mask[top : top + side, left : left + side] = True
    return mask


def rngs(count):
    return [np.random.default_rng(i) for i in range(count)]


def test_clicks_go_to_the_error_and_the_mask_goes_back_in():
    truth, half, too_much = square(5, 5, 9), square(5, 5, 4), square(5, 5, 9) | square(0, 15, 5)
    segmenter = Answers([half], [too_much], [truth])
    first = Prompt(box=(5, 5, 13, 13))
    user = SimulatedUser(segmenter, np.zeros((20, 20), np.uint8), [first])
    user.correct([truth], rngs(1))
    user.correct([truth], rngs(1))
    assert np.array_equal(user.masks[0], truth)

    second, third = segmenter.asked[1][0], segmenter.asked[2][0]
    assert second.box == third.box == first.box
    assert np.array_equal(second.mask, half) and np.array_equal(third.mask, too_much)
    ((x, y),) = second.points.astype(int)
    assert second.point_labels.tolist() == [1] and truth[y, x] and not half[y, x]
    assert third.point_labels.tolist() == [1, 0]
    assert np.array_equal(third.points[0], second.points[0])
    assert third.points[1].tolist() == [17, 2]  # the middle of the surplus square
    assert first.mask is None and len(first.points) == 0  # the caller's prompt is left alone


def test_a_finished_object_is_not_asked_about_again():
    truths = [square(2, 2, 5), square(10, 10, 6)]
    segmenter = Answers([truths[0], square(10, 10, 3)], [truths[1]])
    prompts = [Prompt(box=(1, 1, 7, 7)), Prompt(box=(9, 9, 17, 17))]
    user = SimulatedUser(segmenter, np.zeros((20, 20), np.uint8), prompts)
    assert user.scores == [0.5, np.float32(0.6)]
    user.correct(truths, rngs(2))
    assert len(segmenter.asked[1]) == 1 and segmenter.asked[1][0].box == (9, 9, 17, 17)
    assert user.scores == [0.5, 0.5]
    user.correct(truths, rngs(2))  # nothing left: a further call would find no answer
    assert len(segmenter.asked) == 2
    assert np.array_equal(user.masks[0], truths[0]) and np.array_equal(user.masks[1], truths[1])


def test_time_in_the_segmenter_adds_up(monkeypatch):
    clock = iter([10.0, 12.0, 20.0, 25.0])
    monkeypatch.setattr(simulated_user.time, "perf_counter", lambda: next(clock))
    truth = square(2, 2, 5)
    user = SimulatedUser(Answers([~truth], [truth]), np.zeros((20, 20), np.uint8), [Prompt(box=(1, 1, 7, 7))])
    assert user.seconds == 2
    user.correct([truth], rngs(1))
    assert user.seconds == 2 + 5
