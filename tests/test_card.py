import json

import numpy as np
import pytest
from fakes import FakeBackend

from lite_medsam.card import draw_examples, measure, write_card
from lite_medsam.case import save_case
from lite_medsam.phantoms import make_phantom
from lite_medsam.predictor import Predictor


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cases")
    for i, kind in enumerate(["us", "us", "dermoscopy", "dermoscopy"]):
        save_case(folder / f"{i}.npz", make_phantom(kind, i, (128, 128)))
    seen = []
    record = measure(
        Predictor(FakeBackend()), sorted(folder.iterdir()), None, lambda run, case: seen.append((run, case))
    )
    assert len(seen) == 9 * 4
    return record


def test_the_record_is_plain_json_with_every_run(record):
    assert json.loads(json.dumps(record)) == record
    assert set(record["runs"]) == {
        "box", "box, zoom off", "box-tight", "box-jitter", "clicks", "box+clicks",
        "baseline box", "baseline ellipse", "baseline grabcut",
    }  # fmt: skip


def test_a_model_that_fills_the_box_is_as_good_as_the_filled_box(record):
    means = {run: part["summary"]["modality"][-1]["dice"] for run, part in record["runs"].items()}
    assert means["box"] == pytest.approx(means["baseline box"], abs=0.03)
    assert means["baseline ellipse"] > means["baseline box"]


def test_the_card_tells_what_was_measured(record, tmp_path):
    data = tmp_path / "data.csv"
    data.write_text(
        "dataset,modality,targets,training_files,copy_taken_from,source_and_terms\n"
        "alpha,CT,liver,12,x,CC0\nbeta,MR,heart,0,x,unknown\n"
    )
    card = write_card(FakeBackend().spec, record, data, "training.png")
    mean = record["runs"]["box"]["summary"]["modality"][-1]
    assert f"**Dice {mean['dice']:.3f}**" in card and "training.png" in card and "not a medical device" in card
    assert "| alpha | CT | liver | 12 | CC0 |" in card and "beta" not in card
    assert "| None" not in card and "| nan" not in card
    assert "training.png" not in write_card(FakeBackend().spec, record, None, None)


def test_examples_show_boxes_and_masks():
    sheet = draw_examples(Predictor(FakeBackend()), height_px=60, width_px=300)
    assert sheet.dtype == np.uint8 and sheet.shape[2] == 3 and sheet.shape[0] > 120
    grey = (sheet.max(2) - sheet.min(2)) < 20
    assert grey.mean() < 0.95  # the overlays are coloured, most phantoms are not
