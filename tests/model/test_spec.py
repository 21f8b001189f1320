import dataclasses
import json

import pytest

from lite_medsam.errors import WeightsError
from lite_medsam.model.spec import Architecture, ModelSpec, Preprocessing, Zoom, load_spec, save_spec, sha256_of


def changed_spec() -> ModelSpec:
    return ModelSpec(
        name="mine",
        architecture=Architecture(embedding_dim=64, skip_dims=(8, 8, 8)),
        preprocessing=Preprocessing(image_size=512, mean=(0.0, 0.5, 1.0)),
        zoom=Zoom(context=2.0),
        prompts=("box",),
        licence="research only",
        training_data=("a", "b"),
        files={"model.safetensors": "00"},
    )


def test_a_spec_survives_its_file(tmp_path):
    save_spec(tmp_path, changed_spec())
    assert load_spec(tmp_path) == changed_spec()
    assert [p.name for p in tmp_path.iterdir()] == ["spec.json"]


def test_missing_fields_have_their_defaults():
    assert ModelSpec.from_json('{"format": "lite-medsam-model", "version": 1}') == ModelSpec()


def edited(**changes) -> str:
    return json.dumps(json.loads(changed_spec().to_json()) | changes)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "syntax error in line 1"),
        ("[]", "lite-medsam-model"),
        ('{"format": "other"}', "lite-medsam-model"),
        (edited(version=2), "version 1, got 2"),
        (edited(colour="red"), "unknown field 'colour'"),
        (edited(name=3), "name must be str, got 3"),
        (edited(zoom={"context": "wide"}), "zoom: context must be float"),
        (edited(architecture=[]), "architecture must be an object"),
        (edited(preprocessing={"image_size": 256.5}), "image_size must be int"),
        (edited(prompts=["box", "text"]), "prompts must be some of"),
        (edited(prompts=[]), "prompts must be some of"),
        (edited(training_data="a"), "training_data must be tuple"),
    ],
)
def test_a_wrong_spec_is_refused_with_the_field(text, says):
    with pytest.raises(WeightsError, match=says):
        ModelSpec.from_json(text)


def test_a_folder_without_a_spec_is_no_model(tmp_path):
    with pytest.raises(WeightsError, match=r"spec\.json"):
        load_spec(tmp_path)
    with pytest.raises(WeightsError, match=r"spec\.json"):
        load_spec(tmp_path / "nowhere")


def test_whole_numbers_are_read_as_floats_where_floats_belong():
    spec = ModelSpec.from_json(edited(mask_threshold=0, zoom={"context": 2}))
    assert isinstance(spec.mask_threshold, float) and spec.zoom == Zoom(context=2.0)


def test_sha256(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_of(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_specs_are_values():
    with pytest.raises(dataclasses.FrozenInstanceError):
        ModelSpec().name = "other"
