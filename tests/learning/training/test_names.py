"""Names of objects: in training batches, in the network and in the exported decoder."""

import dataclasses
import itertools

import numpy as np
import pytest
import safetensors.torch
import torch
from tiny import TINY, disc_case, tiny_model

from lite_medsam.errors import PromptError, WeightsError
from lite_medsam.learning.data.dataset import BatchSource
from lite_medsam.learning.data.labelled_image import LabelledImage
from lite_medsam.learning.data.sampling import Sampling
from lite_medsam.learning.network.checkpoint import to_stored
from lite_medsam.learning.network.export import example_prompts, export_model
from lite_medsam.learning.network.graph_decoder import GraphDecoder
from lite_medsam.learning.network.model import PADDING, PromptedSegmenter
from lite_medsam.learning.training.recipe import load_recipe
from lite_medsam.learning.training.starting import start_model
from lite_medsam.learning.training.trainable import NAMES_RATE, parameter_groups
from lite_medsam.model.engines import OnnxBackend
from lite_medsam.model.prompt_tokens import FIRST_TARGET
from lite_medsam.model.spec import ModelSpec, load_spec
from lite_medsam.prompts.prompt_set import Prompt
from lite_medsam.prompts.vocabulary import load_vocabulary
from lite_medsam.segment.predictor import Predictor

NAMES = ("CT", "OCT", "disc", "other disc")


def named_model() -> PromptedSegmenter:
    torch.manual_seed(1)
    model = PromptedSegmenter(dataclasses.replace(TINY, targets=NAMES)).eval()
    torch.nn.init.normal_(model.prompt_encoder.target_embedding.weight)
    torch.nn.init.normal_(model.mask_decoder.target_film.weight, std=0.3)
    return model


def prompts(count: int, targets: int) -> list[torch.Tensor]:
    return [torch.from_numpy(part) for part in example_prompts(count, 64, 5, targets=targets)]


@pytest.mark.parametrize("images", [1, 2, 6])
def test_graph_and_training_answer_alike(images):
    model = named_model()
    with torch.no_grad():
        features = model.encode(torch.randn(images, 3, 64, 64))
        coords, labels, previous, given = prompts(6, len(NAMES))
        assert (labels >= FIRST_TARGET).sum() == 2
        for has_previous in (given, torch.zeros_like(given)):
            expected = model.decode(features, coords, labels, previous, has_previous)
            actual = GraphDecoder(model)(features, coords, labels, previous, has_previous, torch.tensor(4))
            for a, b in zip(actual, expected, strict=True):
                np.testing.assert_allclose(a, b, atol=1e-4)


def test_a_name_changes_its_own_prompt_alone():
    model = named_model()
    with torch.no_grad():
        features = model.encode(torch.randn(1, 3, 64, 64))
        coords, labels, previous, given = prompts(6, 0)
        plain, _ = model.decode(features, coords, labels, previous, given)
        labels[2, 3] = FIRST_TARGET + 1
        named, _ = model.decode(features, coords, labels, previous, given)
        coords[2, 3] += 7  # where the token of a name lies means nothing
        moved, _ = model.decode(features, coords, labels, previous, given)
    changed = (plain != named).flatten(1).any(1)
    assert changed.tolist() == [False, False, True, False, False, False]
    assert torch.equal(named, moved)


def test_names_reach_the_mask_through_the_features_too():
    model = named_model()
    with torch.no_grad():
        model.prompt_encoder.target_embedding.weight.zero_()
        features = model.encode(torch.randn(1, 3, 64, 64))
        coords, labels, previous, given = prompts(3, 0)
        answers = []
        for target in range(2):
            labels[0, 3] = FIRST_TARGET + target
            answers.append(model.decode(features, coords, labels, previous, given)[0][0])
    assert not torch.equal(*answers)


def test_the_exported_directory_knows_the_names(tmp_path):
    model = named_model()
    assert export_model(model, tmp_path, dataclasses.replace(model.spec, name="named")) < 1e-3
    spec = load_spec(tmp_path)
    assert spec.targets == NAMES
    backend = OnnxBackend(tmp_path, spec, threads=1)
    features = backend.encode(np.random.default_rng(0).standard_normal((1, 3, 64, 64), np.float32))
    coords, labels, previous, given = example_prompts(1, 64, 0)
    answers = []
    for target in (PADDING, FIRST_TARGET, FIRST_TARGET + 3):
        labels[0, 3] = target
        answers.append(backend.decode(features, coords, labels, previous, given)[0])
    assert not np.allclose(answers[0], answers[1]) and not np.allclose(answers[1], answers[2])


def test_a_model_without_names_goes_on_as_it_was(tmp_path):
    old = tiny_model()
    new = PromptedSegmenter(dataclasses.replace(TINY, targets=NAMES))
    start_model(new, to_stored(old.state_dict()), "old")
    old.load_state_dict({k: v.float() for k, v in to_stored(old.state_dict()).items()}, strict=False)
    with torch.no_grad():
        pixels = torch.randn(1, 3, 64, 64)
        coords, labels, previous, given = prompts(3, 0)
        before = old.eval().decode(old.encode(pixels), coords, labels, previous, given)[0]
        after = new.eval().decode(new.encode(pixels), coords, labels, previous, given)[0]
    np.testing.assert_allclose(after, before, atol=1e-6)
    # and one that knows names cannot become one that knows none
    with pytest.raises(WeightsError, match="unknown"):
        start_model(tiny_model(), safetensors.torch.load(safetensors.torch.save(to_stored(new.state_dict()))), "new")


def batches(share: float) -> list:
    names = {("discs", "", "1"): "disc", ("discs", "", "3"): "other disc"}
    cases = [dataclasses.replace(disc_case(i, m), name=f"2D_{m}_discs_{i}") for i, m in enumerate(["CT", "OCT", "PET"])]
    images = [LabelledImage.from_case(case, names) for case in cases]
    source = BatchSource(images, TINY.preprocessing, Sampling(named_share=share), 4, 0, NAMES)
    return [source.batch(i) for i in range(10)]


def test_batches_say_names_or_none_at_all():
    assert not any((batch.labels >= FIRST_TARGET).any() for batch in batches(0.0))
    seen = set()
    for batch in batches(1.0):
        assert (batch.labels[:, -1] >= FIRST_TARGET).all() and not batch.ambiguous.any()
        assert not (batch.labels[:, :-1] >= FIRST_TARGET).any()
        seen |= set(batch.labels[:, -1].int().tolist())
    assert seen == {FIRST_TARGET + i for i in range(4)}  # both modalities' names and both objects'
    assert 0 < sum((batch.labels >= FIRST_TARGET).any().item() for batch in batches(0.5)) < 10


def test_names_that_settle_something_are_drawn_more_often():
    cases = [dataclasses.replace(disc_case(i, m), name=f"2D_{m}_set{i}_0") for i, m in enumerate(["CT", "CT", "OCT"])]
    images = [LabelledImage.from_case(case) for case in cases]
    sampling = Sampling(
        named_share=0.5, named_weights={"OCT": 3.0, "set1": 9.0}, modality_name_share=1.0, crop_share=0.0
    )
    source = BatchSource(images, TINY.preprocessing, sampling, 4, 0, NAMES)
    assert source.named_shares.tolist() == [0.25, 0.75]
    assert source.by_modality_named["CT"][1] == pytest.approx([0.1, 0.9])
    assert source.by_modality["CT"][1] == pytest.approx([0.5, 0.5])
    kinds = [set(source.batch(i).labels[:, -1].int().tolist()) for i in range(40)]
    named = [k for k in kinds if min(k) >= FIRST_TARGET]
    assert 10 <= len(named) <= 30 and set.union(*named) == {FIRST_TARGET, FIRST_TARGET + 1}


def test_tables_of_names_learn_faster_and_do_not_decay():
    groups = parameter_groups(named_model(), 1.0, 0.3, 0.01)
    tables = [g for g in groups if g["base_rate"] == NAMES_RATE]
    assert [len(g["params"]) for g in tables] == [2] and tables[0]["weight_decay"] == 0.0
    assert sum(len(g["params"]) for g in groups) == len(list(named_model().parameters()))


def test_a_recipe_that_teaches_names_takes_the_vocabulary(tmp_path):
    path = tmp_path / "recipe.json"
    path.write_text('{"named": true}', encoding="utf-8")
    spec = load_recipe(path).spec
    assert spec.targets == tuple(target.name for target in load_vocabulary())
    assert {"OCT", "XRay", "inner nuclear layer", "optic cup"} <= set(spec.targets)
    assert ModelSpec.from_json(spec.to_json()) == spec
    assert "targets" not in TINY.to_json()


def test_the_predictor_tells_an_exported_model_what_objects_are(tmp_path):
    model = named_model()
    export_model(model, tmp_path, dataclasses.replace(model.spec, name="named"))
    predictor = Predictor.open(tmp_path, engine="onnxruntime", threads=1, zoom="off")
    image = disc_case(0).image
    said = (None, "disc", "other disc", "disc")
    prompts = [Prompt(box=(15, 20, 60, 70), target=target) for target in said]
    prompts += [Prompt(points=[[30, 45]], point_labels=[1], target=target) for target in said]
    together = predictor.segment(image, prompts)
    logits = together.logits
    for one, other in itertools.combinations(range(len(said)), 2):
        for first in (0, len(said)):
            alike = np.allclose(logits[first + one], logits[first + other], atol=1e-3)
            assert alike == (said[one] == said[other])
    for i, prompt in enumerate(prompts):
        alone = predictor.segment(image, [prompt])
        np.testing.assert_allclose(alone.logits[0], logits[i], atol=1e-3)
        np.testing.assert_allclose(alone.scores[0], together.scores[i], atol=1e-3)
    with pytest.raises(PromptError, match="did you mean 'disc'"):
        predictor.segment(image, [Prompt(box=(15, 20, 60, 70), target="disk")])
