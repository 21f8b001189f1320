"""Specialists: their networks, the box channel, training that can be cut, export, evaluation on the same boxes."""

import json

import numpy as np
import pytest
import torch
from tiny import disc_case
from torch import nn

from lite_medsam.cases.adapters.split import Split
from lite_medsam.cases.adapters.split_file import save_split
from lite_medsam.cases.case import save_case
from lite_medsam.cli import main
from lite_medsam.errors import CaseError, PromptError, WeightsError
from lite_medsam.evaluation.evaluate import evaluate
from lite_medsam.evaluation.specialist import (
    NETWORKS,
    SpecialistSegmenter,
    SpecialistSpec,
    load_specialist_spec,
    network_input,
    save_specialist_spec,
)
from lite_medsam.learning.specialists.networks import make_network
from lite_medsam.learning.specialists.relaynet import pool, unpool
from lite_medsam.learning.specialists.run import train_specialist
from lite_medsam.learning.specialists.settings import SpecialistSettings
from lite_medsam.learning.training.stepping import Stepper
from lite_medsam.model.preprocessing import Frame, boxes_to_model
from lite_medsam.prompts.prompt_set import Prompt, load_protocol

pytest.importorskip("monai", reason="needs the train extra")
pytest.importorskip("lightning_fabric", reason="needs the train extra")

TINY = {"width": 8, "image_size": 64, "validations": 2, "batch_size": 4}


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cases")
    for seed in range(8):
        case = disc_case(seed)
        save_case(folder / f"{case.name}.npz", case)
    return folder


@pytest.fixture(scope="module")
def trained(cases, tmp_path_factory):
    settings = SpecialistSettings(network="relaynet", steps=30, **TINY)
    return train_specialist(cases, tmp_path_factory.mktemp("run"), settings)


def test_unpooling_is_that_of_torch():
    x = torch.randn(2, 3, 8, 12)
    values, places = pool(x)
    expected, indices = nn.functional.max_pool2d(x, 2, return_indices=True)
    assert torch.equal(values, expected)
    assert torch.equal(unpool(values, places), nn.functional.max_unpool2d(expected, indices, 2))
    back = unpool(values, places)
    assert torch.equal(back[back != 0].sort().values, values.flatten().sort().values)


@pytest.mark.parametrize("network", NETWORKS)
def test_networks_answer_in_the_size_of_the_input(network):
    for size in (32, 48):
        assert make_network(network, 4)(torch.zeros(2, 4, size, size)).shape == (2, 1, size, size)
    assert sum(p.numel() for p in make_network(network).parameters()) < 2_000_000


def test_there_is_no_other_network():
    with pytest.raises(ValueError, match="one of unet, relaynet"):
        make_network("vnet")
    with pytest.raises(ValueError, match="one of unet, relaynet"):
        SpecialistSettings(network="vnet")
    for wrong in ({"image_size": 100}, {"steps": -1}, {"batch_size": 0}, {"crop_context": (2.0, 1.0)}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            SpecialistSettings(**wrong)


def test_the_box_channel_covers_what_the_box_covers():
    pixels = np.zeros((3, 16, 16), np.float32)
    whole = Frame.whole((16, 16), 16)
    channel = network_input(pixels, boxes_to_model(np.array([2, 3, 5, 4]), whole))[3]
    inside = np.full((16, 16), -0.5)
    inside[3:5, 2:6] = 0.5
    np.testing.assert_allclose(channel, inside)
    # at half the scale a box of odd sides covers half of its last pixels
    half = network_input(pixels, boxes_to_model(np.array([2, 2, 4, 4]), Frame.whole((32, 32), 16)))[3] + 0.5
    np.testing.assert_allclose(half[1:3, 1:3], [[1, 0.5], [0.5, 0.25]])
    assert half.sum() == pytest.approx(9 / 4)


def test_it_learns_and_is_scored_on_the_same_boxes(cases, trained):
    assert trained.steps == 30 and len(trained.history) == 2
    segmenter = SpecialistSegmenter.open(trained.model, 1)
    names = json.loads((trained.model.parent / "split.json").read_text())["parts"]["val"]
    paths = [cases / f"{row['name']}.npz" for row in names]
    result = evaluate(segmenter, paths, load_protocol("box"))
    found = np.mean([row["dice"] for row in result.rows])
    assert found == pytest.approx(trained.dice, abs=0.01)
    settings = SpecialistSettings(network="relaynet", steps=2, **TINY)
    first = train_specialist(cases, trained.model.parent.parent / "short", settings)
    assert found > first.dice + 0.1 and found > 0.6
    spec = load_specialist_spec(trained.model)
    assert spec.network == "relaynet" and spec.step == trained.best_step and spec.preprocessing.image_size == 64
    assert len(spec.split) == 64


def test_a_run_that_was_cut_ends_as_one_that_was_not(cases, tmp_path, monkeypatch):
    settings = SpecialistSettings(network="unet", steps=6, checkpoint_every=1, **TINY)
    whole = train_specialist(cases, tmp_path / "whole", settings)
    advance = Stepper.advance

    def cut(self, *args, **options):
        if self.step == 4:
            raise KeyboardInterrupt
        return advance(self, *args, **options)

    monkeypatch.setattr(Stepper, "advance", cut)
    with pytest.raises(KeyboardInterrupt):
        train_specialist(cases, tmp_path / "cut", settings)
    monkeypatch.undo()
    with pytest.raises(WeightsError, match="add --resume"):
        train_specialist(cases, tmp_path / "cut", settings)
    with pytest.raises(WeightsError, match="must keep its settings, got learning_rate"):
        other = SpecialistSettings(network="unet", steps=6, checkpoint_every=1, learning_rate=0.1, **TINY)
        train_specialist(cases, tmp_path / "cut", other, resume=True)
    again = train_specialist(cases, tmp_path / "cut", settings, resume=True)
    assert again.history == whole.history and again.dice == whole.dice
    first, second = (
        torch.load(folder / "best.pt", weights_only=True) for folder in (tmp_path / "whole", tmp_path / "cut")
    )
    assert all(torch.equal(value, second["average"][name]) for name, value in first["average"].items())
    # a run that is over does nothing more
    assert train_specialist(cases, tmp_path / "cut", settings, resume=True).steps == 6


def test_minutes_are_a_limit(cases, tmp_path):
    result = train_specialist(cases, tmp_path, SpecialistSettings(network="unet", minutes=0.02, **TINY))
    assert result.steps >= 1 and result.seconds >= 0.02 * 60
    assert len(result.history) >= 1


def test_a_box_is_needed(trained):
    segmenter = SpecialistSegmenter.open(trained.model)
    with pytest.raises(PromptError, match="needs a box"):
        segmenter.segment(np.zeros((40, 40), np.uint8), [Prompt(points=[[3, 3]], point_labels=[1])])


def test_damaged_folders(trained, tmp_path):
    with pytest.raises(WeightsError, match="record of a specialist"):
        SpecialistSegmenter.open(tmp_path)
    save_specialist_spec(tmp_path, SpecialistSpec(files={"network.onnx": "0" * 64}))
    (tmp_path / "network.onnx").write_bytes((trained.model / "network.onnx").read_bytes())
    with pytest.raises(WeightsError, match="must be the graph"):
        SpecialistSegmenter.open(tmp_path)
    (tmp_path / "specialist.json").write_text('{"format": "another"}')
    with pytest.raises(WeightsError, match="lite-medsam-specialist"):
        load_specialist_spec(tmp_path)


def run(capsys, *words):
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    return ended.value.code, capsys.readouterr()


def test_the_command(cases, tmp_path, capsys):
    tiny = ("--steps", 2, "--image-size", 64, "--width", 4, "--validations", 1, "--batch-size", 2)
    code, shown = run(capsys, "baseline", "--cases", cases, "-o", tmp_path / "run", *tiny)
    assert code == 0 and "2 steps" in shown.out
    code, shown = run(capsys, "evaluate", "-i", cases, "-q", "--baseline", tmp_path / "run" / "model", "--json")
    assert code == 0 and '"objects": 16' in shown.out
    code, shown = run(capsys, "evaluate", "-i", cases, "-q", "--baseline", tmp_path / "nothing")
    assert code == 2 and "box, ellipse, grabcut" in shown.err
    code, shown = run(capsys, "baseline", "--cases", cases, "-o", tmp_path / "curve", "--curve", "two", *tiny)
    assert code == 2 and "whole numbers" in shown.err


def parts(cases, sizes):
    names = sorted(path.stem for path in cases.glob("*.npz"))
    divided, start = {}, 0
    for part, size in sizes.items():
        divided[part] = tuple(names[start : start + size])
        start += size
    return Split(divided, {name: name for names in divided.values() for name in names})


def test_a_curve_in_pieces(cases, tmp_path, monkeypatch, capsys):
    from lite_medsam.learning.specialists import curve
    from lite_medsam.learning.specialists.curve_chart import curve_table

    split = tmp_path / "split.json"
    save_split(split, parts(cases, {"train": 4, "val": 2, "test": 2}))
    settings = SpecialistSettings(steps=2, **(TINY | {"validations": 1}))
    # the fine-tuning has its own tests, and takes the bundled model
    monkeypatch.setattr(curve, "FINETUNED", "no such method")
    runs = curve.Curve(cases, split, tmp_path / "curve", [4, 2], settings, longer=2)
    runs.jobs = [job for job in runs.jobs if job[0] in (*NETWORKS, "ellipse")]
    document = runs.run(pieces=1)
    assert [(r["method"], r["images"]) for r in document["results"]] == [("ellipse", 0), ("unet", 4)]
    assert document["left"] == ["unet-2", "relaynet-4", "relaynet-2", "unet-4-x2"]
    document = runs.run()
    assert not document["left"] and len(document["results"]) == 6
    assert json.loads((tmp_path / "curve" / "curve.json").read_text())["results"] == document["results"]
    assert {r["test_objects"] for r in document["results"]} == {4}
    assert [r["steps"] for r in document["results"] if r["images"]] == [2, 2, 2, 2, 4]
    # the smaller subset is part of the larger one, and the held-out parts are the same
    few, more = (json.loads((tmp_path / "curve" / "cases" / n / "split.json").read_text())["parts"] for n in "24")
    assert {row["name"] for row in few["train"]} < {row["name"] for row in more["train"]} and few["val"] == more["val"]
    assert "ReLayNet-style from scratch" in curve_table(document, markdown=True)


def test_a_curve_draws_what_is_there(tmp_path):
    pytest.importorskip("matplotlib")
    from lite_medsam.images.reading import load_image
    from lite_medsam.learning.specialists.curve_chart import draw_curve

    scores = {"dice": 0.5, "dice_low": None, "dice_high": 0.6, "surface_dice": 0.4}
    results = [{"method": "ellipse", "images": 0, **scores}]
    results += [{"method": "unet", "images": n, "steps": s, **scores} for n, s in ((10, 4), (5, 4), (10, 8))]
    draw_curve({"results": results}, tmp_path / "curve.png")
    assert load_image(tmp_path / "curve.png").std() > 5


def test_a_curve_needs_three_parts_and_enough_images(cases, tmp_path):
    from lite_medsam.learning.specialists.curve import Curve, tuning_settings

    split = tmp_path / "split.json"
    save_split(split, parts(cases, {"train": 4, "val": 2}))
    with pytest.raises(CaseError, match="lacks test"):
        Curve(cases, split, tmp_path, [2], SpecialistSettings())
    save_split(split, parts(cases, {"train": 4, "val": 2, "test": 2}))
    with pytest.raises(CaseError, match=r"1\.\.4"):
        Curve(cases, split, tmp_path, [5], SpecialistSettings())
    settings = SpecialistSettings(steps=40, batch_size=4, validations=2)
    tuning = tuning_settings(settings)
    assert (tuning.steps, tuning.batch_size, tuning.objects_per_image, tuning.validate_every) == (40, 4, 1, 20)
    assert tuning.protocols == ("box",)
