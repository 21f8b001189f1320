import csv
import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from places import ROOT, SHARED
from tiny import TINY, disc_case

from lite_medsam.cases.adapters.check import pixel_sha256
from lite_medsam.cases.adapters.split import Split
from lite_medsam.cases.adapters.split_file import load_split, save_split
from lite_medsam.cases.case import load_case, save_case
from lite_medsam.errors import CaseError, WeightsError
from lite_medsam.learning.data.labelled_image import LabelledImage
from lite_medsam.learning.data.sampling import Sampling
from lite_medsam.learning.network.checkpoint import save_weights
from lite_medsam.learning.training.loop import Trainer, TrainSettings, load_averaged, new_model
from lite_medsam.learning.training.losses import mask_iou, mask_loss, prompt_loss
from lite_medsam.learning.training.recipe import Recipe, load_recipe, run_recipe
from lite_medsam.learning.training.starting import start_backbone
from lite_medsam.prompts.vocabulary import load_vocabulary

SETTINGS = TrainSettings(
    steps=8, batch_size=2, warmup_steps=2, checkpoint_every=4, seed=5, sampling=Sampling(objects_per_image=2)
)


def trainer(settings=SETTINGS):
    images = [LabelledImage.from_case(disc_case(i)) for i in range(3)]
    return Trainer(new_model(TINY, settings.seed), images, settings)


def weights(directory):
    return torch.load(directory / "checkpoint.pt", weights_only=True)


def assert_equal(a, b):
    for part in ("model", "average"):
        assert a[part].keys() == b[part].keys()
        for name in a[part]:
            assert torch.equal(a[part][name], b[part][name]), name


def test_a_run_that_was_cut_ends_with_the_same_weights(tmp_path):
    trainer().train(tmp_path / "whole")
    # cut after step 4: what a kill at any later moment leaves is the checkpoint of step 4
    cut = trainer()
    for batch in cut.source.from_number(0):
        if cut.step == 4:
            break
        cut.model.train()
        cut._advance(batch)
    (tmp_path / "cut").mkdir()
    cut.save(tmp_path / "cut" / "checkpoint.pt")
    again = trainer()
    again.resume(tmp_path / "cut" / "checkpoint.pt")
    again.train(tmp_path / "cut")
    assert_equal(weights(tmp_path / "whole"), weights(tmp_path / "cut"))
    assert (tmp_path / "whole" / "log.csv").read_text().startswith("step,loss,rate,seconds")


def test_one_seed_one_result_and_another_seed_another(tmp_path):
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        trainer(dataclasses.replace(SETTINGS, steps=2, seed=seed)).train(tmp_path / name)
    a, b, c = (weights(tmp_path / name) for name in "abc")
    assert_equal(a, b)
    assert any(not torch.equal(a["model"][k], c["model"][k]) for k in a["model"])


def test_the_loss_falls(tmp_path):
    run = trainer(dataclasses.replace(SETTINGS, steps=60, learning_rate=3e-3, sampling=Sampling(mixed_share=0.3)))
    run.model.train()
    losses = []
    for batch in run.source.from_number(0):
        if run.step >= 60:
            break
        losses.append(run._advance(batch))
    assert np.mean(losses[-15:]) < 0.8 * np.mean(losses[:15])


def test_the_rate_rises_holds_and_falls():
    settings = TrainSettings(steps=100, warmup_steps=10, cooldown=0.5)
    rates = [settings.rate(step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and rates[9:50] == [1.0] * 41
    assert all(a > b for a, b in itertools.pairwise(rates[50:])) and rates[-1] < 0.03


def test_a_loss_that_is_not_finite_stops_with_the_batch_named():
    run = trainer()
    with torch.no_grad():
        run.model.mask_decoder.iou_token.weight.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="batch 0"):
        run._advance(run.source.batch(0))


def test_checkpoints_of_another_run_are_refused(tmp_path):
    trainer().save(tmp_path / "c.pt")
    with pytest.raises(WeightsError, match="model and seed"):
        trainer(dataclasses.replace(SETTINGS, seed=6)).resume(tmp_path / "c.pt")
    (tmp_path / "c.pt").write_bytes(b"damaged")
    with pytest.raises(WeightsError, match="checkpoint"):
        load_averaged(tmp_path / "c.pt")


def test_recipes(tmp_path):
    path = tmp_path / "recipe.json"
    path.write_text('{"train": {"steps": 7, "sampling": {"jitter": [-0.2, 0.3]}}, "start": "x"}')
    recipe = load_recipe(path)
    assert recipe.train.steps == 7 and recipe.train.sampling.jitter == (-0.2, 0.3) and recipe.start == "x"
    path.write_text('{"train": {"step": 7}}')
    with pytest.raises(WeightsError, match="unknown field 'step'"):
        load_recipe(path)


def test_a_recipe_runs_and_resumes(tmp_path):
    for i in range(2):
        save_case(tmp_path / "cases" / f"2D_CT_discs_{i}.npz", disc_case(i))
    recipe = Recipe(spec=TINY, train=dataclasses.replace(SETTINGS, steps=2))
    run_recipe(recipe, tmp_path / "cases", None, tmp_path / "run", resume=False)
    with pytest.raises(WeightsError, match="--resume"):
        run_recipe(recipe, tmp_path / "cases", None, tmp_path / "run", resume=False)
    longer = dataclasses.replace(recipe, train=dataclasses.replace(recipe.train, steps=3))
    assert run_recipe(longer, tmp_path / "cases", None, tmp_path / "run", resume=True).step == 3
    assert not load_averaged(tmp_path / "run" / "checkpoint.pt").training


def test_a_perfect_mask_has_almost_no_loss_and_padding_does_not_count():
    targets = torch.zeros(1, 16, 16)
    targets[:, 2:8, 2:8] = 1
    valid = torch.ones_like(targets, dtype=torch.bool)
    perfect = (targets * 2 - 1) * 20
    assert mask_loss(perfect, targets, valid).item() < 1e-3
    assert mask_iou(perfect, targets).item() == 1
    wrong_outside = perfect.clone()
    wrong_outside[:, 12:] = 20
    assert mask_loss(wrong_outside, targets, valid).item() > 1
    valid[:, 12:] = False
    assert mask_loss(wrong_outside, targets, valid).item() < 1e-3


def test_the_alternatives_learn_from_ambiguous_prompts_only():
    logits = torch.zeros(2, 4, 8, 8, requires_grad=True)
    targets, valid = torch.ones(2, 8, 8), torch.ones(2, 8, 8, dtype=torch.bool)
    scores = torch.zeros(2, 4)
    prompt_loss(logits, scores, targets, valid, torch.tensor([True, False])).backward()
    gradient = logits.grad.abs().sum((2, 3))
    assert gradient[0, 0] > 0 and gradient[1, 0] > 0
    assert (gradient[0, 1:] > 0).sum() == 1 and (gradient[1, 1:] == 0).all()


def test_any_backbone_starts_from_its_own_names():
    other = new_model(TINY, 8).image_encoder.backbone
    backbone = new_model(TINY, 9).image_encoder.backbone
    stored = {k: v for k, v in other.state_dict().items() if not k.endswith("num_batches_tracked")}
    start_backbone(backbone, {**stored, "classifier.weight": torch.zeros(3, 4)}, torch.zeros(1, 3, 64, 64), "x")
    assert all(torch.equal(v, backbone.state_dict()[k]) for k, v in stored.items())
    stored.pop("conv_stem.weight")
    with pytest.raises(WeightsError, match=r"x must hold .* 1 are missing or of another shape, such as conv_stem"):
        start_backbone(backbone, stored, torch.zeros(1, 3, 64, 64), "x")


def test_a_recipe_starts_from_a_whole_model_at_another_input_size(tmp_path):
    save_case(tmp_path / "cases" / "2D_CT_discs_0.npz", disc_case(0))
    start = new_model(TINY, 8)
    save_weights(tmp_path, start)
    wider = dataclasses.replace(TINY, preprocessing=dataclasses.replace(TINY.preprocessing, image_size=96))
    recipe = Recipe(spec=wider, train=dataclasses.replace(SETTINGS, steps=0), start="model.safetensors")
    model = run_recipe(recipe, tmp_path / "cases", tmp_path, tmp_path / "run", resume=False).model
    stored = safetensors.torch.load_file(tmp_path / "model.safetensors")
    assert all(torch.equal(value, stored[k].float()) for k, value in model.state_dict().items() if k in stored)
    assert model.spec.preprocessing.image_size == 96
    other = dataclasses.replace(TINY, architecture=dataclasses.replace(TINY.architecture, transformer_mlp_dim=16))
    recipe = dataclasses.replace(recipe, spec=other)
    with pytest.raises(WeightsError, match=r"must hold .* of another shape, such as mask_decoder"):
        run_recipe(recipe, tmp_path / "cases", tmp_path, tmp_path / "other", resume=False)


def test_processes_share_the_views_of_a_batch():
    batch = trainer().source.batch(1)
    halves = [batch.share(rank, 2) for rank in range(2)]
    for name in ("pixels", "targets", "coords", "ambiguous"):
        assert torch.equal(torch.cat([getattr(half, name) for half in halves]), getattr(batch, name))
    with pytest.raises(ValueError, match="multiple of the number of processes 3"):
        batch.share(0, 3)


def test_a_recipe_with_a_split_refuses_other_cases_and_other_pixels(tmp_path):
    for i, part in enumerate(["train", "train", "val"]):
        save_case(tmp_path / "cases" / f"{part}{i}.npz", dataclasses.replace(disc_case(i), name=f"{part}{i}"))
    known = {p.stem: load_case(p) for p in sorted((tmp_path / "cases").glob("*.npz"))}
    parts = {"train": ("train0", "train1"), "val": ("val2",)}
    images = {name: pixel_sha256(case.image) for name, case in known.items()}
    save_split(tmp_path / "split.json", Split(parts, {name: name for name in known}, images))
    (tmp_path / "recipe.json").write_text('{"split": "split.json", "scenes": 2}', encoding="utf-8")
    recipe = load_recipe(tmp_path / "recipe.json")
    settings = dataclasses.replace(SETTINGS, steps=2, keep_every=1)
    recipe = dataclasses.replace(recipe, spec=TINY, train=settings)

    def run(name):
        return run_recipe(recipe, tmp_path / "cases", None, tmp_path / name, resume=False)

    with pytest.raises(CaseError, match=r"val2 must be in the recipe's training part, but is in its val part"):
        run("a")
    (tmp_path / "cases/val2.npz").unlink()
    trainer = run("b")
    modalities = [image.modality for image in trainer.source.images]
    assert modalities.count("unknown") == 2 and len(modalities) == 4
    kept = sorted((tmp_path / "b/kept").iterdir())
    assert [path.name for path in kept] == ["checkpoint-000001.pt", "checkpoint-000002.pt"]
    final = load_averaged(tmp_path / "b/checkpoint.pt").state_dict()
    last = load_averaged(kept[-1]).state_dict()
    assert all(torch.equal(final[name], last[name]) for name in final)
    changed = dataclasses.replace(disc_case(7), name="train1")
    save_case(tmp_path / "cases/train1.npz", changed)
    with pytest.raises(CaseError, match="train1 must be the image that the recipe was made with"):
        run("c")


DATA = SHARED / "data"


@pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data")
def test_the_default_recipe_names_the_shared_split():
    split = load_split(ROOT / "weights/recipes/split.json")
    with (DATA / "index.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["split"] for row in rows} == set(split.parts) and len(rows) == len(split.groups)
    for row in rows:
        name = Path(row["file"]).stem
        assert split.part_of(name) == row["split"] and split.groups[name] == row["group"]
    for row in rows[::200]:
        case = load_case(DATA / row["file"])
        assert split.images[case.name] == pixel_sha256(case.image)


FOLDER = ROOT / "weights/recipes"
RECIPES = [p for p in sorted(FOLDER.rglob("*.json")) if p.name != "split.json" and p.parent.name != "reports"]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_committed_recipe_can_be_read_and_its_data_sets_exist(path):
    recipe = load_recipe(path)
    split = load_split(recipe.split)
    sets = {name.split("_")[2] for name in split.parts["train"]}
    sampling = recipe.train.sampling
    assert set(sampling.dataset_weights) <= sets
    modalities = {target.name for target in load_vocabulary() if target.modalities == (target.name,)}
    assert set(sampling.named_weights) <= sets | modalities
    assert recipe.named == bool(recipe.spec.targets)


def test_a_run_may_stop_before_its_schedule_ends(tmp_path):
    settings = dataclasses.replace(SETTINGS, stop_after=3, keep_every=2)
    stopped = trainer(settings)
    stopped.train(tmp_path)
    assert stopped.step == 3 and settings.rate(2) == SETTINGS.rate(2)
    assert {path.name for path in (tmp_path / "kept").iterdir()} == {"checkpoint-000002.pt", "checkpoint-000003.pt"}
