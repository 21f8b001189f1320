"""`lite-medsam convert`: checkpoint to model directory and back, with the graphs against the original's outputs."""

import shutil

import numpy as np
import onnx
import pytest
import safetensors.torch
import tiny_models
import torch
from click.testing import CliRunner
from places import SHARED

from lite_medsam.challenge.reference_quirks import label_map_with_quirks, segment_with_quirks, truncated_boxes
from lite_medsam.cli.convert import FAMILY_NAMES, command
from lite_medsam.errors import CaseError, PromptError, WeightsError
from lite_medsam.learning.network import export
from lite_medsam.learning.network.checkpoint import load_model, to_stored
from lite_medsam.learning.network.families import FAMILIES, PublishedSegmenter, expected_shapes, family_spec
from lite_medsam.learning.published import convert, reading
from lite_medsam.model.manifest import verify
from lite_medsam.model.runtime import open_backend
from lite_medsam.model.spec import load_spec
from lite_medsam.segment.predictor import Predictor
from lite_medsam.segment.sam_predictor import SamPredictor

REFERENCE = SHARED / "reference"
LIMIT = 1e-3
needs_reference = pytest.mark.skipif(not REFERENCE.is_dir(), reason="needs ../shared/reference")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Converted tiny SAM and tiny LiteMedSAM: folder with `sam`, `lite` and the checkpoints beside them."""
    folder = tmp_path_factory.mktemp("converted")
    with pytest.MonkeyPatch.context() as patch:
        register(patch)
        for family, name in (("sam_tiny", "sam"), ("litemedsam_tiny", "lite")):
            torch.save(tiny_models.published_model(family, seed=4).state_dict(), folder / f"{name}.pth")
            convert.to_directory(folder / f"{name}.pth", folder / name)
    return folder


def register(patch):
    """The tiny families, and only those to recognise."""
    tiny_models.register(patch)
    small = {name: FAMILIES[name] for name in ("sam_tiny", "litemedsam_tiny")}
    patch.setattr(reading, "FAMILIES", small)


@pytest.fixture(autouse=True)
def families(monkeypatch):
    register(monkeypatch)


def image_of(*shape):
    return np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)


def test_a_model_directory_is_complete(tiny):
    for name in ("sam", "lite"):
        names = {path.name for path in (tiny / name).iterdir()}
        assert names == {"spec.json", "model.safetensors", "encoder.onnx", "decoder.onnx", "README.md"}
        spec = load_spec(tiny / name)
        assert set(spec.files) == names - {"spec.json", "README.md"}
        assert {result for _, result in verify(tiny / name, [])} == {"ok"}


def test_the_card_names_licence_source_and_hash(tiny):
    card = (tiny / "lite" / "README.md").read_text()
    facts = FAMILIES["litemedsam_tiny"]
    for text in (facts.licence, facts.source, convert.sha256_of(tiny / "lite.pth"), "lite.pth", "area"):
        assert text in card


@pytest.mark.parametrize("name", ["sam", "lite"])
def test_graphs_equal_torch(tiny, name):
    spec = load_spec(tiny / name)
    model = load_model(tiny / name)
    assert export.parity(model, tiny / name, spec) < 1e-4


def test_weights_are_stored_without_loss(tiny):
    original = torch.load(tiny / "sam.pth", weights_only=True)
    stored = load_model(tiny / "sam").state_dict()
    assert all(torch.equal(stored[k], v) for k, v in original.items())


def test_half_precision_is_used_only_where_it_loses_nothing():
    exact, other = torch.full((2, 2), 0.5), torch.full((2, 2), 0.1)
    stored = to_stored({"exact": exact, "other": other, "vector": torch.zeros(2)}, exact=True)
    assert {k: v.dtype for k, v in stored.items()} == {
        "exact": torch.float16, "other": torch.float32, "vector": torch.float32,
    }  # fmt: skip
    assert to_stored({"large": torch.full((1, 1), 1e6)}, exact=True)["large"].item() == 1e6


def test_the_graphs_have_no_normalisation_left(tiny):
    kinds = {node.op_type for node in onnx.load(tiny / "lite" / "encoder.onnx").graph.node}
    assert "Conv" in kinds and "BatchNormalization" not in kinds


def test_converted_sam_equals_the_original_through_onnx_runtime(tiny):
    ours = SamPredictor(tiny / "sam")
    original = tiny_models.original_tiny_sam(tiny_models.published_model("sam_tiny", seed=4))
    image = image_of(90, 128)
    ours.set_image(image)
    original.set_image(image)
    prompts = [
        {"box": np.array([10, 8, 37, 33])},
        {"point_coords": np.array([[20, 12], [3, 30]]), "point_labels": np.array([1, 0])},
        {"box": np.array([10, 8, 37, 33]), "point_coords": np.array([[20, 12]]), "point_labels": np.array([1])},
    ]
    for prompt in prompts:
        for mine, theirs in zip(
            ours.predict(**prompt, return_logits=True), original.predict(**prompt, return_logits=True), strict=True
        ):
            assert np.abs(mine - theirs).max() < LIMIT


def test_engines_agree(tiny):
    image, boxes = image_of(50, 80), [[5, 5, 30, 40], [10, 2, 79, 49]]
    onnx_result = Predictor.open(tiny / "lite", threads=1).segment(image, boxes)
    torch_result = Predictor.open(tiny / "lite", engine="torch").segment(image, boxes)
    assert np.abs(onnx_result.logits - torch_result.logits).max() < LIMIT


def test_prompts_that_it_was_not_trained_on_are_refused(tiny):
    from lite_medsam.prompts.prompt_set import Prompt

    with pytest.raises(PromptError, match=r"trained on \(box\), got points"):
        Predictor.open(tiny / "lite", threads=1).segment(image_of(20, 20), [Prompt(points=[[5, 5]], point_labels=[1])])


def test_weights_too_large_for_one_file_lie_beside_the_graph(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "EMBEDDED_BYTES", 100_000)
    out = tmp_path / "sam"
    convert.to_directory(tiny / "sam.pth", out)
    spec = load_spec(out)
    assert "encoder.onnx.data" in spec.files and "decoder.onnx.data" in spec.files
    assert (out / "encoder.onnx").stat().st_size < 300_000
    assert np.array_equal(
        open_backend(out, threads=1).encode(np.zeros((1, 3, 128, 128), np.float32))[0],
        open_backend(tiny / "sam", threads=1).encode(np.zeros((1, 3, 128, 128), np.float32))[0],
    )
    (out / "encoder.onnx.data").write_bytes(b"x")
    with pytest.raises(WeightsError, match=r"encoder\.onnx\.data.*SHA-256 differs"):
        open_backend(out, threads=1)


def test_the_way_back_gives_the_published_file(tiny, tmp_path, monkeypatch):
    shutil.copytree(tiny / "lite", tmp_path / "lite")
    spec = (tmp_path / "lite" / "spec.json").read_text()
    (tmp_path / "lite" / "spec.json").write_text(spec.replace("litemedsam_tiny", "litemedsam"))
    monkeypatch.setitem(FAMILIES, "litemedsam", FAMILIES["litemedsam_tiny"])
    result = CliRunner().invoke(
        command, [str(tmp_path / "lite"), "--to", "litemedsam", "--out", str(tmp_path / "back.pth")]
    )
    assert result.exit_code == 0, result.output
    back, original = (torch.load(p, weights_only=True) for p in (tmp_path / "back.pth", tiny / "lite.pth"))
    assert set(back) == set(original)
    assert all(torch.equal(back[k], original[k]) for k in original)


def test_the_way_back_is_for_its_own_architecture(tiny, tmp_path):
    with pytest.raises(WeightsError, match=r"needs a model with LiteMedSAM's architecture, got sam-tiny \(sam_tiny\)"):
        convert.to_litemedsam(tiny / "sam", tmp_path / "x.pth")


def test_the_command_reports_what_it_did(tiny, tmp_path):
    result = CliRunner().invoke(command, [str(tiny / "lite.pth"), "--out", str(tmp_path / "m"), "--name", "mine"])
    assert result.exit_code == 0, result.output
    assert "tiny LiteMedSAM (by its layout)" in result.output and "prompts: box" in result.output
    assert load_spec(tmp_path / "m").name == "mine"


def test_a_failed_conversion_leaves_no_model(tmp_path):
    (tmp_path / "w.pth").write_bytes(b"")
    with pytest.raises(WeightsError):
        convert.to_directory(tmp_path / "w.pth", tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_the_commands_families_are_those_there_are():
    assert set(FAMILY_NAMES) == {name for name in FAMILIES if not name.endswith("_tiny")}


def test_spec_of_a_family_keeps_its_preprocessing(tiny):
    assert load_spec(tiny / "lite").preprocessing == FAMILIES["litemedsam_tiny"].preprocessing


def test_zoom_is_on_where_it_was_measured_to_help(tiny, tmp_path):
    assert load_spec(tiny / "lite").zoom.enabled and not load_spec(tiny / "sam").zoom.enabled
    for source, words, expected in (("lite.pth", ["--zoom", "off"], False), ("sam.pth", ["--zoom", "on"], True)):
        result = CliRunner().invoke(command, [str(tiny / source), "--out", str(tmp_path / source), *words])
        assert result.exit_code == 0, result.output
        assert load_spec(tmp_path / source).zoom.enabled is expected


def test_a_smaller_image_size_makes_a_lighter_graph_of_the_same_weights(tiny, tmp_path):
    convert.to_directory(tiny / "lite.pth", tmp_path / "m", image_size=32)
    spec = load_spec(tmp_path / "m")
    assert spec.name == "litemedsam-tiny-32" and spec.preprocessing.image_size == 32
    small, full = (safetensors.torch.load_file(p / "model.safetensors") for p in (tmp_path / "m", tiny / "lite"))
    assert set(small) == set(full) and all(torch.equal(small[k], full[k]) for k in full)
    box = [[20, 8, 50, 30]]
    prediction = Predictor(open_backend(tmp_path / "m", threads=1), "off").segment(image_of(40, 64), box)
    assert prediction.masks().shape == (1, 40, 64) and prediction.logits[0].shape == (32, 32)
    # the engine torch builds the network at that size too
    same = Predictor(open_backend(tmp_path / "m", "torch"), "off").segment(image_of(40, 64), box)
    assert np.abs(np.asarray(same.logits[0]) - np.asarray(prediction.logits[0])).max() < 1e-3
    with pytest.raises(WeightsError, match="--image-size must be one of 32, 64 for tiny LiteMedSAM, got 96"):
        convert.to_directory(tiny / "lite.pth", tmp_path / "n", image_size=96)
    with pytest.raises(WeightsError, match="--image-size must be one of 128 for tiny SAM, got 64"):
        convert.to_directory(tiny / "sam.pth", tmp_path / "n", image_size=64)


# -- reproduction mode ------------------------------------------------------------------------------------------------


@pytest.fixture
def quirky(tiny, monkeypatch):
    monkeypatch.setattr("lite_medsam.challenge.reference_quirks.FAMILY", "litemedsam_tiny")
    return open_backend(tiny / "lite", threads=1)


def test_quirks_are_for_litemedsam(tiny):
    with pytest.raises(WeightsError, match="needs a converted LiteMedSAM, got sam-tiny"):
        segment_with_quirks(open_backend(tiny / "sam", threads=1), image_of(9, 9), [[0, 0, 1, 1]])


def test_boxes_are_cut_as_the_original_cuts_them():
    assert truncated_boxes(np.array([[511, 511, 514, 514]]), (1024, 1024), 256).tolist() == [[127, 127, 128, 128]]


def test_quirks_decode_the_cut_box(quirky):
    image = image_of(40, 64)
    first, same, other = segment_with_quirks(
        quirky, image, [[10.0, 10, 30, 30], [10.9, 10.9, 30.9, 30.9], [11, 11, 31, 31]]
    )
    assert first.shape == (40, 64) and np.array_equal(first, same)
    assert not np.array_equal(first, other)


def test_the_last_box_wins_and_labels_wrap():
    segs = np.zeros((257, 1, 3), bool)
    segs[0, 0, :2], segs[1, 0, 1], segs[255, 0, 0] = True, True, True
    assert label_map_with_quirks(segs).tolist() == [[0, 2, 0]]
    segs[256, 0, 2] = True
    assert label_map_with_quirks(segs).tolist() == [[0, 2, 1]]


def test_quirks_refuse_wrong_input(quirky):
    with pytest.raises(PromptError, match=r"\(N, 4\)"):
        segment_with_quirks(quirky, image_of(9, 9), [1, 2, 3, 4])
    with pytest.raises(CaseError):
        segment_with_quirks(quirky, image_of(9, 9).astype(float), [[1, 2, 3, 4]])


# -- the original network's outputs ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    out = tmp_path_factory.mktemp("reference") / "litemedsam"
    return out, convert.to_directory(REFERENCE / "lite_medsam_random.pth", out)


def decode_boxes(backend, features, boxes):
    count = len(boxes)
    labels = np.tile(np.array([[2, 3, -1]], np.float32), (count, 1))
    coords = np.concatenate([boxes.reshape(count, 2, 2), np.zeros((count, 1, 2), np.float32)], axis=1)
    return backend.decode(
        features, coords, labels, np.zeros((count, 1, 256, 256), np.float32), np.zeros(count, np.float32)
    )


@pytest.mark.slow
@needs_reference
@pytest.mark.parametrize("engine", ["onnxruntime", "torch"])
def test_reference_outputs(reference, monkeypatch, engine):
    monkeypatch.setattr(reading, "FAMILIES", FAMILIES)
    backend = open_backend(reference[0], engine, threads=1)
    settings = backend.spec.preprocessing
    for path in sorted(REFERENCE.glob("case*.npz")):
        case = np.load(path)
        image = case["imgs"]
        from lite_medsam.model.preprocessing import Frame, to_model

        pixels = to_model(image, Frame.for_model(image.shape[:2], settings), settings)
        assert np.abs(pixels - case["pixels"]).max() < 1e-6
        features = backend.encode(pixels[None])
        assert np.abs(features[0][0, :, ::4, ::4] - case["embedding"]).max() < LIMIT
        logits, scores = decode_boxes(backend, features, truncated_boxes(case["boxes"], image.shape[:2], 256))
        assert np.abs(logits[:, 0] - case["low_res_logits"]).max() < LIMIT
        assert np.abs(scores[:, 0] - case["iou"]).max() < LIMIT
        points = case["points_xy"][None].astype(np.float32), case["point_labels"][None].astype(np.float32)
        empty = np.zeros((1, 1, 256, 256), np.float32), np.zeros(1, np.float32)
        logits, scores = backend.decode(features, *points, *empty)
        assert np.abs(logits[0, 1:] - case["point_logits"]).max() < LIMIT
        assert np.abs(scores[0, 1:] - case["point_iou"]).max() < LIMIT


@pytest.mark.slow
@needs_reference
def test_reference_masks_in_reproduction_mode(reference):
    backend = open_backend(reference[0], threads=1)
    for path in sorted(REFERENCE.glob("case*.npz")):
        case = np.load(path)
        segs = segment_with_quirks(backend, case["imgs"], case["boxes"])
        assert (segs == case["segs"]).mean() >= 0.999


@pytest.mark.slow
@needs_reference
def test_reference_checkpoint_comes_back(reference, tmp_path):
    original = torch.load(REFERENCE / "lite_medsam_random.pth", weights_only=True)
    assert convert.to_litemedsam(reference[0], tmp_path / "back.pth") == len(original)
    back = torch.load(tmp_path / "back.pth", weights_only=True)
    assert set(back) == set(original)
    assert all(torch.equal(back[k], v) for k, v in original.items() if v.is_floating_point())


@pytest.mark.slow
def test_vit_b_converts_and_equals_the_original(tmp_path, monkeypatch):
    from segment_anything import SamPredictor as OriginalPredictor
    from segment_anything import sam_model_registry

    monkeypatch.setattr(reading, "FAMILIES", {k: v for k, v in FAMILIES.items() if not k.endswith("_tiny")})
    sam = tiny_models.randomise(sam_model_registry["vit_b"](), 5)
    torch.save(sam.state_dict(), tmp_path / "sam_vit_b.pth")
    report = convert.to_directory(tmp_path / "sam_vit_b.pth", tmp_path / "sam")
    assert report.family == "sam_vit_b" and report.difference < LIMIT
    ours, original = SamPredictor(tmp_path / "sam"), OriginalPredictor(sam)
    image = image_of(300, 500)
    ours.set_image(image)
    original.set_image(image)
    options = {"box": np.array([30, 40, 300, 200]), "return_logits": True}
    for mine, theirs in zip(ours.predict(**options), original.predict(**options), strict=True):
        assert np.abs(mine - theirs).max() < LIMIT


def test_expected_shapes_are_those_of_the_module():
    model = PublishedSegmenter(family_spec("sam_tiny"))
    assert expected_shapes("sam_tiny") == {k: tuple(v.shape) for k, v in model.state_dict().items()}
