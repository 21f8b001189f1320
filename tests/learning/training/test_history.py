"""Learning curves from kept checkpoints."""

import dataclasses

import pytest
from tiny import TINY, disc_case

from lite_medsam.cases.case import save_case
from lite_medsam.cli import main
from lite_medsam.evaluation.scores import MEAN
from lite_medsam.learning.data.labelled_image import LabelledImage
from lite_medsam.learning.data.sampling import Sampling
from lite_medsam.learning.training.history import merge_histories, read_history
from lite_medsam.learning.training.loop import Trainer, TrainSettings, new_model


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of four steps that kept two checkpoints, and three cases."""
    folder = tmp_path_factory.mktemp("history")
    for i, modality in enumerate(["CT", "OCT", "OCT"]):
        case = dataclasses.replace(disc_case(i, modality), name=f"2D_{modality}_discs_{i}")
        save_case(folder / "cases" / f"{case.name}.npz", case)
    (folder / "targets.csv").write_text("dataset,label,target\ndiscs,1,some layer\ndiscs,3,fluid\n", encoding="utf-8")
    settings = TrainSettings(
        steps=4, batch_size=2, warmup_steps=1, keep_every=2, sampling=Sampling(objects_per_image=1)
    )
    images = [LabelledImage.from_case(disc_case(i)) for i in range(2)]
    Trainer(new_model(TINY, 0), images, settings).train(folder / "run")
    return folder


def history(*words) -> int:
    with pytest.raises(SystemExit) as stop:
        main(["history", *map(str, words)])
    return stop.value.code


def test_each_kept_step_is_scored_once(run):
    pytest.importorskip("matplotlib")
    words = ["--run", run / "run", "-i", run / "cases", "--targets", run / "targets.csv", "-o", run / "history.csv"]
    assert history(*words) == 0
    lines = read_history(run / "history.csv")
    assert {line["step"] for line in lines} == {2, 4}
    by_name = {line["what"]: line for line in lines if line["step"] == 4}
    assert set(by_name) == {MEAN, "CT", "OCT", "OCT layers", "OCT fluid and lesions"}
    assert by_name["OCT layers"]["objects"] == 2 and by_name["CT"]["objects"] == 2
    mean = (by_name["CT"]["dice"] + by_name["OCT"]["dice"]) / 2
    assert by_name[MEAN]["dice"] == pytest.approx(mean, abs=1e-4)
    assert (run / "history.png").read_bytes().startswith(b"\x89PNG")
    # what is there is not measured again
    text = (run / "history.csv").read_text(encoding="utf-8")
    changed = text.replace(f"4,CT,1,2,{by_name['CT']['dice']}", "4,CT,1,2,0.1234")
    assert changed != text
    (run / "history.csv").write_text(changed, encoding="utf-8")
    assert history(*words) == 0
    assert (run / "history.csv").read_text(encoding="utf-8") == changed


def test_a_run_that_kept_nothing_is_refused(run, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    (tmp_path / "run").mkdir()
    assert history("--run", tmp_path / "run", "-i", run / "cases", "-o", tmp_path / "history.csv") == 2
    assert "keep_every" in capsys.readouterr().err
    assert not (tmp_path / "history.csv").exists()


def test_a_further_history_tells_more_of_its_parts_and_not_of_the_mean():
    first = [{"step": 1, "what": MEAN, "dice": 0.5}, {"step": 1, "what": "Fundus", "dice": 0.1}]
    second = [{"step": 1, "what": MEAN, "dice": 0.9}, {"step": 1, "what": "Fundus", "dice": 0.2}]
    merged = merge_histories([first, second])
    assert [(line["what"], line["dice"]) for line in merged] == [(MEAN, 0.5), ("Fundus", 0.2)]
