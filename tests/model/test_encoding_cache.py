import threading

import numpy as np
import pytest
from fakes import FakeBackend

from lite_medsam.errors import WeightsError
from lite_medsam.model.encoding_cache import EncodingCache, image_key
from lite_medsam.model.preprocessing import Frame
from lite_medsam.model.spec import ModelSpec
from lite_medsam.segment.predictor import Predictor

WHOLE = Frame(0, 0, 100, 100, 64)
FEATURE_BYTES = 64 * 64 * 4  # of the fake


def noise(seed=0, shape=(100, 100)):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def features(value=0.0, count=1000):
    return (np.full((1, count), value, np.float32),)


def encodes(backend):
    return sum(len(pixels) for pixels in backend.encoded)


def file_backend(**changes):
    """A fake that looks like an exported model: an engine that runs files, which its spec names by hash."""
    backend = FakeBackend()
    backend.name = "onnxruntime"
    backend.spec = ModelSpec(**{**vars(backend.spec), "files": {"encoder.onnx": "ab"}, **changes})
    return backend


def test_other_boxes_on_the_same_image_are_not_encoded_again():
    cache = EncodingCache()
    backend = FakeBackend()
    predictor = Predictor(backend, zoom="off", cache=cache)
    first = predictor.segment(noise(), [[10, 10, 40, 40]])
    again = predictor.segment(noise().copy(), [[10, 10, 40, 40], [50, 50, 80, 90]])
    assert encodes(backend) == 1 and (cache.hits, cache.misses, len(cache)) == (1, 1, 1)
    np.testing.assert_array_equal(first.mask(0), again.mask(0))
    predictor.encode(noise())
    assert encodes(backend) == 1
    predictor.segment(noise(1), [[10, 10, 40, 40]])
    assert encodes(backend) == 2


def test_a_box_that_moves_a_little_often_sees_a_crop_that_is_known():
    backend = FakeBackend()
    predictor = Predictor(backend, cache=EncodingCache())
    for i in range(10):
        predictor.segment(noise(shape=(800, 800)), [[300, 300, 340 + i, 340]])
    assert encodes(backend) < 7


def test_results_with_and_without_a_cache_are_the_same():
    image = noise(shape=(300, 300))
    boxes = [[i * 30, 20, i * 30 + 25, 60] for i in range(9)] + [[0, 0, 250, 250]]
    predictor = Predictor(FakeBackend(), cache=EncodingCache())
    plain = Predictor(FakeBackend()).segment(image, boxes).masks()
    for _ in range(2):
        np.testing.assert_array_equal(predictor.segment(image, boxes).masks(), plain)


def test_pixels_shape_frame_and_model_all_matter():
    cache, backend = EncodingCache(), FakeBackend()
    key = image_key(noise())
    cache.put(backend, key, WHOLE, features())
    assert cache.get(backend, key, WHOLE) is not None
    assert cache.get(backend, image_key(noise(1)), WHOLE) is None
    assert cache.get(backend, image_key(noise().reshape(50, 200)), WHOLE) is None
    assert cache.get(backend, key, Frame(0, 0, 99, 100, 64)) is None
    assert (
        cache.get(FakeBackend(), key, WHOLE) is None
    )  # not an exported model: only the object itself is known to be equal


def test_an_exported_model_that_is_opened_twice_is_one_model():
    cache, key = EncodingCache(), image_key(noise())
    cache.put(file_backend(), key, WHOLE, features())
    assert cache.get(file_backend(), key, WHOLE) is not None
    assert cache.get(file_backend(files={"encoder.onnx": "cd"}), key, WHOLE) is None
    other = file_backend()
    other.variant = "int8"
    assert cache.get(other, key, WHOLE) is None


def test_what_was_not_used_for_longest_goes_first():
    cache, backend = EncodingCache(limit_bytes=3 * 4000), FakeBackend()
    for name in "abc":
        cache.put(backend, name, WHOLE, features())
    cache.get(backend, "a", WHOLE)
    cache.put(backend, "d", WHOLE, features())
    assert [name for name in "abcd" if cache.get(backend, name, WHOLE)] == ["a", "c", "d"]
    assert cache.used_bytes == 3 * 4000
    cache.put(backend, "large", WHOLE, features(count=10_000))
    assert cache.get(backend, "large", WHOLE) is None and len(cache) == 3
    cache.clear()
    assert len(cache) == cache.used_bytes == 0


def test_entries_are_no_views_of_a_batch():
    cache = EncodingCache()
    Predictor(FakeBackend(), cache=cache).segment(noise(shape=(400, 400)), [[0, 0, 20, 20], [300, 300, 330, 330]])
    assert cache.used_bytes == 2 * FEATURE_BYTES
    assert all(feature.base is None for entry in cache._entries.values() for feature in entry)


def test_what_comes_back_cannot_be_changed():
    encoded = Predictor(FakeBackend(), cache=EncodingCache()).encode(noise())
    with pytest.raises(ValueError, match="read-only"):
        encoded.features[0][:] = 0


def test_the_disk_level_outlives_the_process_and_knows_its_model(tmp_path):
    key = image_key(noise())
    EncodingCache(folder=tmp_path).put(file_backend(), key, WHOLE, features(3.0))
    found = EncodingCache(folder=tmp_path).get(file_backend(), key, WHOLE)
    np.testing.assert_array_equal(found[0], features(3.0)[0])
    assert EncodingCache(folder=tmp_path).get(file_backend(files={"encoder.onnx": "cd"}), key, WHOLE) is None
    assert EncodingCache(folder=tmp_path).get(file_backend(), image_key(noise(1)), WHOLE) is None


def test_a_damaged_or_deleted_file_is_computed_again(tmp_path):
    image = noise()
    right = Predictor(file_backend(), zoom="off").segment(image, [[10, 10, 40, 40]]).mask(0)

    def run():
        backend = file_backend()
        predictor = Predictor(backend, zoom="off", cache=EncodingCache(folder=tmp_path))
        np.testing.assert_array_equal(predictor.segment(image, [[10, 10, 40, 40]]).mask(0), right)
        return encodes(backend)

    assert run() == 1 and run() == 0
    (entry,) = tmp_path.glob("*.npz")
    data = bytearray(entry.read_bytes())
    data[len(data) // 2] ^= 0xFF
    entry.write_bytes(data)
    assert run() == 1 and run() == 0
    entry.unlink()
    assert run() == 1


def test_the_disk_level_refuses_a_model_whose_weights_have_no_hash(tmp_path):
    with pytest.raises(WeightsError, match="leave the folder out"):
        Predictor(FakeBackend(), cache=EncodingCache(folder=tmp_path)).encode(noise())


def test_limits_are_checked():
    with pytest.raises(ValueError, match="limit_bytes must be"):
        EncodingCache(limit_bytes=-1)


def test_many_threads_share_a_small_cache():
    cache, backend = EncodingCache(limit_bytes=5 * 4000), FakeBackend()
    wrong = []

    def work(seed):
        rng = np.random.default_rng(seed)
        for _ in range(300):
            value = int(rng.integers(12))
            found = cache.get(backend, str(value), WHOLE)
            if found is None:
                cache.put(backend, str(value), WHOLE, features(value))
            elif (found[0] != value).any():
                wrong.append(value)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and cache.hits + cache.misses == 8 * 300
    assert cache.used_bytes == 4000 * len(cache) <= 5 * 4000
