"""What a bench computes from its numbers: turns, medians, multiply-adds, rooflines, goals, tables."""

import json
import math

import numpy as np
import pytest

from lite_medsam.bench import operators
from lite_medsam.bench.ceilings import Ceiling, ceiling_of
from lite_medsam.bench.contenders import OURS, REFERENCE, Contender
from lite_medsam.bench.context import BenchSettings, Context
from lite_medsam.bench.files import STAGES, overhead, row
from lite_medsam.bench.goals import MISSED, REACHED, UNKNOWN, Goal, all_goals, ratio
from lite_medsam.bench.operators import Operator, count_macs, gmac, operators_of, profile, roofline
from lite_medsam.bench.report import duration, format_report
from lite_medsam.bench.run import BenchReport
from lite_medsam.bench.small_graphs import one_operator
from lite_medsam.bench.timing import Measurement, Sample, interleaved, line_fit
from lite_medsam.bench.zooming import gain
from lite_medsam.storage.bundled import DEFAULT_WEIGHTS


class Clock:
    """Time that passes only where a task says so."""

    def __init__(self):
        self.now, self.calls = 0.0, []

    def __call__(self) -> float:
        return self.now

    def task(self, name: str, *seconds: float):
        left = list(seconds)

        def run():
            self.calls.append(name)
            self.now += left.pop(0) if len(left) > 1 else left[0]

        return run


def test_tasks_take_turns():
    clock = Clock()
    samples = interleaved({"a": clock.task("a", 1.0), "b": clock.task("b", 0.5)}, 3, clock=clock)
    assert "".join(clock.calls) == "ab" + "ab" * 3  # one call each to get warm, then A B A B
    assert samples["a"].values == (1.0,) * 3 and samples["b"].values == (0.5,) * 3


def test_the_first_call_is_told_apart():
    clock = Clock()
    sample = interleaved({"a": clock.task("a", 1.5, 1.0)}, 2, clock=clock)["a"]
    assert sample.first == 1.5 and sample.values == (1.0, 1.0)


def test_a_quick_task_is_warmed_each_time_its_turn_comes():
    clock = Clock()
    interleaved({"a": clock.task("a", 0.0625), "b": clock.task("b", 1.0)}, 2, clock=clock)
    assert "".join(clock.calls) == "ab" + "aaab" * 2  # untimed, then as many as fit into a turn, here two


def test_a_long_first_call_counts_and_the_budget_ends_the_rounds():
    clock = Clock()
    samples = interleaved({"a": clock.task("a", 1.0), "b": clock.task("b", 5.0)}, 9, budget_seconds=7, clock=clock)
    assert "".join(clock.calls) == "ab" + "ab"  # the first round is due, since a has no value yet
    assert samples["b"].values == (5.0, 5.0) and samples["a"].values == (1.0,)


def test_medians_and_quartiles():
    sample = Sample((1.0, 2.0, 3.0, 4.0, 100.0), first=9.0)
    assert sample.median == 3.0 and sample.quartiles == (2.0, 4.0)
    record = Measurement("s", "w", OURS, sample).record()
    assert (record["median"], record["q1"], record["q3"], record["count"], record["first"]) == (3.0, 2.0, 4.0, 5, 9.0)


def test_a_straight_line_has_no_bend():
    fit = line_fit((1, 8, 64, 300), [0.01 + 0.002 * n for n in (1, 8, 64, 300)])
    assert fit["each"] == pytest.approx(0.002) and fit["fixed"] == pytest.approx(0.01)
    assert fit["bend"] == pytest.approx(1) and fit["r2"] == pytest.approx(1)
    assert line_fit((1, 2, 3), [1, 4, 9])["bend"] == pytest.approx(5 / 3)  # squares: slopes 3 and 5
    with pytest.raises(ValueError, match="at least 3"):
        line_fit((1, 2), (1, 2))


def test_a_graph_of_one_operator_runs_and_is_valid():
    import onnxruntime

    graph = one_operator("MatMul", {"a": (3, 200), "b": (200, 5)}, ("c", (3, 5)))
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((3, 200), np.float32), rng.standard_normal((200, 5), np.float32)
    np.testing.assert_allclose(session.run(None, {"a": a, "b": b})[0], a @ b, atol=1e-4)
    onnx = pytest.importorskip("onnx", reason="checks the graph against the onnx package")
    onnx.checker.check_model(onnx.load_from_string(graph), full_check=True)


def facts(kind, inputs, outputs):
    def listing(shapes):
        return [{"float": list(shape)} for shape in shapes]

    return {"op_name": kind, "input_type_shape": listing(inputs), "output_type_shape": listing(outputs)}


@pytest.mark.parametrize(
    ("kind", "inputs", "output", "macs"),
    [
        ("Conv", [(1, 8, 16, 16), (12, 8, 3, 3), (12,)], (1, 12, 16, 16), 12 * 16 * 16 * 8 * 9),
        ("Conv", [(2, 8, 16, 16), (8, 1, 3, 3)], (2, 8, 8, 8), 2 * 8 * 8 * 8 * 9),  # depthwise, stride 2
        ("ConvTranspose", [(1, 6, 4, 4), (6, 3, 2, 2)], (1, 3, 8, 8), 6 * 4 * 4 * 3 * 4),
        ("MatMul", [(2, 7, 5), (5, 3)], (2, 7, 3), 2 * 7 * 5 * 3),
        ("MatMul", [(2, 7, 5)], (2, 7, 3), 2 * 7 * 5 * 3),  # the second matrix was packed away
        ("FusedMatMul", [(4, 5, 7), (4, 5, 3)], (4, 7, 3), 4 * 7 * 5 * 3),  # the first one transposed
        ("Gemm", [(7, 5), (5, 3), (3,)], (7, 3), 7 * 5 * 3),
        ("Softmax", [(7, 5)], (7, 5), 0),
    ],
)
def test_multiply_adds_by_hand(kind, inputs, output, macs):
    assert count_macs(facts(kind, inputs, [output])) == macs


def test_a_hidden_kernel_is_not_counted_as_nothing():
    hidden = count_macs(facts("ConvTranspose", [(1, 6, 4, 4)], [(1, 3, 8, 8)]))
    assert math.isnan(hidden)
    assert gmac([Operator("ConvTranspose", hidden, 1, 1), Operator("MatMul", 2e9, 1, 1)]) == 2.0


def test_a_profile_counts_what_the_runtime_did(tmp_path):
    path = tmp_path / "product.onnx"
    path.write_bytes(one_operator("MatMul", {"a": (30, 40), "b": (40, 50)}, ("c", (30, 50))))
    feeds = {"a": np.ones((30, 40), np.float32), "b": np.ones((40, 50), np.float32)}
    (node,) = profile(path, feeds, 1, runs=3)
    assert node.kind == "MatMul" and node.macs == 30 * 40 * 50 and node.seconds > 0
    assert node.touched == 4 * (30 * 40 + 40 * 50 + 30 * 50)


def test_the_default_model_is_of_a_laptops_size():
    pixels = {"pixels": np.zeros((1, 3, 256, 256), np.float32)}
    nodes = profile(DEFAULT_WEIGHTS / "encoder.onnx", pixels, 1, runs=1, optimise=False)
    assert 2.5 < gmac(nodes) <= 3.5  # counted, so that a count that finds nothing is seen
    assert sum(path.stat().st_size for path in DEFAULT_WEIGHTS.iterdir()) <= 45e6
    assert operators.output_names(DEFAULT_WEIGHTS / "encoder.onnx")[0] == "embedding"


def test_runs_of_a_node_are_one_operator():
    def event(node, duration):
        return {"cat": "Node", "name": "x_kernel_time", "dur": duration, "args": {
            **facts("MatMul", [(2, 3), (3, 4)], [(2, 4)]), "node_index": node, "activation_size": "10",
            "parameter_size": "5", "output_size": "1"}}  # fmt: skip

    events = [event("1", 900), event("2", 7), event("1", 10), event("1", 30), {"cat": "Session", "name": "run"}]
    first, second = operators_of(events)
    assert first == Operator("MatMul", 24, 16, 10e-6, "x")  # the first run is cold; the quickest counts
    assert second.seconds == 7e-6  # nothing else to go by


CEILING = Ceiling(flops=100e9, bandwidth=((1_000_000, 10e9), (100_000_000, 5e9)))


def test_the_ceiling_of_a_size():
    assert CEILING.bytes_per_second(1_000_000) == 10e9
    assert CEILING.bytes_per_second(1_000_001) == CEILING.bytes_per_second(1e12) == 5e9
    assert CEILING.seconds(flops=1e9, touched=1e6) == pytest.approx(0.01)  # 10 ms of arithmetic, 0.1 ms of bytes
    assert CEILING.seconds(flops=1e6, touched=1e6) == pytest.approx(1e-4)
    assert CEILING.bound_by_memory(1e6, 1e6) and not CEILING.bound_by_memory(1e9, 1e6)
    moves = {f"move {n}": 0.1 for n in (600_000, 3_000_000, 12_000_000, 200_000_000)}
    made = ceiling_of({"product 512": 0.002, "product 1024": 0.01, **moves})
    assert made.flops == pytest.approx(2 * 1024**3 / 0.01)
    assert made.bandwidth[0] == (600_000, pytest.approx(600_000 / 0.1))


def test_a_roofline_by_hand():
    found = roofline(
        [
            Operator("Conv", 1e9, 1e6, 0.04),  # 2 GFLOP: at least 20 ms
            Operator("Add", 0, 1e6, 0.01),  # at least 0.1 ms
            Operator("Conv", 5e5, 1e6, 0.05),  # bound by memory: 0.01 ms of arithmetic, 0.1 ms of bytes
            Operator("ConvTranspose", math.nan, 0, 0.0),
        ],
        CEILING,
    )
    assert found["seconds"] == pytest.approx(0.1) and found["least_seconds"] == pytest.approx(0.0202)
    assert found["gflops"] == pytest.approx(2 * 1.0005 / 0.1)
    assert found["roofline_gflops"] == pytest.approx(2 * 1.0005 / 0.0202)
    assert found["free_gflops"] == pytest.approx(50) and found["free_share"] == pytest.approx(1e9 / 1.0005e9)
    conv = found["kinds"][0]
    assert (conv["kind"], conv["count"], conv["share"]) == ("Conv", 2, pytest.approx(0.9))
    assert conv["memory_bound_share"] == pytest.approx(5 / 9)


def filled(tmp_path) -> Context:
    """A context with a few numbers that are easy to compute with."""
    ours, theirs = Contender(OURS, tmp_path), Contender(REFERENCE, tmp_path)
    context = Context(BenchSettings(engines=("onnxruntime",)), ours, theirs, 2, tmp_path)
    graphs, file_row = "Graphs in onnxruntime, 2 threads", row(1024, 64, "auto")
    context.add(graphs, "encode", OURS, Sample((0.03, 0.01, 0.02)))
    context.add(graphs, "encode", REFERENCE, Sample((0.4, 0.6, 9.0)))
    context.add("File to written mask", file_row, OURS, Sample((1.0,)))
    context.add("File to written mask", file_row, REFERENCE, Sample((7.0,)), source="computed: so")
    context.details["stages"] = {row(1024, 1, "auto"): dict(zip(STAGES, (5, 1, 6, 2, 1, 5), strict=True))}
    context.details["linear in boxes"] = {
        "counts": (1, 8, 64),
        "seconds": [1, 2, 10],
        **line_fit((1, 8, 64), (1, 2, 10)),
    }
    return context


def test_goals_come_from_medians(tmp_path):
    context = filled(tmp_path)
    assert ratio(context, "encode") == (pytest.approx(30), "")
    assert math.isnan(ratio(context, "decode 1 box")[0])
    goals = {goal.name: goal for goal in all_goals(context)}
    assert goals["encode"].status == REACHED and goals["decode, one box"].status == UNKNOWN
    zoomed = goals["64 boxes, file to mask, zoom"]
    assert zoomed.status == MISSED and zoomed.value == 7 and "computed" in zoomed.note
    assert goals["overhead outside the graphs, in memory"].value == pytest.approx(20)  # (1 + 1) of 10
    assert goals["overhead, file to file"].value == pytest.approx(60)  # 12 of 20
    assert goals["linear in boxes"].value == pytest.approx((8 / 56) / (1 / 7))
    assert len(goals) == len(all_goals(context)) >= 18  # each has a name of its own, none is left out


def test_memory_is_not_taken_for_time(tmp_path):
    context, name = filled(tmp_path), row(1024, 1, "auto")
    context.add("Peak memory of a process", name, OURS, Sample((200.0,)), unit="MB")
    context.add("Peak memory of a process", name, REFERENCE, Sample((500.0,)), unit="MB")
    goals = {goal.name: goal for goal in all_goals(context)}
    assert goals["file to mask, 1024 px, one box"].status == UNKNOWN
    assert goals["peak memory, 1024 px, 1 box"].value == 200


def test_a_limit_and_an_aim():
    assert Goal("m", 350, False, 350.0).status == REACHED and Goal("m", 350, False, 351.0).status == MISSED
    assert Goal("m", 350, True, 349.0).status == MISSED and Goal("m", 350, True, math.nan).record()["value"] is None
    assert overhead(dict.fromkeys(STAGES, 1.0), with_files=False) == 0.5


def test_zoom_gain_takes_the_worst_group():
    off = {"dice small": 0.5, "dice large": 0.9, "by modality": {"CT": 0.7, "MR": 0.6}}
    auto = {"dice small": 0.65, "dice large": 0.9, "by modality": {"CT": 0.69, "MR": 0.8}}
    assert gain({"off": off, "auto": auto}) == {"small": pytest.approx(15), "lowest": pytest.approx(-1)}


def make_report(context: Context) -> BenchReport:
    machine = {"processor": "P", "physical_cores": 2, "memory_gb": 8, "system": "S", "versions": {"numpy": "2"}}
    machine |= {"date": "2026-01-02T00:00:00", "load_at_start": 0.1}
    settings = {"threads": 2, "repeats": 5, "quick": True}
    return BenchReport(
        machine, settings, context.measurements, context.details, all_goals(context), [("zoom always", "no such mode")],
        [("memory", "OSError: full")],
    )  # fmt: skip


def test_the_table_shows_ratios_failures_and_what_was_computed(tmp_path):
    text = format_report(make_report(filled(tmp_path)))
    line = next(line for line in text.splitlines() if line.strip().startswith("encode  "))
    assert "20 ms" in line and "600 ms" in line and line.split()[-1] == "30.0"
    assert "7 s *" in text and "not reached" in text and "not measured" in text
    assert "FAILED\n  memory: OSError: full" in text and "zoom always: no such mode" in text


def test_durations_have_three_figures():
    assert [duration(s) for s in (12.345, 0.0123, 4.56e-5, math.nan)] == ["12.3 s", "12.3 ms", "45.6 us", "-"]


def test_the_record_is_json_without_nan(tmp_path):
    record = json.loads(make_report(filled(tmp_path)).to_json())
    assert record["format"] == "lite-medsam-bench" and record["failures"][0]["part"] == "memory"
    assert {"machine", "settings", "measurements", "details", "goals", "skipped"} <= set(record)
    missing = next(goal for goal in record["goals"] if goal["name"] == "decode, one box")
    assert missing["value"] is None and missing["status"] == UNKNOWN


def test_the_chart_is_drawn_from_whatever_there_is(tmp_path):
    pytest.importorskip("matplotlib", reason="needs the plots extra")
    from lite_medsam.bench.chart import draw_chart

    draw_chart(make_report(filled(tmp_path)), tmp_path / "full.png")
    empty = Context(BenchSettings(engines=("onnxruntime",)), Contender(OURS, tmp_path), None, 2, tmp_path)
    draw_chart(make_report(empty), tmp_path / "empty.png")
    for name in ("full.png", "empty.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
