"""Recognising and reading checkpoint files, also damaged, mislabelled and malicious ones."""

import io
import pickle
import zipfile
from pathlib import Path

import pytest
import safetensors.torch
import tiny_models
import torch
from places import SHARED

from lite_medsam.errors import WeightsError
from lite_medsam.learning.network.families import FAMILIES, expected_shapes
from lite_medsam.learning.published import reading as module
from lite_medsam.learning.published.checkpoint_file import read_state
from lite_medsam.learning.published.reading import load_published, published_model, published_state

REFERENCE = SHARED / "reference" / "lite_medsam_random.pth"


@pytest.fixture(scope="module")
def state():
    """A state dict in the layout of the tiny LiteMedSAM."""
    with pytest.MonkeyPatch.context() as patch:
        tiny_models.register(patch)
        return published_state(tiny_models.published_model("litemedsam_tiny"))


@pytest.fixture(autouse=True)
def families(monkeypatch):
    """Only the tiny families, and MedSAM and SAM with the layout of the tiny SAM."""
    tiny_models.register(monkeypatch)
    sam, lite = FAMILIES["sam_tiny"], FAMILIES["litemedsam_tiny"]
    monkeypatch.setattr(module, "FAMILIES", {"medsam_vit_b": sam, "sam_vit_b": sam, "litemedsam_tiny": lite})
    monkeypatch.setattr(module, "expected_shapes", lambda name: expected_shapes(name if "tiny" in name else "sam_tiny"))


@pytest.fixture
def save(tmp_path):
    def save(record, name="w.pth", **options):
        torch.save(record, tmp_path / name, **options)
        return tmp_path / name

    return save


def assert_same(found, state):
    floats = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    assert set(found) == set(floats)
    assert all(torch.equal(found[k], floats[k]) for k in floats)


def prefixed(state, prefix):
    return {prefix + name: value for name, value in state.items()}


WRAPPINGS = {
    "bare": lambda s: s,
    "model": lambda s: {"model": s, "optimizer": {"state": {}}, "epoch": 3},
    "state_dict": lambda s: {"state_dict": s, "epoch": 3},
    "nested": lambda s: {"model": {"state_dict": s}},
    "module.": lambda s: prefixed(s, "module."),
    "model and module.": lambda s: {"model": prefixed(s, "module."), "loss": 0.5},
    "lightning": lambda s: {"state_dict": prefixed(s, "model."), "pytorch-lightning_version": "2.2", "callbacks": {}},
    "sam.": lambda s: {"model_state": prefixed(s, "sam.")},
    "compiled": lambda s: prefixed(s, "_orig_mod."),
    "parts wrapped": lambda s: {k.replace("image_encoder.", "image_encoder.module."): v for k, v in s.items()},
    "without counters": lambda s: {k: v for k, v in s.items() if not k.endswith("num_batches_tracked")},
    "with derived buffers": lambda s: {
        **s, "image_encoder.layers.1.blocks.0.attn.attention_bias_idxs": torch.zeros(9, 9, dtype=torch.int64),
    },
}  # fmt: skip


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_every_wrapping_loads(state, save, wrapping):
    found = load_published(save(WRAPPINGS[wrapping](state)))
    assert found.family == "litemedsam_tiny"
    assert_same(found.state, state)


def test_the_old_torch_format_loads(state, save):
    assert_same(load_published(save(state, _use_new_zipfile_serialization=False)).state, state)


def test_safetensors_load_whatever_they_are_called(state, tmp_path):
    path = tmp_path / "weights.bin"
    safetensors.torch.save_file(state, path)
    found = load_published(path)
    assert found.wrapping == "safetensors"
    assert_same(found.state, state)


def test_half_precision_is_widened(state, save):
    found = load_published(save({k: v.half() if v.is_floating_point() else v for k, v in state.items()}))
    assert {v.dtype for v in found.state.values()} == {torch.float32}


def test_published_model_computes_with_the_weights(state, save):
    model = published_model(load_published(save(state)))
    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items() if v.is_floating_point())
    assert not model.training


def test_an_encoder_alone_takes_the_rest_from_another_file(state, save):
    encoder = {k.removeprefix("image_encoder."): v for k, v in state.items() if k.startswith("image_encoder.")}
    path, whole = save({"model": prefixed(encoder, "module.")}, "student.pth"), save(state, "whole.pth")
    with pytest.raises(WeightsError, match=r"image encoder of tiny LiteMedSAM only; .* --decoder FILE"):
        load_published(path)
    assert_same(load_published(path, decoder=whole).state, state)
    with pytest.raises(WeightsError, match="has its own"):
        load_published(whole, decoder=whole)
    with pytest.raises(WeightsError, match="with a mask decoder"):
        load_published(path, decoder=path)


def test_names_of_an_encoder_may_keep_their_prefix(state, save):
    encoder = {k: v for k, v in state.items() if k.startswith("image_encoder.")}
    assert_same(load_published(save(encoder, "e.pth"), decoder=save(state, "whole.pth")).state, state)


@pytest.mark.parametrize(
    ("name", "family"), [("sam_vit_b_01ec64.pth", "sam_vit_b"), ("medsam_vit_b.pth", "medsam_vit_b")]
)
def test_medsam_and_sam_are_told_apart_by_name(save, monkeypatch, name, family):
    weights = published_state(tiny_models.published_model("sam_tiny"))
    found = load_published(save(weights, name))
    assert found.family == family and "--family" in found.why
    other = "sam_vit_b" if family == "medsam_vit_b" else "medsam_vit_b"
    assert load_published(save(weights, name), family=other).family == other


def test_medsam_is_told_by_its_hash(save, monkeypatch):
    monkeypatch.setattr(module, "MEDSAM_SHA256", module.sha256_of(path := save(
        published_state(tiny_models.published_model("sam_tiny")), "x.pth")))  # fmt: skip
    assert load_published(path).family == "medsam_vit_b"


def test_a_mismatch_names_up_to_five_keys_and_the_nearest_architecture(state, save):
    names = [k for k in state if not k.endswith("num_batches_tracked")]
    broken = {k: v for k, v in state.items() if k not in names[:7]}
    broken |= {f"mask_decoder.extra{i}": torch.zeros(1) for i in range(9)}
    broken["mask_decoder.iou_token.weight"] = torch.zeros(2, 3)
    with pytest.raises(WeightsError) as caught:
        load_published(save(broken))
    message = str(caught.value)
    assert "nearest is tiny LiteMedSAM with 9" in message
    assert "7 missing: " + ", ".join(names[:5]) + ";" in message
    assert "9 unexpected: " + ", ".join(f"mask_decoder.extra{i}" for i in range(5)) + ";" in message
    assert "iou_token.weight is (2, 3), not (1, 256)" in message and "\n" not in message


def test_a_mislabelled_file_says_what_differs(state, save):
    with pytest.raises(
        WeightsError, match=r"nearest is SAM.*missing.*unexpected.*it is a tiny LiteMedSAM: leave --family"
    ):
        load_published(save(state, "sam_vit_b.pth"), family="sam_vit_b")


def test_nothing_that_matches_fails(save):
    with pytest.raises(WeightsError, match=r"nothing in it matches, it holds fc\.weight"):
        load_published(save({"fc.weight": torch.zeros(2, 2)}))


def test_numbers_must_be_finite(state, save):
    broken = dict(state)
    broken["mask_decoder.iou_token.weight"] = torch.full((1, 256), float("nan"))
    with pytest.raises(WeightsError, match=r"NaN or infinity in mask_decoder\.iou_token"):
        load_published(save(broken))


def test_tensors_must_be_floats(state, save):
    broken = {**state, "mask_decoder.iou_token.weight": torch.zeros(1, 256, dtype=torch.int64)}
    with pytest.raises(WeightsError, match=r"dense tensor of floats, got torch.int64"):
        load_published(save(broken))


def test_two_models_in_one_file_are_refused(state, save):
    with pytest.raises(WeightsError, match=r"unexpected|one model"):
        load_published(save(prefixed(state, "student.") | prefixed(state, "teacher.")))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty file"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS pointer"),
        (b"\x89PNG\r\n\x1a\n", "got neither"),
        (b"PK\x03\x04 and nothing more", "cut off or damaged"),
        (b"\x80\x02garbage", "cut off or damaged"),
        ((50).to_bytes(8, "little") + b'{"a"', "whole safetensors file"),
    ],
)
def test_files_that_are_no_checkpoints(tmp_path, content, message):
    path = tmp_path / "w.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=message) as caught:
        read_state(path)
    assert str(path) in str(caught.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(WeightsError, match="must be a file"):
        read_state(tmp_path / "w.pth")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("kind", ["zip", "old", "safetensors"])
def test_truncated_files(state, save, tmp_path, share, kind):
    if kind == "safetensors":
        path = tmp_path / "w.pth"
        safetensors.torch.save_file(state, path)
    else:
        path = save(state, _use_new_zipfile_serialization=kind == "zip")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(WeightsError, match="download it again"):
        read_state(path)


def test_damaged_bytes_never_pass_for_a_model(state, save):
    path = save(state)
    data = bytearray(path.read_bytes())
    for place in range(40, 2000, 97):  # in the zip header and the pickle, which lies first
        changed = data.copy()
        changed[place] ^= 0xFF
        path.write_bytes(changed)
        try:
            load_published(path)
        except WeightsError:
            continue


class Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("kind", ["zip", "old", "plain pickle"])
@pytest.mark.parametrize("place", ["alone", "beside the weights"])
def test_code_in_a_pickle_does_not_run(state, save, tmp_path, kind, place):
    mark = tmp_path / "ran"
    record = Evil(mark) if place == "alone" else {"state_dict": state, "args": Evil(mark)}
    path = tmp_path / "evil.pth"
    if kind == "plain pickle":
        path.write_bytes(pickle.dumps(record))
    else:
        torch.save(record, path, _use_new_zipfile_serialization=kind == "zip")
    with pytest.raises(WeightsError, match=r"needs unpickling.*can run code|cut off or damaged"):
        read_state(path)
    assert not mark.exists()
    loaded = torch.load(path, weights_only=False) if kind != "plain pickle" else pickle.loads(path.read_bytes())
    (loaded if place == "alone" else loaded["args"]).close()
    assert mark.exists()  # it would have run


def test_the_reason_names_what_would_be_unpickled(save, tmp_path):
    import argparse

    path = save({"state_dict": {}, "hyper_parameters": argparse.Namespace(lr=1)})
    with pytest.raises(
        WeightsError, match=r"unpickling of argparse\.Namespace, which can run code; ask for safetensors"
    ):
        read_state(path)


def test_a_pickled_module_is_refused(save):
    with pytest.raises(WeightsError, match="unpickling"):
        read_state(save(torch.nn.Linear(2, 2)))


def test_a_tensor_is_no_state_dict(save):
    with pytest.raises(WeightsError, match="must hold a state dict, got Tensor"):
        read_state(save(torch.zeros(3)))


def test_a_record_without_tensors_is_refused(save):
    with pytest.raises(WeightsError, match="got epoch"):
        read_state(save({"epoch": 3}))


def repacked(path, **options):
    """The same torch file with its members written by zipfile."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def test_compressed_archives_are_refused_before_they_grow(save):
    path = save({"a": torch.zeros(4_000_000)})
    repacked(path, compression=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 100_000
    with pytest.raises(WeightsError, match="compressed archive"):
        read_state(path)


def test_a_claimed_size_beyond_the_file_is_refused(save):
    path = save({"a": torch.zeros(1000)})
    data = path.read_bytes()
    size = (4000).to_bytes(4, "little")
    place = data.rfind(size + size)  # compressed and plain size of the storage in the central directory
    assert place > 0
    huge = (2**31).to_bytes(4, "little")
    path.write_bytes(data[:place] + huge + huge + data[place + 8 :])
    with pytest.raises(WeightsError):
        read_state(path)


def test_an_archive_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "w.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(WeightsError, match=r"one small data\.pkl"):
        read_state(path)


def test_a_tensor_that_claims_more_than_its_storage_is_refused(state, save):
    """A stretched view costs nothing in the file and gigabytes in memory; its shape gives it away."""
    broken = {**state, "mask_decoder.iou_token.weight": torch.zeros(1).expand(2**20, 2**10)}
    buffer = io.BytesIO()
    torch.save(broken, buffer)
    assert buffer.tell() < 60 * 2**20
    with pytest.raises(WeightsError, match=r"iou_token.weight is \(1048576, 1024\)"):
        load_published(save(broken))


@pytest.mark.skipif(not REFERENCE.is_file(), reason="needs ../shared/reference")
def test_the_reference_checkpoint_is_a_litemedsam(monkeypatch):
    monkeypatch.setattr(module, "FAMILIES", FAMILIES)
    monkeypatch.setattr(module, "expected_shapes", expected_shapes)
    found = load_published(REFERENCE)
    assert (found.family, found.why, found.wrapping) == ("litemedsam", "by its layout", "torch file")


@pytest.mark.parametrize("family", ["litemedsam", "sam_vit_b", "sam_vit_l", "sam_vit_h", "mobile_sam"])
def test_families_are_recognised_by_shape(monkeypatch, family):
    monkeypatch.setattr(module, "FAMILIES", FAMILIES)
    monkeypatch.setattr(module, "expected_shapes", expected_shapes)
    shapes = {k: s for k, s in expected_shapes(family).items() if not k.endswith("num_batches_tracked")}
    state = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    if family == "mobile_sam":  # carries its classifier along
        state["image_encoder.head.weight"] = torch.empty(1000, 320, device="meta")
        state["image_encoder.norm_head.bias"] = torch.empty(320, device="meta")
    monkeypatch.setattr(module, "sha256_of", lambda path: "")
    assert module._recognise(state, Path("weights.pth"), "auto")[0] == family
