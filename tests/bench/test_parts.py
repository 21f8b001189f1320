"""The parts of a bench with a model whose answers are known."""

import sys
import types

import numpy as np
import pytest
from fake_contender import FakeContender

from lite_medsam.bench import files, graphs, processes, refining, volumes, zooming
from lite_medsam.bench.contenders import OURS, REFERENCE, RecordingBackend
from lite_medsam.bench.context import BenchSettings
from lite_medsam.bench.run import run_bench
from lite_medsam.bench.samples import many_objects, one_object, write_variants
from lite_medsam.bench.timing import Sample
from lite_medsam.cases.case import load_image, save_case
from lite_medsam.errors import CaseError
from lite_medsam.phantoms import make_phantom
from lite_medsam.storage.machine import peak_memory_bytes

from fakes import FakeBackend  # isort: skip


def test_samples_have_the_size_and_the_boxes(tmp_path):
    sample = many_objects(1024, 100)
    assert sample.image.shape == (1024, 1024, 3) and sample.boxes.shape == (100, 4)
    x0, y0, x1, y1 = sample.boxes.T
    assert (x0 >= 0).all() and (y0 >= 0).all() and (x1 > x0).all() and (y1 > y0).all() and sample.boxes.max() <= 1023
    large = one_object(2048)
    drawn = one_object(1024)
    assert large.image.shape == (2048, 2048, 3)
    assert large.boxes[0].tolist() == (2 * drawn.boxes[0] + (0, 0, 1, 1)).tolist()  # outer edges doubled
    first, second = write_variants(one_object(128), tmp_path, 2)
    np.testing.assert_array_equal(load_image(first), one_object(128).image)
    np.testing.assert_array_equal(load_image(second), np.roll(one_object(128).image, 1, axis=1))


def test_a_recorder_counts_images_and_prompts():
    recorder = RecordingBackend(FakeBackend())
    features = recorder.encode(np.zeros((2, 3, 64, 64), np.float32))
    coords = np.array([[[1, 1], [9, 9]]] * 4, np.float32)
    labels = np.array([[2, 3]] * 4, np.float32)
    recorder.decode(features, coords, labels, np.zeros((4, 1, 64, 64), np.float32), np.zeros(4, np.float32))
    assert (recorder.images, recorder.prompts) == (2, 4) and recorder.encode_seconds > 0 < recorder.decode_seconds
    assert recorder.size == 64  # what it does not know itself comes from the backend
    recorder.reset()
    assert (recorder.images, recorder.decode_seconds) == (0, 0)


def test_graphs_compare_both_and_compute_what_takes_long(context):
    graphs.measure_graphs(context)
    measured, computed = context.find("decode 3 boxes", REFERENCE), context.find("decode 9 boxes", REFERENCE)
    assert measured.source == "measured" and computed.source == "computed: 9 times one box"
    one = context.find("decode 1 box", REFERENCE)
    assert computed.sample.median == pytest.approx(9 * one.sample.median)
    assert context.details["linear in boxes"]["counts"] == (1, 3, 9)
    assert context.details["product GFLOP/s between encodes"] > 0
    context.details[f"{OURS} encoder"] = {"gmac": 2.0}
    encode = context.find("encode", OURS)
    assert graphs.achieved_gflops(encode, context.details) == pytest.approx(4.0 / encode.sample.median)


def test_the_first_encode_is_a_cold_one(context, monkeypatch):
    opened = []
    monkeypatch.setattr(FakeContender, "open", lambda self, engine, threads: opened.append(FakeBackend()) or opened[-1])
    monkeypatch.setattr(
        graphs,
        "interleaved",
        lambda tasks, *_: {n: Sample((0.5,), len(b.encoded)) for n, b in zip(tasks, opened, strict=False)},
    )
    backends = graphs._open(context, "section", "onnxruntime")
    graphs._measure_encode(context, "section", backends, {})
    assert [context.find("first encode (cold)", c.title).sample.median for c in context.contenders] == [0, 0]


def test_files_are_written_by_both_and_nothing_stays(context):
    files.measure_files(context)
    whole = context.find("128 px, 1 box", OURS)
    assert whole.details == {"images encoded": 1, "prompts decoded": 1}
    zoomed, theirs = context.find("1024 px, 9 boxes, zoom", OURS), context.find("1024 px, 9 boxes", REFERENCE)
    assert zoomed.details["prompts decoded"] == 9 and zoomed.details["images encoded"] > 1
    assert theirs.source == "computed: a straight line through 1 and 8 boxes"
    assert not list(context.folder.iterdir())


def test_many_boxes_of_the_reference_follow_a_line():
    sample, _ = files._more_boxes(Sample((2.0, 3.0)), Sample((9.5,)), 64)
    assert sample.values == (2 + 63 * 1.0, 3 + 63 * 1.0)  # (9.5 - 2.5) / 7 each


def test_stages_add_up(context):
    files.measure_stages(context)
    stages = context.details["stages"]["1024 px, 1 box"]
    assert set(stages) == set(files.STAGES) and all(value >= 0 for value in stages.values())
    assert stages["read"] > 0 and stages["encode"] > 0 and stages["decode"] > 0
    assert not list(context.folder.iterdir())


def test_volumes_are_skipped_in_the_open_where_they_are_missing(context, monkeypatch):
    monkeypatch.delattr("lite_medsam.volumes.propagation", raising=False)
    monkeypatch.setitem(sys.modules, "lite_medsam.volumes.propagation", None)
    volumes.measure_volumes(context)
    assert context.skipped == [("volumes", "this version has no lite_medsam.volumes.propagation")]


def test_volumes_encode_once_and_the_reference_for_each_object(context, monkeypatch):
    module = types.ModuleType("lite_medsam.volumes.propagation")

    class VolumeObject:
        def __init__(self, prompts, name=None, z_range=None):
            self.prompts, self.z_range = prompts, z_range

    def propagate(predictor, volume, seeds):
        for image in volume:
            encoded = predictor.encode(image)
            predictor.decode(encoded, [prompt for seed in seeds for prompt in seed.prompts.values()])

    module.VolumeObject, module.propagate = VolumeObject, propagate
    monkeypatch.setitem(sys.modules, "lite_medsam.volumes.propagation", module)
    monkeypatch.setattr("lite_medsam.volumes.propagation", module, raising=False)
    monkeypatch.setattr(volumes, "SLICES", (3, 4, 6))
    context.add("g", "encode", REFERENCE, Sample((2.0,)))
    context.add("g", "decode 1 box", REFERENCE, Sample((0.5,)))
    volumes.measure_volumes(context)
    assert context.find(volumes.row(6), OURS).details == {"images encoded": 6, "prompts decoded": 24}
    theirs = context.find(volumes.row(3), REFERENCE)
    assert theirs.sample.median == 4 * 3 * 2.5 and theirs.source.startswith("computed: 12 encodes")
    assert context.details["linear in slices"]["counts"] == (3, 4, 6)


def test_zoom_scores_the_cases_that_are_given(context, monkeypatch, tmp_path):
    monkeypatch.setattr("lite_medsam.segment.predictor.ZOOM_MODES", ("auto", "off"))
    folder = tmp_path / "cases"
    for seed in range(2):
        save_case(folder / f"2D_US_us-{seed:04d}.npz", make_phantom("us", seed, (128, 128)))
    object.__setattr__(context.settings, "cases", folder)
    zooming.measure_zoom(context)
    facts = context.details["zoom"]
    assert facts["images"] == 2 and set(facts["modes"]) == {"off", "auto"}
    assert ("zoom always", "this version has no such mode") in context.skipped
    assert 0.3 < facts["modes"]["off"]["dice"] <= 1  # the fake fills the box
    assert facts["modes"]["off"]["images encoded"] == 2
    assert len(context.find("zoom off", OURS).sample.values) == 2


def test_cases_are_spread_and_must_exist(tmp_path):
    for i in range(10):
        (tmp_path / f"{i}.npz").touch()
    assert [path.name for path in zooming.labelled(tmp_path, 3)] == ["0.npz", "3.npz", "6.npz"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(CaseError, match="--cases must hold"):  # before anything is measured
        run_bench(BenchSettings(engines=("onnxruntime",), with_reference=False, cases=tmp_path / "empty"))


def test_seconds_of_an_image_are_the_sum_of_its_rows():
    rows = [{"image": i, "seconds": s} for i, s in ((0, 0.1), (0, 0.2), (1, 0.5))]
    assert zooming.image_seconds(rows) == (pytest.approx(0.3), 0.5)


def test_a_process_that_fails_says_why():
    with pytest.raises(processes.ProcessFailed, match=r"code 1: .*boom"):
        processes.run_python(["-c", "raise ValueError('boom')"])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the parent's memory is left out on Linux only")
def test_peak_memory_is_that_of_the_child_alone():
    ballast = np.ones(400_000_000, np.uint8)  # what ru_maxrss would hand down to the child
    assert peak_memory_bytes() > 400e6
    assert 10 < processes.peak_of(["info"]) < 300
    assert len(ballast)


def test_a_second_look_is_timed_beside_none(context, monkeypatch):
    monkeypatch.setattr(refining, "one_object", lambda side: one_object(512))  # 8 of its pixels in one of the fake's
    refining.measure_refining(context)
    off, more = (context.find(f"--refine {mode}", OURS, refining.SECTION) for mode in refining.MODES)
    assert off.details["images encoded"] == 1 < more.details["images encoded"]
    times = context.find("always over off", OURS, refining.SECTION)
    assert times.source == "computed"
    assert times.sample.median == pytest.approx(more.sample.median / off.sample.median)


def test_a_model_that_cannot_look_again_is_named(context, monkeypatch):
    monkeypatch.setattr(FakeContender, "open", lambda self, engine, threads: FakeBackend(prompts=("box",)))
    refining.measure_refining(context)
    assert not context.measurements and [what for what, _ in context.skipped] == ["--refine always"]
