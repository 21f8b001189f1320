"""A predictor goes to worker processes: it opens its model directory again there."""

import json
import multiprocessing
import os
import pickle
import shutil

import numpy as np
import pytest
from fakes import FakeBackend

from lite_medsam.errors import WeightsError
from lite_medsam.model.encoding_cache import EncodingCache
from lite_medsam.phantoms import make_phantom
from lite_medsam.segment.predictor import Predictor
from lite_medsam.segment.sam_predictor import SamPredictor
from lite_medsam.storage.bundled import DEFAULT_WEIGHTS

CASE = make_phantom("us", 0)
IMAGE = CASE.image
HEIGHT, WIDTH = IMAGE.shape[:2]
BOX = [[WIDTH // 4, HEIGHT // 4, 3 * WIDTH // 4, 3 * HEIGHT // 4]]


def masks_of(predictor):
    prediction = predictor.segment(IMAGE, BOX)
    return os.getpid(), prediction.masks(), prediction.scores, predictor.zoom


def again(predictor):
    return pickle.loads(pickle.dumps(predictor))


@pytest.fixture(scope="module")
def predictor():
    return Predictor.open(engine="onnxruntime", threads=1, zoom="always")


def test_a_spawned_worker_answers_the_same(predictor):
    # the tests' own modules are found by the worker through its path, as pytest set it
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        process, masks, scores, zoom = pool.apply(masks_of, (predictor,))
    _, expected, expected_scores, _ = masks_of(predictor)
    assert process != os.getpid() and zoom == "always" and expected.any()
    np.testing.assert_array_equal(masks, expected)
    np.testing.assert_array_equal(scores, expected_scores)


def test_engine_threads_and_cache_come_along(tmp_path):
    cache = EncodingCache(10**8, tmp_path / "cache", 10**9)
    predictor = Predictor.open(engine="onnxruntime", threads=1, cache=cache)
    predictor.encode(IMAGE)
    assert len(cache) == 1
    found = again(predictor)
    assert (found.backend.name, found.backend.threads, found.zoom) == ("onnxruntime", 1, "auto")
    assert (found.cache.limit_bytes, found.cache.folder, found.cache.disk_limit_bytes) == (
        10**8,
        tmp_path / "cache",
        10**9,
    )
    assert len(found.cache) == 0 and found.backend is not predictor.backend
    assert len(pickle.dumps(predictor)) < 2000  # no weights, no features
    first, second = pickle.loads(pickle.dumps([predictor, Predictor(predictor.backend, cache=cache)]))
    assert first.cache is second.cache


def test_the_bundled_model_is_found_wherever_it_lies(predictor, tmp_path):
    assert os.fsencode(DEFAULT_WEIGHTS.resolve()) not in pickle.dumps(predictor)
    folder = tmp_path / "model"
    shutil.copytree(DEFAULT_WEIGHTS, folder)
    assert os.fsencode(folder.resolve()) in pickle.dumps(Predictor.open(folder, "onnxruntime"))


def test_a_directory_that_changed_or_went_is_no_silent_other_model(tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(DEFAULT_WEIGHTS, folder)
    sent = pickle.dumps(Predictor.open(folder, "onnxruntime", 1))
    spec = json.loads((folder / "spec.json").read_text())
    (folder / "spec.json").write_text(json.dumps({**spec, "name": "another"}))
    with pytest.raises(WeightsError, match="changed since"):
        pickle.loads(sent)
    shutil.rmtree(folder)
    with pytest.raises(WeightsError, match=r"spec\.json"):
        pickle.loads(sent)


def test_a_model_in_memory_says_that_it_has_no_directory():
    with pytest.raises(
        WeightsError, match=r"must have a model directory to be pickled.*fake in fake is in memory only"
    ):
        pickle.dumps(Predictor(FakeBackend()))


def test_a_sam_predictor_takes_its_image_along(predictor):
    sam = SamPredictor(predictor)
    sam.set_image(IMAGE)
    expected, found = (one.predict(box=np.array(BOX[0])) for one in (sam, again(sam)))
    assert all(np.array_equal(a, b) for a, b in zip(expected, found, strict=True)) and expected[0].any()


def test_a_torch_model_of_a_directory_is_opened_again():
    pytest.importorskip("torch")
    predictor = Predictor.open(engine="torch", threads=1)
    found = again(predictor)
    assert found.backend.name == "torch"
    np.testing.assert_array_equal(found.segment(IMAGE, BOX).masks(), predictor.segment(IMAGE, BOX).masks())
    from lite_medsam.learning.network.backend import TorchBackend

    with pytest.raises(WeightsError, match="in memory only"):
        pickle.dumps(Predictor(TorchBackend(predictor.backend.model)))
