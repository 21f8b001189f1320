"""What a teacher answers beside the labels: which of it is read when, what it weighs, and that a cut run goes on the same."""

import dataclasses

import pytest
import torch
from tiny import TINY, disc_case, tiny_model

from lite_medsam.cases.case import save_case
from lite_medsam.errors import CaseError
from lite_medsam.learning.data.labelled_image import LabelledImage
from lite_medsam.learning.data.sampling import Sampling
from lite_medsam.learning.lessons.book import LessonBook
from lite_medsam.learning.lessons.drawn import DrawnLessons
from lite_medsam.learning.lessons.settings import LessonPlan, ViewSettings
from lite_medsam.learning.lessons.teachers import Teacher
from lite_medsam.learning.lessons.views import Scene, make_view
from lite_medsam.learning.network.backend import TorchBackend
from lite_medsam.learning.training import recipe as recipes
from lite_medsam.learning.training.loop import Trainer, TrainSettings, new_model
from lite_medsam.learning.training.losses import lesson_loss, mask_loss

PLAN = LessonPlan(count=6, per_step=2, sure=0.0, views=ViewSettings(views_per_image=2, objects_per_view=2))
SETTINGS = TrainSettings(steps=4, batch_size=2, warmup_steps=1, seed=5, sampling=Sampling(objects_per_image=2))


def teacher():
    return Teacher.of(TorchBackend(tiny_model(1)), "one")


def lessons(folder, plan=PLAN):
    scenes = [Scene.from_case(disc_case(i, "CT" if i < 4 else "MR")) for i in range(5)]
    return DrawnLessons(LessonBook(teacher(), scenes, TINY.preprocessing, 1, False, plan.views, 5, folder), plan, 5)


def test_lessons_are_spread_over_modalities_and_belong_to_their_step(tmp_path):
    drawn = lessons(tmp_path)
    places = list(drawn.places())
    assert len(places) == len(drawn) == len({tuple(place) for place in places})
    of_ct = [place for place in places if place[0] < 4]
    assert (len(of_ct), len(places) - len(of_ct)) == (3, 2)  # half of six each; the one MR image has two views
    for place in places:
        drawn.book.lesson(*place)
    asked = drawn.book.asked
    first, again, next_one = drawn.batch(7), lessons(tmp_path).batch(7), drawn.batch(8)
    assert drawn.book.asked == asked == len(places)  # no step asks the teacher for anything more
    assert torch.equal(first.logits, again.logits) and not torch.equal(first.logits, next_one.logits)


def test_the_loss_vanishes_where_the_teacher_is_met_and_leaves_out_what_it_doubts(tmp_path):
    model = tiny_model(1)
    batch = lessons(tmp_path).batch(0)

    def entropy(logits, targets, valid):
        each = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
        floor = torch.nn.functional.binary_cross_entropy(targets, targets, reduction="none")
        return ((each - floor) * valid).mean((1, 2))

    with torch.no_grad():
        # the teacher is the same network; half precision of what is kept is all that differs
        same = lesson_loss(model, batch, 0.0, entropy).item()
        assert 0 <= same < 1e-4 < 0.003 < lesson_loss(tiny_model(2), batch, 0.0, entropy).item()
        scores = torch.tensor([[0.9, 0.1], [0.1, 0.1]])
        doubtful = dataclasses.replace(
            batch, scores=scores, logits=torch.where(scores[:, :, None, None] < 0.5, 30.0, batch.logits)
        )
        assert 0 <= lesson_loss(model, doubtful, 0.5, entropy).item() < 1e-4
        assert lesson_loss(model, doubtful, 0.0, entropy).item() > 0.1
        assert lesson_loss(model, doubtful, 0.95, mask_loss).item() == 0


def test_some_prompts_ask_about_any_place():
    scene = Scene.from_case(disc_case(0))
    known, anywhere = (
        ViewSettings(crop_share=0, augment=False, jitter=(0, 0)),
        ViewSettings(crop_share=0, augment=False, jitter=(0, 0), random_share=1),
    )
    boxes = {tuple(box) for box in scene.boxes}
    assert {prompt.box for prompt in make_view(scene, 1, known, False, 0).prompts} <= boxes
    assert not {prompt.box for prompt in make_view(scene, 1, anywhere, False, 0).prompts} & boxes


def test_a_recipe_with_a_teacher_goes_on_as_if_it_had_not_been_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(recipes, "open_teacher", lambda name, device: {"someone": teacher()}[name])
    (tmp_path / "cases").mkdir()
    for i in range(3):
        save_case(tmp_path / "cases" / f"2D_CT_discs_{i}.npz", disc_case(i))
    recipe = recipes.Recipe(spec=TINY, train=SETTINGS, teacher="someone", lessons=PLAN)

    def run(out, stop_after=0, resume=False):
        settings = dataclasses.replace(SETTINGS, stop_after=stop_after, checkpoint_every=2)
        trainer = recipes.run_recipe(dataclasses.replace(recipe, train=settings), tmp_path / "cases", None, out, resume)
        return trainer.average

    whole = run(tmp_path / "whole")
    run(tmp_path / "cut", stop_after=2)
    again = run(tmp_path / "cut", resume=True)
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    images = [LabelledImage.from_case(disc_case(i)) for i in range(3)]
    alone = Trainer(new_model(TINY, SETTINGS.seed), images, SETTINGS)
    alone.train(tmp_path / "alone")
    apart = [(whole[name] - value).abs().max() for name, value in alone.average.items() if value.is_floating_point()]
    assert max(apart) > 1e-6  # the lessons change what is learned


def test_the_teacher_is_asked_about_sets_whose_labels_are_not_used(tmp_path, monkeypatch):
    monkeypatch.setattr(recipes, "open_teacher", lambda name, device: teacher())
    cases = tmp_path / "cases"
    cases.mkdir()
    for name in ("2D_CT_known_0", "2D_CT_new_1"):
        save_case(cases / f"{name}.npz", dataclasses.replace(disc_case(int(name[-1])), name=name))
    settings = dataclasses.replace(SETTINGS, steps=1)
    recipe = recipes.Recipe(spec=TINY, train=settings, teacher="someone", lessons=PLAN, unlabelled=("new",))
    trainer = recipes.run_recipe(recipe, cases, None, tmp_path / "run", False)
    assert {image.dataset for image in trainer.source.images} == {"known"}
    assert {scene.name for scene in trainer.lessons.book.scenes} == {"2D_CT_known_0", "2D_CT_new_1"}
    with pytest.raises(
        CaseError, match="unlabelled sets must be among the cases, got 'old'; the cases are of known, new"
    ):
        recipes.run_recipe(dataclasses.replace(recipe, unlabelled=("old",)), cases, None, tmp_path / "other", False)
