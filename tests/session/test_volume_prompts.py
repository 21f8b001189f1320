"""The prompts of a volume that are saved hold what was said, and make the same masks again on every slice."""

import json

import numpy as np
import pytest
from sessions import fake_session

from lite_medsam.prompts.volume_prompt_set import load_volume_prompts, volume_prompt_files
from lite_medsam.volumes.propagation import propagate

HW = (60, 80)


def boxed():
    session, _ = fake_session((9, *HW), is_volume=True)
    session.draw_box((10, 10, 40, 40), 4)
    session.click(30, 30, True, 4)
    session.click(45, 45, False, 4)
    return session


def followed():
    session = boxed()
    session.adopt(session.propagate())
    return session


def corrected_since():
    session = followed()
    session.paint([[60, 50]], 4, True, 6)
    return session


def stopped():
    session = boxed()
    done = iter(range(3))
    session.adopt(session.propagate(stop=lambda: next(done, None) is None))
    return session


def two_slices_not_followed():
    session = boxed()
    session.draw_box((12, 12, 35, 40), 7)
    return session


def not_there_on_a_slice():
    session = followed()
    session.paint([[20, 20]], 3, True, 6)
    session.paint([[40, 30]], 200, False, 6)
    session.adopt(session.propagate())
    return session


def another_window_since():
    session = followed()
    session.set_window((100.0, 60.0))
    return session


def painted_and_followed():
    session = boxed()
    session.draw_new((50, 5, 70, 20), 2)
    session.paint([[60, 10]], 3, False, 2)
    session.adopt(session.propagate())
    return session


CASES = (
    boxed, followed, corrected_since, stopped, two_slices_not_followed, not_there_on_a_slice, another_window_since,
    painted_and_followed,
)  # fmt: skip


@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
def test_saved_prompts_make_the_same_masks(make, tmp_path):
    session = make()
    seeds, masks, _ = session.volume_objects()
    for name, content in volume_prompt_files(seeds).items():
        (tmp_path / name).write_bytes(content)
    again = propagate(session.predictor, session.volume(), load_volume_prompts(tmp_path / "prompts.json"))
    assert len(again) == len(masks)
    for i, mask in enumerate(masks):
        assert np.array_equal(again.mask(i), mask), session.now.objects[i].name


def test_saved_prompts_keep_boxes_and_clicks(tmp_path):
    document = json.loads(volume_prompt_files(followed().volume_objects()[0])["prompts.json"])
    (item,) = document["objects"]
    (entry,) = item["slices"]
    assert entry["z"] == 4 and entry["box"] == [10, 10, 40, 40] and len(entry["points"]) == 2 and "final" not in entry
    painted = json.loads(volume_prompt_files(corrected_since().volume_objects()[0])["prompts.json"])["objects"][0][
        "slices"
    ]
    by_slice = {entry["z"]: entry for entry in painted}
    assert by_slice[4]["box"] and by_slice[6]["final"] and by_slice[6]["mask"]
