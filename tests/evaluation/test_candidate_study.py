"""The study of candidates: what counts as found and as false, and its table."""

from dataclasses import replace

import numpy as np
import pytest
from fakes import FakeBackend

from lite_medsam.cases.case import Case, save_case
from lite_medsam.evaluation.candidate_study import WAYS, Found, kinds, main, study
from lite_medsam.segment.predictor import Predictor
from lite_medsam.segment.region import Region
from lite_medsam.session.candidates import Candidate


def square(x0: int, side: int = 8) -> Region:
    return Region(x0, 4, np.ones((side, side), bool), (64, 64))


def offer(x0: int, likeness: float = 0.9, side: int = 8) -> Candidate:
    return Candidate((x0, 4, x0 + side - 1, 4 + side - 1), square(x0, side), 0.9, likeness)


def case() -> Case:
    label = np.zeros((64, 64), np.uint8)
    for i in range(5):
        label[4 : 12 + i % 2, 4 + 12 * i : 12 + 12 * i] = 1 + i
    label[40:60, 10:30] = 9
    names = {**dict.fromkeys(range(1, 6), "cell"), 9: "vessel"}
    return Case(np.where(label > 0, 200, 40).astype(np.uint8), label=label, label_names=names, modality="Microscopy")


def test_what_counts():
    wanted, passed = [square(0), square(12), square(24)], [square(36)]
    of = Found()
    # right, right but not taken, false for its size, the example, false
    of.add([offer(0), offer(12, 0.4), offer(24, side=12), offer(36), offer(50)], wanted, passed)
    assert (of.objects, of.found, of.taken, of.false) == (3, 1, 3, 2)
    of.add([], wanted, passed)
    assert (of.objects, of.found, of.taken, of.false) == (6, 1, 3, 2)


def test_kinds_of_five_are_searched_both_ways():
    assert {kind: len(objects) for kind, objects in kinds(case()).items()} == {"cell": 5, "vessel": 1}
    assert [*kinds(replace(case(), label_names=None))] == ["object"]
    results = study(Predictor(FakeBackend()), [case()])
    assert [*results] == [("Microscopy", "cell", way) for way in WAYS]
    others, everything = results.values()
    assert (others.objects, everything.objects) == (4, 5)
    assert all(len(of.seconds) == 1 and of.false <= of.taken for of in results.values())


def test_the_table(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(Predictor, "open", lambda **_: Predictor(FakeBackend()))
    save_case(tmp_path / "2D_Microscopy_cells.npz", case())
    main([str(tmp_path / "2D_Microscopy_cells.npz")])
    _, header, row = capsys.readouterr().out.splitlines()
    assert header.split() == ["modality", "kind", "pictures", "objects", *["found", "false", "s"] * 2]
    assert row.split()[:4] == ["Microscopy", "cell", "1", "5"] and len(row.split()) == 10
    with pytest.raises(SystemExit, match="usage"):
        main([])
