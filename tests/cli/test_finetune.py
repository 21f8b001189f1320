"""`lite-medsam finetune` without torch: its options and its errors."""

import dataclasses
import json
import sys

import pytest
from click.testing import CliRunner

from lite_medsam.cli import finetune as cli
from lite_medsam.cli.options import field_texts
from lite_medsam.errors import MissingExtraError, PromptError, WeightsError
from lite_medsam.learning.finetuning.settings import (
    CHOICES,
    FinetuneSettings,
    load_settings,
    refuse_other_settings,
)


def test_every_field_is_an_option_with_its_text():
    texts = field_texts(FinetuneSettings)
    fields = {field.name for field in dataclasses.fields(FinetuneSettings)}
    assert set(texts) == fields
    options = {option.name: option for option in cli.command.params}
    assert fields <= set(options)
    for name in fields:
        assert options[name].help == texts[name]
    result = CliRunner().invoke(cli.command, ["--help"])
    assert result.exit_code == 0 and "--protocol" in result.output and "--no-augment" in result.output


def test_without_torch_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch", None)  # importing it fails
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    result = CliRunner().invoke(cli.command, ["--cases", str(tmp_path), "-o", str(tmp_path / "run")])
    assert isinstance(result.exception, MissingExtraError)
    assert 'pip install "lite-medsam[train]"' in str(result.exception)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train": "head"}, "train must be one of decoder, encoder-last, all, got 'head'"),
        ({"memory": "3GB"}, "memory must be one of auto, 2GB"),
        ({"steps": 0, "minutes": 0.0}, "steps or minutes must be above 0"),
        ({"batch_size": 3, "devices": 2}, "batch_size must be a multiple of devices x nodes = 2, got 3"),
        ({"validation_share": 1.0}, "between 0 and 1"),
        ({"crop_context": (2.0, 1.0)}, "crop_context must be two numbers"),
        ({"protocols": ()}, "at least one simulated user"),
        ({"protocols": ("box=-1",)}, "weight above 0, got 'box=-1'"),
        ({"protocols": ("clicks",)}, "validation_protocol must give prompts that protocols train"),
        ({"views": -1}, "views must be at least 0"),
        ({"report_cases": 0}, "report_cases must be at least 1"),
    ],
)
def test_wrong_settings_are_named(change, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        FinetuneSettings(**change)


def test_an_unknown_protocol_lists_the_known_ones():
    with pytest.raises(PromptError, match="protocol must be one of box"):
        FinetuneSettings(protocols=("boxes",))


def test_shares_of_protocols():
    users = FinetuneSettings(protocols=("box=3", "clicks")).users()
    assert [(user.name, share) for user, share in users] == [("box", 0.75), ("clicks", 0.25)]


def test_kinds_that_are_trained():
    assert FinetuneSettings(protocols=("box",)).prompt_kinds() == {"box"}
    assert FinetuneSettings(protocols=("box+clicks",)).prompt_kinds() == {"box", "box+points", "mask"}
    assert FinetuneSettings().prompt_kinds() == {"box", "points", "box+points", "mask"}


def test_settings_are_saved_and_compared(tmp_path):
    settings = FinetuneSettings(steps=7, crop_context=(1.5, 2.0))
    (tmp_path / "settings.json").write_text(json.dumps(dataclasses.asdict(settings)))
    assert load_settings(tmp_path / "settings.json") == settings
    refuse_other_settings(dataclasses.replace(settings, patience=1), settings)
    with pytest.raises(WeightsError, match="must keep its settings, got seed 1 instead of 0"):
        refuse_other_settings(dataclasses.replace(settings, seed=1), settings)
    (tmp_path / "settings.json").write_text("{")
    with pytest.raises(WeightsError, match="must be the settings"):
        load_settings(tmp_path / "settings.json")


def test_choices_hold_the_defaults():
    default = FinetuneSettings()
    for name, choices in CHOICES.items():
        assert getattr(default, name) in choices
