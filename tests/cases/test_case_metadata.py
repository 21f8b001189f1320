"""A case's metadata: what is written comes back, and a foreign archive's key of that name does no harm."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lite_medsam.cases.case import Case, load_case, save_case, slices
from lite_medsam.errors import CaseError

IMAGE = np.arange(20, dtype=np.uint8).reshape(4, 5)


@given(st.dictionaries(st.text(max_size=12), st.text(max_size=12), max_size=4))
@settings(max_examples=60, deadline=None)
def test_what_is_saved_comes_back(tmp_path_factory, metadata):
    path = tmp_path_factory.mktemp("case") / "a.npz"
    save_case(path, Case(IMAGE, metadata=metadata))
    assert (load_case(path).metadata or {}) == metadata


def test_it_is_a_plain_text_array(tmp_path):
    save_case(tmp_path / "a.npz", Case(IMAGE, metadata={"diagnosis": "Grüner Star\0"}))
    with np.load(tmp_path / "a.npz", allow_pickle=False) as stored:
        assert stored["metadata"].dtype.kind == "U"
        assert json.loads(stored["metadata"].item()) == {"diagnosis": "Grüner Star\0"}


def test_none_is_not_written(tmp_path):
    for metadata in (None, {}):
        save_case(tmp_path / "a.npz", Case(IMAGE, metadata=metadata))
        with np.load(tmp_path / "a.npz") as stored:
            assert "metadata" not in stored.files
        assert load_case(tmp_path / "a.npz").metadata is None


@pytest.mark.parametrize("foreign", ["{", "[1]", '{"a": 1}', "[" * 5000, 7, ["a", "b"]])
def test_a_foreign_key_of_that_name_is_ignored(tmp_path, foreign):
    np.savez(tmp_path / "a.npz", imgs=IMAGE, metadata=np.array(foreign))
    assert load_case(tmp_path / "a.npz").metadata is None


@pytest.mark.parametrize("metadata", [{"a": 1}, {1: "a"}, "a", ["a"]])
def test_only_texts_are_taken(metadata):
    with pytest.raises(CaseError, match="metadata must map texts to texts"):
        Case(IMAGE, metadata=metadata)


def test_a_volumes_slices_keep_it():
    volume = np.ones((3, 4, 5), np.uint8)
    case = Case(volume, volume, is_volume=True, metadata={"diagnosis": "x"})
    assert {s.metadata["diagnosis"] for s in slices(case, 3)} == {"x"}
