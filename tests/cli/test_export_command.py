"""`lite-medsam export`: what it writes into the spec of a training run's model."""

from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from lite_medsam.cli.export import command
from lite_medsam.model.spec import ModelSpec


@pytest.mark.parametrize(("words", "scale"), [([], 0.0), (["--refine-scale", "1.15"], 1.15)])
def test_the_spec_says_from_which_scale_on_borders_are_refined(tmp_path, monkeypatch, words, scale):
    pytest.importorskip("torch")
    from lite_medsam.learning.network import export
    from lite_medsam.learning.training import blending

    written = []
    monkeypatch.setattr(blending, "load_blend", lambda paths, shares: SimpleNamespace(spec=ModelSpec()))
    monkeypatch.setattr(export, "export_model", lambda model, out, spec: written.append(spec) or 0.0)
    checkpoint = tmp_path / "checkpoint.pt"
    checkpoint.touch()
    result = CliRunner().invoke(command, ["--checkpoint", str(checkpoint), "-o", str(tmp_path / "out"), *words])
    assert result.exit_code == 0, result.output
    assert written[0].zoom.refine_scale == scale
    assert ModelSpec.from_json(written[0].to_json()) == written[0]
    assert ("refine_scale" in written[0].to_json()) is bool(scale)
