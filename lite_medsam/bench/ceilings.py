"""What this machine can do at best in the same runtime: matrix products per second, and bytes per second."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from lite_medsam.bench.small_graphs import one_operator
from lite_medsam.model.engines import import_onnxruntime
from lite_medsam.storage.machine import may_spin

PRODUCT_SIDES = (512, 1024)  # the faster one counts; on a busy machine only the short one runs undisturbed
# bytes that an addition of two arrays touches: from what a core caches to more than most last levels hold
BANDWIDTH_BYTES = (600_000, 3_000_000, 12_000_000, 200_000_000)


@dataclass(frozen=True)
class Ceiling:
    """The two limits of a roofline (Williams, Waterman and Patterson, CACM 2009).

    Attributes:
        flops: Of a matrix product, per second.
        bandwidth: (bytes touched, bytes per second), ascending by bytes: what fits a cache moves faster.
    """

    flops: float
    bandwidth: tuple[tuple[int, float], ...]

    def seconds(self, flops: float, touched: float) -> float:
        """Least time for work of so many operations on so many bytes: whichever limit is reached first."""
        return max(flops / self.flops, touched / self.bytes_per_second(touched))

    def bytes_per_second(self, touched: float) -> float:
        """Bandwidth of the smallest measured size that is no smaller; between sizes this is the slower one."""
        for size, speed in self.bandwidth:
            if touched <= size:
                return speed
        return self.bandwidth[-1][1]

    def bound_by_memory(self, flops: float, touched: float) -> bool:
        """Whether moving the bytes takes longer than the arithmetic."""
        return touched / self.bytes_per_second(touched) > flops / self.flops


def ceiling_tasks(threads: int) -> dict[str, Callable[[], object]]:
    """Tasks to be timed beside the models: "product N" for PRODUCT_SIDES, and "move N" for BANDWIDTH_BYTES.

    Args:
        threads: As the models get.
    """
    tasks = {f"product {side}": _task("MatMul", (side, side), threads) for side in PRODUCT_SIDES}
    for size in BANDWIDTH_BYTES:
        tasks[f"move {size}"] = _task("Add", (_elements(size),), threads)
    return tasks


def ceiling_of(seconds: Mapping[str, float]) -> Ceiling:
    """The ceiling from the seconds of `ceiling_tasks`, by name."""
    flops = max(2 * side**3 / seconds[f"product {side}"] for side in PRODUCT_SIDES)
    # read two arrays and write one, as STREAM counts: the read of a line before it is written is left out
    moved = [(size, 12 * _elements(size) / seconds[f"move {size}"]) for size in BANDWIDTH_BYTES]
    return Ceiling(flops, tuple(moved))


def _elements(size: int) -> int:
    return size // 12


def _task(operator: str, shape: tuple[int, ...], threads: int) -> Callable[[], object]:
    """Runs an operator on two arrays of a shape, the result written in place, so that no memory is asked for."""
    onnxruntime = import_onnxruntime()

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if may_spin(threads) else "0")
    graph = one_operator(operator, {"a": shape, "b": shape}, ("c", shape))
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    inputs = {name: rng.standard_normal(shape, np.float32) for name in ("a", "b")}
    output = np.zeros(shape, np.float32)
    binding = session.io_binding()
    for name, array in inputs.items():
        binding.bind_cpu_input(name, array)
    result = onnxruntime.OrtValue.ortvalue_from_numpy(output)
    binding.bind_ortvalue_output("c", result)

    def run(
        held: object = (inputs, output, result),
    ) -> None:  # the binding knows where arrays lie and holds none of them
        session.run_with_iobinding(binding)

    return run
