"""Ordered layers: none crosses another, and what is in order stays as it is."""

import itertools

import numpy as np
import pytest

from lite_medsam.errors import CaseError
from lite_medsam.quantities.layers import STATED, order_layers


def test_layers_in_order_stay():
    labels = np.zeros((12, 5), int)
    labels[2:5], labels[5:6], labels[6:11] = 1, 2, 3
    logits = np.stack([np.where(labels == i, 3.0, -3.0) for i in (1, 2, 3)])
    ordered = order_layers(logits, ("a", "b", "c"))
    assert (ordered.label_map() == labels).all() and ordered.changed == 0
    assert ordered.record()["post_processing"] == STATED


def test_it_is_the_best_of_all_orders():
    """Against every choice of boundaries, tried one by one."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(3, 6, 4))
    found = order_layers(logits, "abc").boundaries
    assert (np.diff(found, axis=0) >= 0).all()

    def worth(column, cuts):
        return sum(logits[i, cuts[i] : cuts[i + 1], column].sum() for i in range(3))

    for column in range(4):
        best = max(worth(column, cuts) for cuts in itertools.combinations_with_replacement(range(7), 4))
        assert worth(column, found[:, column].tolist()) == pytest.approx(best)


def test_crossed_and_missing_layers():
    logits = np.full((2, 10, 30), -2.0)
    logits[0, 2:5], logits[1, 5:8] = 2, 2
    logits[0, 8:10, 3] = 1.5  # a piece of the upper layer below the lower one
    logits[1, :, 20:] = -2.0  # the lower layer ends
    ordered = order_layers(logits, ("upper", "lower"), smooth_px=3)
    labels = ordered.label_map()
    assert (labels[8:, 3] == 0).all() and (labels[2:5, 3] == 1).all()
    assert (labels[:, 25] <= 1).all() and (labels[2:5, 25] == 1).all()
    assert (np.diff(ordered.boundaries, axis=0) >= 0).all() and 0 < ordered.changed < 0.1


def test_bad_input():
    with pytest.raises(CaseError, match="finite"):
        order_layers(np.full((1, 2, 2), np.nan), ("a",))
    with pytest.raises(CaseError, match="odd"):
        order_layers(np.zeros((1, 2, 2)), ("a",), smooth_px=2)


def test_the_study_scores_every_way():
    from lite_medsam.cases.case import Case
    from lite_medsam.phantoms import make_phantom
    from lite_medsam.quantities.layer_study import WAYS, study
    from lite_medsam.segment.predictor import Predictor

    case = make_phantom("oct-healthy", 3, (248, 384))
    layers = Case(case.image, np.where(case.label <= 7, case.label, 0).astype(np.uint8))
    table = study(Predictor.open(), [layers])
    assert table.shape == (len(WAYS), 7) and ((table >= 0) & (table <= 1)).all()
    assert table[3, 0] > 0.5  # the true box of the uppermost layer finds it, in a phantom as well
