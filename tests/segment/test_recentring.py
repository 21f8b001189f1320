import numpy as np
from fakes import FakeBackend
from hypothesis import given, settings
from hypothesis import strategies as st

from lite_medsam.model.preprocessing import Frame, boxes_to_model, to_model
from lite_medsam.model.spec import Zoom
from lite_medsam.segment.predictor import Predictor
from lite_medsam.segment.recentring import recentre, restore, shifts

SIZE = 64
FEATURES = tuple(
    np.random.default_rng(i).normal(size=(1, 3, n, n)).astype(np.float32) for i, n in enumerate((8, 16, 64))
)


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(0, 60), st.integers(2, 30))
def test_an_object_ends_within_half_a_cell_of_the_middle(x, y, length):
    frame = Frame(10, 20, 100, 100, SIZE)
    box = (x + 10, y + 20, x + 9 + length, y + 19 + length)
    move = shifts([box], frame, FEATURES, SIZE)[0]
    corners = boxes_to_model(box, frame)
    middle = (corners[:2] + corners[2:]) / 2 + move
    assert (move % 8 == 0).all() and np.abs(middle - 31.5).max() <= 4 + 1e-3


def test_features_tokens_and_earlier_masks_move_together_and_come_back():
    moves = np.array([[16, -8], [0, 0]])
    coords = np.array([[[10, 20], [30, 40], [60, 4]]] * 2, np.float32)
    previous = np.random.default_rng(3).normal(size=(2, 1, 32, 32)).astype(np.float32)
    shown, moved, before = recentre(FEATURES, coords, previous, moves, SIZE)
    for feature, source in zip(shown, FEATURES, strict=True):
        cell = SIZE // source.shape[-1]
        assert feature.shape == (2, *source.shape[1:])
        # what was at (x, y) is now at (x + 16, y - 8)
        np.testing.assert_array_equal(
            feature[0, :, (20 - 8) // cell, (10 + 16) // cell], source[0, :, 20 // cell, 10 // cell]
        )
        np.testing.assert_array_equal(feature[1], source[0])
    # the last token leaves on the right and at the top and comes in on the other side, as its surroundings do
    np.testing.assert_array_equal(moved[0], [[26, 12], [46, 32], [12, 60]])
    np.testing.assert_array_equal(moved[1], coords[1])
    np.testing.assert_array_equal(before[0, 0, 5 - 4, 3 + 8], previous[0, 0, 5, 3])
    np.testing.assert_array_equal(restore(before[0, 0], moves[0], SIZE), previous[0, 0])


class BrightInBox(FakeBackend):
    """Segments what is bright in the box, so that features and prompts have to move together."""

    def decode(self, features, coords, labels, previous, has_previous):
        _, scores = super().decode(features, coords, labels, previous, has_previous)
        y, x = np.mgrid[: self.size, : self.size]
        logits = []
        for i, (corners, kinds) in enumerate(zip(coords, labels, strict=True)):
            (x0, y0), (x1, y1) = corners[kinds == 2][0], corners[kinds == 3][0]
            inside = (x >= x0 - 1) & (x <= x1 + 1) & (y >= y0 - 1) & (y <= y1 + 1)
            feature = features[0][i * len(features[0]) // len(coords), 0]
            logits.append(np.where(inside, feature - self.level, -9))
        return np.stack(logits)[:, None].astype(np.float32), scores


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_objects_that_share_crops_are_found_where_they_are(seed):
    rng = np.random.default_rng(seed)
    image = np.zeros((400, 400), np.uint8)
    boxes, truth = [], []
    for row in range(6):
        for column in range(6):
            x, y = 60 * column + rng.integers(5, 40), 60 * row + rng.integers(5, 40)
            boxes.append((x - 3, y - 3, x + 23, y + 23))
            truth.append((slice(y, y + 21), slice(x, x + 21)))
    for place in truth:
        image[place] = 255
    backend = BrightInBox(128, zoom=Zoom(own_crops=4))
    levels = to_model(image, Frame.whole((400, 400), 128), backend.spec.preprocessing)[0]
    backend.level = (levels.max() + levels.min()) / 2
    prediction = Predictor(backend).segment(image, boxes)
    assert sum(len(pixels) for pixels in backend.encoded) <= 16
    for i, place in enumerate(truth):
        expected = np.zeros((400, 400), bool)
        expected[place] = True
        others = np.zeros((400, 400), bool)  # a neighbour that reaches into the box is bright as well
        for j, other in enumerate(truth):
            if j != i:
                others[other] = True
        found = prediction.mask(i)
        assert np.count_nonzero((found ^ expected) & ~others) <= 0.25 * expected.sum()
