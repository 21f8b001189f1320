"""Cases, what was measured on them, and the record of that: made once for all tests of the card."""

import pytest
from fakes import FakeBackend

from lite_medsam.card import CardSettings, measure, summarise_card
from lite_medsam.cases.case import save_case
from lite_medsam.model.spec import ScoreCalibration
from lite_medsam.phantoms import make_phantom


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cases")
    for i, kind in enumerate(["us", "us", "dermoscopy", "dermoscopy", "oct-cme"]):
        case = make_phantom(kind, i, (128, 128))
        save_case(folder / f"2D_{case.modality}_{kind.replace('-', '')}_{i}.npz", case)
    return folder


@pytest.fixture(scope="session")
def measured(folder):
    seen = []
    found = measure(FakeBackend(), sorted(folder.iterdir()), CardSettings(curves_every=2), seen.append)
    assert len(seen) == 5
    return found


@pytest.fixture(scope="session")
def record(measured):
    return summarise_card(measured, CardSettings(curves_every=2), ScoreCalibration(0.5, 0.1))
