"""Which parts learn, how a batch is cut, and the losses."""

import dataclasses
import itertools

import pytest
import torch
from tiny import TINY, disc_case, tiny_model
from torch import nn

from lite_medsam.learning.data.labelled_image import LabelledImage
from lite_medsam.learning.finetuning.loop import FineTuner
from lite_medsam.learning.finetuning.prompt_batch import PromptSource
from lite_medsam.learning.finetuning.settings import MEMORY, FinetuneSettings
from lite_medsam.learning.finetuning.views import FreshViews
from lite_medsam.learning.training.losses import LOSSES, make_mask_loss, mask_loss
from lite_medsam.learning.training.stepping import make_fabric
from lite_medsam.learning.training.trainable import parameter_groups, select_parameters, set_modes


def trained(model):
    return {name for name, p in model.named_parameters() if p.requires_grad}


def test_parts_grow():
    sets = {}
    for part in ("decoder", "encoder-last", "all"):
        model = tiny_model()
        select_parameters(model, part)
        sets[part] = trained(model)
        groups = parameter_groups(model, 1.0, 0.1, 0.01)
        assert sum(len(g["params"]) for g in groups) == len(sets[part])
        assert {g["base_rate"] for g in groups} == ({1.0} if part == "decoder" else {1.0, 0.1})
    assert not any(name.startswith("image_encoder") for name in sets["decoder"])
    assert sets["decoder"] < sets["encoder-last"] < sets["all"]
    last = {name for name in sets["encoder-last"] if name.startswith("image_encoder.backbone")}
    every = {name for name in sets["all"] if name.startswith("image_encoder.backbone")}
    assert 0 < len(last) < len(every) and not any(".conv_stem" in name for name in last)
    assert any(name.startswith("image_encoder.smooth") for name in sets["encoder-last"])


@pytest.mark.parametrize("norm", ["frozen", "trained"])
def test_statistics_of_normalisation_stay_where_they_should(norm):
    model = tiny_model()
    select_parameters(model, "encoder-last")
    set_modes(model, norm)
    norms = [(n, m) for n, m in model.named_modules() if isinstance(m, nn.BatchNorm2d)]
    training = {name for name, module in norms if module.training}
    assert ("image_encoder.smooth.1" in training) == (norm == "trained")
    assert not any(name.startswith("image_encoder.backbone.bn1") for name in training)
    assert model.mask_decoder.training


def gradients(memory, train="all"):
    settings = FinetuneSettings(
        steps=3, batch_size=4, objects_per_image=2, memory=memory, train=train, accelerator="cpu", negative_share=0.0,
        protocols=("box+clicks", "clicks"),
    )  # fmt: skip
    views = FreshViews([LabelledImage.from_case(disc_case(i)) for i in range(3)], TINY, settings)
    tuner = FineTuner(tiny_model(), settings, make_fabric())
    while tuner._turns() < 2:  # a step with two corrections
        tuner.step += 1
    loss = tuner.train_step(PromptSource(views, TINY, settings).parts(tuner.step))
    return loss, [s["exp_avg"] for s in tuner.optimizer.state.values()]


@pytest.mark.parametrize("memory", ["2GB", "8GB"])
def test_every_memory_preset_takes_the_same_step(memory):
    loss, expected = gradients("32GB")
    other_loss, actual = gradients(memory)
    assert other_loss == pytest.approx(loss, rel=1e-5)
    scale = max(float(a.abs().max()) for a in expected)
    for a, b in zip(expected, actual, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5 * scale)


def test_presets_grow():
    views = [preset.views for preset in MEMORY.values()]
    assert views == sorted(views) and MEMORY["2GB"].checkpointing and not MEMORY["16GB"].checkpointing


def test_frozen_parts_do_not_move():
    settings = FinetuneSettings(steps=4, batch_size=2, objects_per_image=2, train="decoder", accelerator="cpu")
    views = FreshViews([LabelledImage.from_case(disc_case(0))], TINY, settings)
    tuner = FineTuner(tiny_model(), settings, make_fabric())
    before = {k: v.clone() for k, v in tuner.model.state_dict().items()}
    tuner.train_step(PromptSource(views, TINY, settings).parts(0))
    moved = {k for k, v in tuner.model.state_dict().items() if not torch.equal(v, before[k])}
    assert moved and not any(name.startswith("image_encoder") for name in moved)


def test_the_rate_rises_and_falls_to_two_percent():
    settings = FinetuneSettings(steps=100, warmup_steps=10, accelerator="cpu")
    tuner = FineTuner(tiny_model(), settings, make_fabric())
    rates = [tuner.rate(step) for step in range(101)]
    assert rates[0] == pytest.approx(0.1) and max(rates) == 1 and rates[100] == pytest.approx(0.02)
    assert all(a >= b for a, b in itertools.pairwise(rates[10:]))


@pytest.mark.parametrize("kind", LOSSES)
def test_padding_does_not_count_and_a_perfect_mask_costs_nothing(kind):
    loss = make_mask_loss(kind)
    targets = torch.zeros(2, 16, 16)
    targets[:, 2:8, 2:8] = 1
    valid = torch.ones_like(targets, dtype=torch.bool)
    perfect = (targets * 2 - 1) * 20
    assert loss(perfect, targets, valid).max() < 1e-3
    wrong = perfect.clone()
    wrong[1, 12:] = 20
    values = loss(wrong, targets, valid)
    assert values[0] < 1e-3 and values[1] > 1
    valid[:, 12:] = False
    wrong.requires_grad_(True)
    values = loss(wrong, targets, valid)
    assert values.max() < 1e-3
    values.sum().backward()
    assert not wrong.grad[:, 12:].any()


def test_an_empty_target_is_learned_from():
    for kind in LOSSES:
        logits = torch.zeros(1, 8, 8, requires_grad=True)
        make_mask_loss(kind)(logits, torch.zeros(1, 8, 8), torch.ones(1, 8, 8, dtype=torch.bool)).sum().backward()
        assert (logits.grad > 0).all()  # every logit is pushed down


def test_monai_dice_and_cross_entropy_agree_with_the_written_out_loss():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 16, 16, generator=generator)
    targets = (torch.rand(3, 16, 16, generator=generator) > 0.7).float()
    valid = torch.ones_like(targets, dtype=torch.bool)
    valid[1, :, 10:] = False
    targets[1, :, 10:] = 0
    torch.testing.assert_close(make_mask_loss("dice-ce")(logits, targets, valid), mask_loss(logits, targets, valid))


def test_unknown_losses_are_refused():
    with pytest.raises(ValueError, match="loss must be one of dice-ce"):
        make_mask_loss("dice")
    with pytest.raises(ValueError, match="loss must be one of dice-ce"):
        dataclasses.replace(FinetuneSettings(), loss="dice")
