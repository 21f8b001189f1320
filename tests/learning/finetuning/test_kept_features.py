import numpy as np
import pytest

from lite_medsam.learning.finetuning.kept_features import pack_features, unpack_features


def test_each_value_comes_back_within_half_a_step():
    rng = np.random.default_rng(0)
    skip = rng.normal(0, [[[1e-3]], [[1.0]], [[1e4]]], (3, 16, 16)).astype(np.float32)
    skip[1] = 7.0  # a channel that says nothing
    embedding = rng.normal(size=(5, 8, 8)).astype(np.float32)
    packed = pack_features([embedding, skip])
    first, second = unpack_features(packed | {"masks": np.zeros(3)})
    assert first.dtype == second.dtype == np.float32
    np.testing.assert_allclose(first, embedding, rtol=1e-3)
    spread = np.ptp(skip, axis=(1, 2), keepdims=True)
    assert (np.abs(second - skip) <= 0.501 / 255 * spread + 1e-7 * np.abs(skip)).all() and (second[1] == 7).all()
    kept = sum(array.nbytes for array in packed.values())
    assert kept < 0.35 * (embedding.nbytes + skip.nbytes)


def test_an_embedding_too_large_for_half_precision_stays_whole():
    large = np.full((1, 2, 2), 1e5, np.float32)
    assert np.array_equal(unpack_features(pack_features([large]))[0], large)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_as_many_as_there_were(count):
    features = [np.random.default_rng(i).random((2, 2**i, 2**i), np.float32) for i in range(count)]
    assert [f.shape for f in unpack_features(pack_features(features))] == [f.shape for f in features]


def test_memory_order_does_not_outlive_the_packing():
    strided = np.random.default_rng(0).random((4, 6, 3), np.float32).transpose(2, 0, 1)
    packed = pack_features([strided, strided])
    assert all(array.flags.c_contiguous for array in (*packed.values(), *unpack_features(packed)))
