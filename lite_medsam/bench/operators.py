"""Operators of a graph as ONNX Runtime ran them: multiply-adds, bytes, time, and how far from the roofline."""

import json
import math
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lite_medsam.bench.ceilings import Ceiling
from lite_medsam.model.engines import import_onnxruntime
from lite_medsam.storage.machine import may_spin

MATRIX_PRODUCTS = ("MatMul", "FusedMatMul", "Gemm", "FusedGemm", "TransposeMatMul")
CONVOLUTIONS = ("Conv", "FusedConv", "NhwcFusedConv")
TRANSPOSED = ("ConvTranspose",)
COUNTED = (*MATRIX_PRODUCTS, *CONVOLUTIONS, *TRANSPOSED)


@dataclass(frozen=True)
class Operator:
    """One node of a graph.

    Attributes:
        kind: Its operator, depthwise convolutions apart.
        macs: Multiply-adds of matrix products and convolutions, 0 for the rest; NaN where the runtime hides the shapes.
        touched: Bytes of its inputs, weights and outputs.
        seconds: Of its quickest run, as for the ceilings: what the machine can do, whatever else it was doing.
        name: Of the node.
    """

    kind: str
    macs: float
    touched: float
    seconds: float
    name: str = ""


def profile(graph: Path, feeds: Mapping[str, np.ndarray], threads: int, runs: int = 10, optimise: bool = True):
    """Runs a graph with ONNX Runtime's profiler.

    Args:
        graph: The .onnx file.
        feeds: Its inputs by name.
        threads: CPU threads.
        runs: How often; the first is left out if there are more.
        optimise: False keeps the nodes of the file, so that every shape is known and nothing is counted twice.

    Returns:
        The operators, in the order of their first run.
    """
    onnxruntime = import_onnxruntime()

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if may_spin(threads) else "0")
    options.enable_profiling = True
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    with tempfile.TemporaryDirectory() as folder:
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
        wanted = {entry.name: feeds[entry.name] for entry in session.get_inputs()}
        for _ in range(runs):
            session.run(None, wanted)
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    return operators_of(events)


def output_names(graph: Path) -> list[str]:
    """Names of what a graph returns."""
    onnxruntime = import_onnxruntime()

    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    return [entry.name for entry in session.get_outputs()]


def operators_of(events: Iterable[dict]) -> list[Operator]:
    """The operators in the events of a profile, several runs of a node as one."""
    nodes: dict[str, list[dict]] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            nodes.setdefault(event["args"]["node_index"], []).append(event)
    found = []
    for runs in nodes.values():
        facts = runs[0]["args"]
        durations = [run["dur"] for run in runs[1:] or runs]
        touched = sum(float(facts.get(name, 0)) for name in ("activation_size", "parameter_size", "output_size"))
        name = runs[0]["name"].removesuffix("_kernel_time")
        found.append(Operator(_kind(facts), count_macs(facts), touched, min(durations) / 1e6, name))
    return found


def count_macs(facts: dict) -> float:
    """Multiply-adds of a node from the shapes in its profile event.

    Per output of a matrix product: the length of the sum. Per output of a convolution: its kernel times the channels of a
    group. Per input of a transposed convolution: the same the other way round. Attention is made of matrix products.
    """
    kind = facts["op_name"]
    if kind not in COUNTED:
        return 0.0
    inputs, outputs = _shapes(facts["input_type_shape"]), _shapes(facts["output_type_shape"])
    if kind in MATRIX_PRODUCTS:
        rows = outputs[0][-2] if len(outputs[0]) > 1 and len(inputs[0]) > 1 else 1
        # the first matrix holds rows x length whether it is transposed or not
        length = math.prod(inputs[0][-2:]) / rows
        return math.prod(outputs[0]) * length
    if len(inputs) < 2 or len(inputs[1]) < 3:
        return math.nan  # the runtime has packed the kernel away
    counted = inputs[0] if kind in TRANSPOSED else outputs[0]
    return float(math.prod(counted) * math.prod(inputs[1][1:]))


def with_hidden(operators: Sequence[Operator], plain: Sequence[Operator]) -> list[Operator]:
    """Operators of an optimised graph, what the runtime hides of them taken from the same nodes of the plain one."""
    known = {op.name: op.macs for op in plain}
    return [replace(op, macs=known.get(op.name, op.macs)) if math.isnan(op.macs) else op for op in operators]


def gmac(operators: Sequence[Operator]) -> float:
    """10^9 multiply-adds of a graph; those that can't be counted are left out."""
    return float(np.nansum([op.macs for op in operators])) / 1e9


def roofline(operators: Sequence[Operator], ceiling: Ceiling) -> dict[str, Any]:
    """A graph's operators against the limits of the machine.

    Args:
        operators: From `profile`.
        ceiling: Of the same number of threads.

    Returns:
        `seconds` in operators; `least_seconds` by the roofline of each; `gflops` reached and `roofline_gflops`, what the
        roofline allows; `free_gflops` reached by operators that memory does not bind and `free_share` of the multiply-adds
        in them; `kinds`: per kind of operator its count, seconds, share of the time, GFLOP/s and `memory_bound_share` of its
        time.
    """
    known = [replace(op, macs=0.0) if math.isnan(op.macs) else op for op in operators]
    total, macs = sum(op.seconds for op in known), sum(op.macs for op in known)
    least = sum(ceiling.seconds(2 * op.macs, op.touched) for op in known)
    free = [op for op in known if op.macs and not ceiling.bound_by_memory(2 * op.macs, op.touched)]
    free_macs, free_seconds = sum(op.macs for op in free), sum(op.seconds for op in free)
    kinds: list[dict[str, Any]] = []
    for kind in dict.fromkeys(op.kind for op in known):
        part = [op for op in known if op.kind == kind]
        seconds = sum(op.seconds for op in part)
        bound = sum(op.seconds for op in part if ceiling.bound_by_memory(2 * op.macs, op.touched))
        kinds.append(
            {
                "kind": kind,
                "count": len(part),
                "seconds": seconds,
                "share": seconds / total,
                "gflops": 2 * sum(op.macs for op in part) / seconds / 1e9 if seconds else 0.0,
                "flop_per_byte": 2 * sum(op.macs for op in part) / max(1.0, sum(op.touched for op in part)),
                "memory_bound_share": bound / seconds if seconds else 0.0,
            }
        )
    return {
        "seconds": total,
        "least_seconds": least,
        "gflops": 2 * macs / total / 1e9,
        "roofline_gflops": 2 * macs / least / 1e9,
        "free_gflops": 2 * free_macs / free_seconds / 1e9 if free_seconds else math.nan,
        "free_share": free_macs / macs if macs else 0.0,
        "kinds": sorted(kinds, key=lambda entry: -entry["seconds"]),
    }


def _kind(facts: dict) -> str:
    kind = facts["op_name"]
    if kind in CONVOLUTIONS:
        shapes = _shapes(facts["input_type_shape"])
        if len(shapes) > 1 and shapes[1][1] == 1 and shapes[0][1] > 1:
            return "Conv depthwise"
        if len(shapes) > 1 and math.prod(shapes[1][2:]) == 1:
            return "Conv 1x1"
    return kind


def _shapes(listing: list[dict]) -> list[tuple[int, ...]]:
    return [tuple(shape) for entry in listing for shape in entry.values()]
