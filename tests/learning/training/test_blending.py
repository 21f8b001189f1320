"""The mean of the weights of several runs, and what is refused."""

import dataclasses

import pytest
import torch
from click.testing import CliRunner
from tiny import TINY

from lite_medsam.cli.export import command
from lite_medsam.errors import WeightsError
from lite_medsam.learning.network.checkpoint import load_model
from lite_medsam.learning.training.blending import load_blend
from lite_medsam.learning.training.loop import new_model


def checkpoint(folder, seed, spec=TINY):
    path = folder / f"{seed}-{spec.name}.pt"
    average = new_model(spec, seed).state_dict()
    torch.save({"spec": spec.to_json(), "average": average, "step": 1}, path)
    return path, average


def test_the_weights_are_the_mean_by_shares(tmp_path):
    (one, a), (two, b) = (checkpoint(tmp_path, seed) for seed in (1, 2))
    blend = load_blend([one, two], [3, 1]).state_dict()
    floats = [name for name in a if a[name].is_floating_point()]
    assert all(torch.allclose(blend[name], 0.75 * a[name] + 0.25 * b[name], atol=1e-6) for name in floats)
    assert any(not torch.equal(blend[name], a[name]) for name in floats)
    alone = load_blend([one]).state_dict()
    assert all(torch.equal(alone[name], a[name]) for name in a)
    even = load_blend([one, two]).state_dict()
    assert all(torch.allclose(even[name], (a[name] + b[name]) / 2, atol=1e-6) for name in floats)


def test_what_does_not_fit_is_refused(tmp_path):
    one, other = checkpoint(tmp_path, 1)[0], checkpoint(tmp_path, 2, dataclasses.replace(TINY, name="other"))[0]
    with pytest.raises(WeightsError, match="their specs differ"):
        load_blend([one, other])
    for shares in ([1.0], [1.0, 0.0], [1.0, -1.0]):
        with pytest.raises(WeightsError, match="one positive number for each of 2 checkpoints"):
            load_blend([one, one], shares)


def test_export_blends(tmp_path):
    (one, a), (two, b) = (checkpoint(tmp_path, seed) for seed in (1, 2))
    words = ["--checkpoint", str(one), "--checkpoint", str(two), "-o", str(tmp_path / "both")]
    wrong = CliRunner().invoke(command, [*words, "--shares", "a,1"])
    assert wrong.exit_code == 2 and "--shares must be numbers" in wrong.output
    result = CliRunner().invoke(command, [*words, "--shares", "0.5,1.5"])
    assert result.exit_code == 0, result.output
    name = "mask_decoder.iou_token.weight"
    stored = load_model(tmp_path / "both").state_dict()[name]
    assert torch.allclose(stored, 0.25 * a[name] + 0.75 * b[name], atol=2e-3)
