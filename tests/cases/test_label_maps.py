"""Label maps: components, instances, shrinking without losing objects."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lite_medsam.cases.adapters.label_maps import (
    count_objects,
    drop_small,
    label_from_colours,
    largest_label,
    resize_label,
    split_instances,
)
from lite_medsam.cases.adapters.source import Drop, ItemError

labels = hnp.arrays(np.uint8, st.tuples(st.integers(1, 14), st.integers(1, 14)), elements=st.integers(0, 3))


def flood_count(mask):
    """Objects of a mask, counted the slow way."""
    todo, count = set(zip(*np.nonzero(mask), strict=True)), 0
    while todo:
        edge, count = [todo.pop()], count + 1
        while edge:
            y, x = edge.pop()
            near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & todo
            todo -= near
            edge += near
    return count


@given(labels)
@settings(max_examples=80, deadline=None)
def test_components_against_a_flood(label):
    expected = {str(v): flood_count(label == v) for v in np.unique(label) if v}
    assert count_objects(label) == expected
    instances, names = split_instances(label, {1: "one"})
    assert instances.max() == sum(expected.values())
    assert ((instances > 0) == (label > 0)).all()
    for value in range(1, int(instances.max()) + 1):
        assert len(np.unique(label[instances == value])) == 1
        assert flood_count(instances == value) == 1
    assert list((names or {}).values()) == ["one"] * expected.get("1", 0)


def test_instances_are_numbered_by_class_then_by_row():
    label = np.array([[2, 0, 1], [0, 0, 0], [1, 0, 2]])
    instances, names = split_instances(label, {1: "a", 2: "b"})
    assert instances.tolist() == [[3, 0, 1], [0, 0, 0], [2, 0, 4]]
    assert names == {1: "a", 2: "a", 3: "b", 4: "b"}


def test_a_volume_joins_26_neighbours():
    label = np.zeros((3, 4, 4), np.uint8)
    label[0, 0, 0] = label[1, 1, 1] = label[2, 2, 2] = 1
    label[0, 3, 3] = 1
    assert count_objects(label) == {"1": 2}


def test_small_objects_are_dropped_with_a_count():
    label = np.zeros((9, 9), np.uint8)
    label[0, :3] = 1
    label[4, 4] = label[8, 0] = 1
    label[6:8, 6:8] = 2
    kept, drops = drop_small(label, 3, {1: "cyst"})
    assert drops == [Drop("cyst", 2, "smaller than 3 px")]
    assert count_objects(kept) == {"1": 1, "2": 1}
    assert label[4, 4] == 1  # the argument is left alone


@given(labels, st.integers(1, 14), st.integers(1, 14))
@settings(max_examples=120, deadline=None)
def test_shrinking_accounts_for_every_object(label, rows, columns):
    size = (min(rows, label.shape[0]), min(columns, label.shape[1]))
    small, drops = resize_label(label, size)
    assert small.shape == size
    assert set(np.unique(small)) <= set(np.unique(label)) | {0}
    before, after = sum(count_objects(label).values()), sum(count_objects(small).values())
    # an object may break into several, never vanish uncounted
    assert after >= before - sum(d.count for d in drops)
    if size == label.shape:
        assert (small == label).all() and not drops


def test_single_pixels_survive_a_strong_shrink():
    label = np.zeros((3000, 3000), np.uint8)
    spots = np.random.default_rng(0).choice(100, (40, 2), replace=True) * 30 + 7
    for y, x in spots:
        label[y, x] = 3
    small, drops = resize_label(label, (300, 300))
    wanted = count_objects(label)["3"]
    assert count_objects(small)["3"] + sum(d.count for d in drops) == wanted
    assert count_objects(small)["3"] >= wanted - 3
    # nearest neighbour alone would have kept about one in a hundred


def test_objects_that_find_no_place_or_merge_are_named():
    label = np.zeros((8, 8), np.uint8)
    label[0, 0], label[0, 2] = 1, 1  # they land side by side
    small, drops = resize_label(label, (4, 4), {1: "ma"})
    assert small[0, :2].tolist() == [1, 1]
    assert drops == [Drop("ma", 1, "merged with a neighbour at 4 x 4")]
    crowd = np.full((8, 8), 2, np.uint8)
    crowd[1, 1] = 1
    small, drops = resize_label(crowd, (1, 1), {1: "ma"})
    assert drops == [Drop("ma", 1, "no pixel of its own at 1 x 1")]


def test_colours_follow_the_table():
    rgb = np.array([[[0, 0, 0], [9, 8, 7]], [[1, 2, 3], [9, 8, 7]]], np.uint8)
    assert label_from_colours(rgb, [(1, 2, 3), (9, 8, 7)]).tolist() == [[0, 2], [1, 2]]
    with pytest.raises(ItemError, match="2 pixels have others, such as 9,8,7"):
        label_from_colours(rgb, [(1, 2, 3)])


@pytest.mark.parametrize("value", [-1, 2_000_000])
def test_absurd_label_values_are_refused(value):
    with pytest.raises(ItemError, match=r"0\.\.1000000"):
        largest_label(np.array([[0, value]]))
