"""What is changed in the study of the network's parts is changed, and nothing else."""

import copy
import dataclasses

import pytest
import torch

from lite_medsam.learning.network.model import PromptedSegmenter
from lite_medsam.learning.network.part_study import ADDED, changed, changes, with_mlps, with_windows, work
from lite_medsam.model.spec import LITEMEDSAM_TRUNK, Architecture, ModelSpec, Preprocessing

SPEC = ModelSpec(
    name="trunk",
    architecture=Architecture(
        backbone=LITEMEDSAM_TRUNK,
        embedding_dim=256,
        skip_dims=(64, 32, 16),
        transformer_mlp_dim=600,
        windows=(8, 8, 16, 8),
    ),
    preprocessing=Preprocessing(image_size=64),
)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(1)
    made = PromptedSegmenter(SPEC).eval()
    with torch.no_grad():  # as after some training: the additions speak
        for parameter in made.parameters():
            if not parameter.any():
                parameter.normal_(std=0.05)
    return made


def answer(model):
    pixels = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        features = model.encode(pixels)
        return model.decode(features, torch.tensor([[[5.0, 9.0], [40.0, 50.0]]]), torch.tensor([[2.0, 3.0]]))[0]


def test_every_change_is_felt_and_the_model_stays(model):
    before = answer(model)
    for name, (change, architecture) in changes(SPEC.architecture).items():
        other = change(copy.deepcopy(model))
        assert other.spec.architecture == dataclasses.replace(SPEC.architecture, **architecture)
        same = torch.equal(answer(other), before)
        # 16 tokens along a side at most: on this small picture a window of 7 hides something, one of 14 does not
        assert same == (name == "as it is"), name
    assert torch.equal(answer(model), before)
    assert len(changes(SPEC.architecture)) == 1 + 2 + len(ADDED) + 1 + 2


def test_units_and_windows_that_are_all_kept_change_nothing(model):
    before = answer(model)
    assert torch.allclose(answer(with_mlps(copy.deepcopy(model), 600)), before, atol=1e-5)
    wide = with_windows(with_windows(copy.deepcopy(model), (9, 9, 17, 9)), SPEC.architecture.windows)
    assert torch.equal(answer(wide), before)


def test_work_grows_with_the_pixels_and_with_windows_that_do_not_fit():
    encoder, decoder, parameters = work(sized(256))
    assert 2 < encoder / work(sized(128))[0] < 4.5 and 3 < decoder / work(sized(128))[1] < 4.5
    assert work(sized(128))[2] == pytest.approx(parameters, rel=0.01) and 7 < parameters < 11
    # 16 tokens along a side: windows of 14 fill 28, those of 16 fill 16
    assert work(changed(sized(256), windows=(8, 8, 14, 8)))[0] > 1.1 * encoder


def sized(image_size):
    return dataclasses.replace(SPEC, preprocessing=Preprocessing(image_size=image_size))
