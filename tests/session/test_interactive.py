"""An interactive session without a browser: what is shown is what the prompts make."""

from dataclasses import replace

import numpy as np
import pytest
from fakes import FakeBackend
from hypothesis import given, settings
from hypothesis import strategies as st
from sessions import disc, fake_session, scan_of

from lite_medsam.errors import CaseError, PromptError
from lite_medsam.model.calibration import apply
from lite_medsam.model.encoding_cache import EncodingCache
from lite_medsam.model.spec import ScoreCalibration
from lite_medsam.phantoms import make_phantom, make_phantom_volume
from lite_medsam.prompts.prompt_set import Prompt, load_prompts, save_prompts
from lite_medsam.prompts.strokes import brushed, checked_stroke, clicks_along
from lite_medsam.results.measurements import is_fluid
from lite_medsam.segment.choices import choices, overlap
from lite_medsam.segment.instances import split_instances
from lite_medsam.segment.predictor import Predictor
from lite_medsam.segment.region import Region
from lite_medsam.segment.timed_backend import TimedBackend
from lite_medsam.session.interactive import MAX_OBJECTS, Session


@pytest.fixture(scope="module")
def bundled():
    return Predictor.open(cache=EncodingCache())


def unpacked(runs):
    flat = np.concatenate([np.full(n, i % 2, bool) for i, n in enumerate(runs["runs"])] or [np.zeros(0, bool)])
    return flat.reshape(runs["h"], runs["w"])


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.data(), st.integers(1, 4))
def test_runs_say_where_the_mask_is(height, width, data, step):
    bits = data.draw(st.lists(st.booleans(), min_size=height * width, max_size=height * width))
    mask = np.array(bits).reshape(height, width)
    region = Region.of(mask)
    assert np.array_equal(region.full(), mask) and region.area_px == mask.sum()
    runs = region.runs(step)
    shown = np.zeros((-(-height // step), -(-width // step)), bool)
    small = unpacked(runs)
    shown[runs["y"] : runs["y"] + small.shape[0], runs["x"] : runs["x"] + small.shape[1]] = small
    assert np.array_equal(shown, mask[::step, ::step])
    assert sum(runs["runs"]) == runs["w"] * runs["h"] and all(n > 0 for n in runs["runs"][1:])


def test_overlap_of_regions_is_iou():
    a, b = disc((50, 60), 20, 20, 8), disc((50, 60), 26, 22, 9)
    assert overlap(Region.of(a), Region.of(b)) == pytest.approx((a & b).sum() / (a | b).sum())
    empty = Region.of(np.zeros((50, 60), bool))
    assert overlap(empty, empty) == 1 and overlap(empty, Region.of(a)) == 0
    assert overlap(Region.of(a), Region.of(disc((50, 60), 50, 40, 4))) == 0


def test_a_scribble_becomes_clicks_at_equal_distances():
    points = clicks_along(np.array([[0.0, 10], [80, 10]]), (20, 100), 8)
    assert points.tolist() == [[5, 10], [15, 10], [25, 10], [35, 10], [45, 10], [55, 10], [65, 10], [75, 10]]
    assert clicks_along(np.array([[3.2, 4.4]]), (20, 20)).tolist() == [[3, 4]]
    outside = clicks_along(np.array([[-50.0, 5], [50, 5]]), (10, 20))
    assert (outside >= 0).all() and (outside[:, 0] <= 19).all() and len(np.unique(outside, axis=0)) == len(outside)
    for wrong in ([], [[1]], [[1, np.nan]], "line", [[1, 2, 3]], None, [[1, 2]] * 30_000, [[1e9, 1]]):
        with pytest.raises(PromptError, match="a stroke must be"):
            checked_stroke(wrong)


def test_a_brush_paints_the_pixels_under_it():
    dab = brushed(np.array([[30.0, 20.0]]), (40, 60), 6)
    assert np.array_equal(dab, disc((40, 60), 30, 20, 6))
    line = brushed(np.array([[10.0, 20.0], [50, 20]]), (40, 60), 3)
    expected = disc((40, 60), 10, 20, 3) | disc((40, 60), 50, 20, 3)
    expected[17:24, 10:51] = True
    assert np.array_equal(line, expected)
    assert np.array_equal(brushed(np.array([[-3.0, 5.0]]), (20, 20), 5), disc((20, 20), -3, 5, 5))
    assert brushed(np.array([[4.0, 5.0]]), (10, 10), 0).sum() == 1
    assert not brushed(np.array([[-40.0, -40]]), (10, 10), 3).any()


def test_touching_discs_are_divided_and_a_disc_is_not():
    hw = (80, 120)
    two = disc(hw, 35, 40, 20) | disc(hw, 70, 40, 20)
    pieces = split_instances(two)
    assert len(pieces) == 2 and np.array_equal(pieces[0] | pieces[1], two) and not (pieces[0] & pieces[1]).any()
    assert min(piece.sum() for piece in pieces) > 0.9 * disc(hw, 35, 40, 20).sum()
    assert len(split_instances(disc(hw, 40, 40, 25))) == 1
    uneven = split_instances(disc(hw, 40, 40, 25) | disc(hw, 73, 40, 11))
    assert len(uneven) == 2 and uneven[1].sum() > 0.8 * disc(hw, 73, 40, 11).sum()
    apart = disc(hw, 20, 20, 8) | disc(hw, 90, 60, 12)
    assert [int(piece.sum()) for piece in split_instances(apart)] == sorted(
        [int(disc(hw, 20, 20, 8).sum()), int(disc(hw, 90, 60, 12).sum())], reverse=True
    )
    assert split_instances(np.zeros(hw, bool)) == []


def test_all_choices_have_scores_on_one_scale(bundled):
    case = make_phantom("oct-cme", 0)
    click = Prompt(points=[np.argwhere(case.label == 1).mean(0).round()[::-1]], point_labels=[1])
    found = []
    for calibration in (ScoreCalibration(), ScoreCalibration(slope=0.5, intercept=1.0)):
        backend = TimedBackend(bundled.backend)
        backend.spec = replace(bundled.spec, score_calibration=calibration)
        found.append([choice.score for choice in choices(Predictor(backend), case.image, click)])
    plain, corrected = found
    assert len(plain) >= 2
    np.testing.assert_allclose(corrected, apply(np.array(plain), calibration), atol=1e-6)


def test_the_first_choice_is_the_answer_of_segment_and_an_image_is_encoded_once(bundled):
    case = make_phantom("us", 2)
    backend = TimedBackend(bundled.backend)
    cached = Predictor(backend, cache=EncodingCache())
    centre = np.reshape(case.boxes[0], (2, 2)).mean(0)
    for prompt in (
        Prompt(points=[[260, 220]], point_labels=[1]),
        Prompt(box=tuple(case.boxes[0])),
        Prompt(box=tuple(case.boxes[0]), points=[centre, [10, 10]], point_labels=[1, 0]),
    ):
        found = choices(cached, case.image, prompt)
        expected = bundled.segment(case.image, [prompt])
        assert np.array_equal(found[0].region.full(), expected.mask(0))
        assert found[0].score == pytest.approx(float(expected.scores[0]))
        assert all(overlap(a.region, b.region) < 0.95 for i, a in enumerate(found) for b in found[:i])
    spent = backend.spent()
    assert spent["encode"] > 0 and spent["decode"] > 0
    choices(cached, case.image, prompt)
    spent = backend.spent()
    assert spent["encode"] == 0 and spent["decode"] > 0 and backend.spent()["decode"] == 0


def test_a_box_then_clicks_refine_the_mask_before():
    session, backend = fake_session()
    session.draw_box((20, 10, 70, 60))
    (item,) = session.now.objects
    first = item.region(0)
    assert first.area_px > 1000 and item.answers[0].score == pytest.approx(0.9)
    session.click(40, 30, True)
    _, _, previous, has_previous = backend.decoded[-1]
    assert has_previous[0] == 1 and (previous[0, 0] > 0).sum() > 100
    assert session.now.objects[0].answers[0].previous.area_px == first.area_px
    session.click(80, 70, False)
    _, labels, _, _ = backend.decoded[-1]
    assert sorted(labels[0].tolist()) == [-1, 0, 1, 2, 3] and len(backend.encoded) == 1
    session.draw_box((10, 10, 40, 40))  # a moved box starts from the box and the clicks
    assert backend.decoded[-1][3][0] == 0 and len(session.now.objects[0].answers[0].points) == 2


def test_undo_and_redo_bring_back_masks_and_prompts():
    session, _ = fake_session()
    assert not session.can_undo and not session.can_redo
    session.undo()
    states = [session.now]
    session.draw_box((20, 10, 70, 60))
    states.append(session.now)
    session.click(40, 30, True)
    states.append(session.now)
    session.paint([[100, 80]], 5, True)
    states.append(session.now)
    session.clear()
    for state in reversed(states):
        session.undo()
        assert session.now is state
    assert not session.can_undo
    for state in states[1:]:
        session.redo()
        assert session.now is state
    session.click(50, 50, True)
    assert not session.can_redo


def test_what_fails_changes_nothing():
    session, _ = fake_session()
    session.draw_box((20, 10, 70, 60))
    before = session.now
    for wrong in (
        lambda: session.draw_box((70, 10, 20, 60)),
        lambda: session.draw_box((200, 200, 210, 210)),
        lambda: session.click(500, 1, True),
        lambda: session.click(float("nan"), 1, True),
        lambda: session.choose(7),
        lambda: session.remove_point(0),
        lambda: session.merge([before.selected]),
        lambda: session.paint([[1, 1]], -1, True),
        lambda: session.rename(before.selected, "  "),
        lambda: session.rename(before.selected, "x" * 100),
        lambda: session.select(99),
        lambda: session.draw_box((1, 1, 9, 9), 3),
        lambda: session.propagate(),
        lambda: session.set_window((0, -1)),
    ):
        with pytest.raises((PromptError, CaseError)):
            wrong()
        assert session.now is before and session.window is None
    empty, _ = fake_session()
    with pytest.raises(PromptError, match="must have a box, a point on the object"):
        empty.click(3, 3, False)
    assert empty.now.objects == ()


def test_several_objects_keep_their_names_and_order():
    session, _ = fake_session()
    session.draw_box((5, 5, 30, 30))
    session.draw_new((50, 5, 80, 30))
    session.add_object("vein  1")
    session.draw_box((50, 50, 80, 80))
    assert [item.name for item in session.now.objects] == ["object 1", "object 2", "vein 1"]
    session.select(session.now.objects[0].id)
    session.rename(session.now.objects[0].id, "artery")
    assert [prompt.name for _, prompt in session.prompts()] == ["artery", "object 2", "vein 1"]
    session.remove()
    assert [item.name for item in session.now.objects] == ["object 2", "vein 1"]
    labels = session.label_map()
    assert set(np.unique(labels)) == {0, 2, 3} and (labels == 3).sum() == session.now.objects[1].region(0).area_px
    for _ in range(MAX_OBJECTS - 2):
        session.add_object()
    with pytest.raises(PromptError, match="at most"):
        session.add_object()


def test_painting_is_exact_and_a_click_after_it_refines_it():
    session, backend = fake_session()
    session.paint([[30, 30], [60, 30]], 4, True)
    painted = session.now.objects[0].region(0).full()
    assert np.array_equal(painted, brushed(np.array([[30.0, 30], [60, 30]]), (90, 120), 4)) and not backend.encoded
    session.paint([[60, 30]], 6, False)
    left = session.now.objects[0].region(0).full()
    assert np.array_equal(left, painted & ~brushed(np.array([[60.0, 30]]), (90, 120), 6))
    ((item, prompt),) = session.prompts()
    assert prompt.final and np.array_equal(prompt.mask, left) and item.answers[0].score is None
    session.click(40, 30, True)
    assert backend.decoded[-1][3][0] == 1 and session.prompts()[0][1].final
    session.paint([[60, 45]], 200, False)
    assert session.prompts() == []  # all erased: nothing to save


def test_merge_and_split_keep_every_pixel():
    session, _ = fake_session()
    session.paint([[30, 40]], 15, True)
    session.add_object("second")
    session.paint([[53, 40]], 15, True)
    first, second = session.now.objects
    union = first.region(0).full() | second.region(0).full()
    session.merge([first.id, second.id])
    (merged,) = session.now.objects
    assert merged.id == first.id and np.array_equal(merged.region(0).full(), union)
    assert session.split() == 2
    pieces = [item.region(0).full() for item in session.now.objects]
    assert np.array_equal(pieces[0] | pieces[1], union) and not (pieces[0] & pieces[1]).any()
    before = session.now
    assert session.split() == 1 and session.now is before
    session.undo()
    assert [item.id for item in session.now.objects] == [first.id]


def test_what_is_shown_is_what_segment_makes_of_the_saved_prompts(bundled, tmp_path):
    case = make_phantom("oct-cme", 0)
    session = Session(bundled, scan_of(case.image))
    for box in case.boxes[:2]:
        session.draw_new(tuple(box))
        session.click(box[0] + 2, box[1] + 2, False)
    session.click(float(case.boxes[1][0] + 9), float(case.boxes[1][1] + 9), True)
    session.add_object("by click")
    session.click(300, 210, True)
    if len(session.now.objects[-1].answers[0].choices) > 1:
        session.choose(1)
    session.add_object("scribbled")
    session.scribble([[300, 300], [340, 305]], True)
    session.scribble([[300, 340], [340, 345]], False)
    session.add_object("painted")
    session.paint([[600, 100], [650, 120]], 10, True)
    shown = [item.region(0).full() for item in session.now.objects]
    found = session.prompts()
    assert len(found) == 5
    save_prompts(tmp_path / "p.json", [prompt for _, prompt in found])
    again = bundled.segment(case.image, load_prompts(tmp_path / "p.json"))
    for i, mask in enumerate(shown):
        assert np.array_equal(again.mask(i), mask), session.now.objects[i].name
    assert list(again.names) == [item.name for item in session.now.objects]


def test_choices_can_be_taken_and_given_back(bundled):
    case = make_phantom("oct-cme", 0)
    session = Session(bundled, scan_of(case.image))
    y, x = np.argwhere(case.label == 1).mean(0).round()
    session.click(x, y, True)
    answer = session.now.objects[0].answers[0]
    assert len(answer.choices) >= 2
    session.choose(1)
    ((item, prompt),) = session.prompts()
    assert prompt.final and item.region(0) is answer.choices[1].region
    assert item.answers[0].score == answer.choices[1].score
    session.choose(0)
    assert not session.prompts()[0][1].final
    session.choose(1)
    session.click(x + 3, y, True)  # refines what was chosen
    assert session.now.objects[0].answers[0].previous.area_px == answer.choices[1].region.area_px


def test_a_click_can_be_taken_back():
    session, backend = fake_session()
    session.click(30, 30, True)
    first = session.now.objects[0].region(0)
    session.click(70, 60, False)
    session.remove_point(1)
    assert session.now.objects[0].answers[0].points == ((30, 30, 1),) and backend.decoded[-1][3][0] == 0
    assert np.array_equal(session.now.objects[0].region(0).full(), first.full())
    session.remove_point(0)
    assert session.now.objects[0].answers == {}


def test_an_object_is_followed_both_ways_corrected_and_followed_again(bundled):
    case = make_phantom_volume("oct-cme", 0)
    session = Session(bundled, scan_of(case.image, True))
    sizes = np.bincount(case.label.ravel())[1:]
    value = int(sizes.argmax()) + 1
    held = np.flatnonzero((case.label == value).any((1, 2)))
    z = int(held[len(held) // 2])
    ys, xs = np.nonzero(case.label[z] == value)
    session.draw_box((xs.min(), ys.min(), xs.max(), ys.max()), z)
    seen = []
    session.adopt(session.propagate(on_slice=lambda done, total: seen.append((done, total))))
    item = session.now.objects[0]
    assert min(item.followed) < z < max(item.followed) and z not in item.followed and seen[-1][0] <= seen[-1][1]
    assert set(item.scores) == set(item.followed)
    other = z + 1
    before = item.followed[other]
    session.paint([[xs.mean(), ys.mean()]], 30, True, other)
    settled = session.now.objects[0].region(other)
    assert settled.area_px > before.area_px
    session.adopt(session.propagate())
    item = session.now.objects[0]
    assert item.region(other) is settled and other not in item.followed
    session.undo()
    session.undo()
    assert session.now.objects[0].region(other) is before
    stopped = session.propagate(stop=lambda: True)
    assert stopped.objects[0].followed == {}
    seeds, masks, scores = session.volume_objects()
    assert len(seeds) == 1 and masks[0].shape == case.image.shape and 0 < scores[0] <= 1
    assert (session.label_map() == 1).sum() == masks[0].sum()


def test_a_result_does_not_overwrite_what_was_changed_meanwhile(bundled):
    case = make_phantom_volume("ct", 0, (4, 128, 128))
    session = Session(bundled, scan_of(case.image, True))
    session.draw_box((30, 30, 70, 70), 2)
    found = session.propagate()
    assert found.objects[0].followed
    session.paint([[10, 10]], 5, True, 2)
    session.adopt(found)
    assert session.now.objects[0].followed == {}


def test_words_for_fluid():
    assert all(map(is_fluid, ("fluid 1", "IRF", "Cyst left", "srf-2", "PED")))
    assert not any(map(is_fluid, ("object 1", "layer", "pedicle", "first")))


NAMES = ("CT", "optic cup")


def named_session(hw=(64, 64), targets=NAMES, **more):
    backend = FakeBackend(64, targets=targets)
    return Session(Predictor(backend, "off"), scan_of(np.full(hw, 90, np.uint8), **more)), backend


def area(session, index=0):
    return session.now.find(None).region(index).area_px


def test_saying_what_an_object_is_makes_its_mask_anew_and_can_be_undone():
    session, backend = named_session()
    session.draw_box((10, 10, 40, 40))
    assert area(session) == 31**2
    session.set_target("optic cup")  # two pixels less on every side, as the fake knows it
    assert area(session) == 27**2 and backend.decoded[-1][1][0, -1] == 5
    session.draw_box((10, 10, 30, 30))
    assert area(session) == 17**2
    session.undo()
    session.undo()
    assert area(session) == 31**2 and session.now.find(None).target is None
    session.redo()
    assert area(session) == 27**2 and session.now.find(None).target == "optic cup"
    session.set_target(None)
    assert area(session) == 31**2


def test_a_name_can_be_said_before_anything_is_drawn():
    session, _ = named_session()
    session.set_target(None)
    assert not session.now.objects and not session.can_undo
    session.set_target("CT")
    session.click(30, 30, True)
    assert [item.target for item in session.now.objects] == ["CT"]
    session.add_object()
    assert session.now.find(None).target is None  # what one object is says nothing of the next
    with pytest.raises(PromptError, match="target must be one of the 2 names that fake knows, got 'cup'; did you mean"):
        session.set_target("cup")


def test_targets_go_home_and_make_the_same_masks_there(tmp_path):
    session, _ = named_session()
    session.draw_box((10, 10, 40, 40))
    session.set_target("optic cup")
    session.draw_new((45, 45, 60, 60))
    save_prompts(tmp_path / "p.json", [prompt for _, prompt in session.prompts()])
    prompts = load_prompts(tmp_path / "p.json")
    assert [prompt.target for prompt in prompts] == ["optic cup", None]
    again = session.predictor.segment(session.pixels(), prompts)
    for i, item in enumerate(session.now.objects):
        np.testing.assert_array_equal(again.mask(i), item.region(0).full())


def test_another_model_is_asked_without_a_name_that_it_does_not_know():
    session, _ = named_session()
    session.draw_box((10, 10, 40, 40))
    session.set_target("optic cup")
    first, nameless = session.predictor, Predictor(FakeBackend(64), "off")
    session.set_predictor(nameless, "nameless")
    assert session.renew() == 1
    assert area(session) == 31**2 and session.now.find(None).target == "optic cup"
    # the prompts are for the model that is chosen
    assert [prompt.target for _, prompt in session.prompts()] == [None]
    session.draw_box((10, 10, 30, 30))
    session.set_predictor(first)
    session.renew()
    assert area(session) == 17**2 and [prompt.target for _, prompt in session.prompts()] == ["optic cup"]


def test_pieces_keep_the_target_and_a_merged_object_has_the_first_ones():
    session, _ = named_session()
    session.set_target("CT")
    session.paint([(12, 12)], 6, True)
    session.paint([(45, 45)], 6, True)
    assert session.split() == 2 and [item.target for item in session.now.objects] == ["CT", "CT"]
    first, second = (item.id for item in session.now.objects)
    session.set_target("optic cup", second)
    session.merge([second, first])
    assert [item.target for item in session.now.objects] == ["optic cup"]


def test_objects_are_followed_with_their_target():
    backend = FakeBackend(64, targets=NAMES)
    slices = np.repeat(np.arange(90, 95, dtype=np.uint8), 64 * 64).reshape(5, 64, 64)
    session = Session(Predictor(backend, "off"), scan_of(slices, is_volume=True))
    session.draw_box((10, 10, 50, 50), 2)
    session.set_target("optic cup")
    backend.decoded.clear()
    session.adopt(session.propagate())
    assert {row[-1] for _, labels, _, _ in backend.decoded for row in labels.tolist()} == {5}
    assert area(session, 3) < area(session, 2)
    (seed,), _, _ = session.volume_objects()
    assert seed.target == "optic cup"
    session.set_predictor(Predictor(FakeBackend(64), "off"))
    session.adopt(session.propagate())
    assert session.volume_objects()[0][0].target is None
