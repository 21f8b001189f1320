"""Many files: seconds of one more slice by number of processes, bytes in and out, what a million cost."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from lite_medsam.bench.contenders import OURS
from lite_medsam.bench.context import Context
from lite_medsam.bench.processes import run_python
from lite_medsam.bench.timing import Sample
from lite_medsam.jobs.manifest import read_manifest
from lite_medsam.phantoms import make_phantom
from lite_medsam.segment.predictor import Predictor

SIDE = 512
SECTION = f"Many slices: grey PNG of {SIDE} px, one box, --save npz, one thread in a process"
FEW, MANY, QUICK_MANY = 8, 128, 48  # the difference is what one more slice costs, without the start
PROCESSES = (1, 2)
ROUNDS = 3
CALLS = 20
ROWS = 20_000
MILLION, HOUR = 1e6, 3600.0


def measure_scale(context: Context) -> None:
    """Seconds of one more slice and of a start, bytes of files, and core hours of a million slices."""
    many = QUICK_MANY if context.settings.quick else MANY
    folder = context.folder / "scale"
    tables = {count: _write_slices(folder, count) for count in (FEW, many)}
    rounds = 1 if context.settings.quick else min(ROUNDS, context.settings.repeats)
    found: dict[tuple[int, str], list[float]] = {}
    for number in range(rounds):
        for processes in PROCESSES:
            few, more = (_run(context, tables[count], folder / f"out{number}", processes) for count in (FEW, many))
            for kind, small, large in zip(("wall", "CPU"), few, more, strict=True):
                each = (large - small) / (many - FEW)
                found.setdefault((processes, kind), []).append(each)
                found.setdefault((processes, f"start {kind}"), []).append((small - FEW * each) / processes)
    for processes in PROCESSES:
        title = f"{processes} process{'es' * (processes > 1)}"
        for kind in ("wall", "CPU"):
            context.add(SECTION, f"{title}, {kind} time per slice", OURS, Sample(tuple(found[processes, kind])))
        core_hours = tuple(each * MILLION / HOUR for each in found[processes, "CPU"])
        words = {"unit": "core h", "source": "computed"}
        context.add(SECTION, f"{title}, a million slices", OURS, Sample(core_hours), **words)
    context.add(SECTION, "start of a process, CPU time", OURS, Sample(tuple(found[1, "start CPU"])))
    _measure_model(context)
    _measure_manifest(context, folder)
    _measure_bytes(context, folder, tables[FEW])


def _write_slices(folder: Path, count: int) -> Path:
    """A manifest of slices that differ."""
    case = make_phantom("ct", 0, (SIDE, SIDE))
    assert case.boxes is not None  # phantoms have them
    box, lines = case.boxes[0], ["path;prompts;output"]
    (folder / "in").mkdir(parents=True, exist_ok=True)
    for i in range(count):
        path = folder / "in" / f"{i:04d}.png"
        cv2.imencode(".png", np.roll(case.image, i, axis=0))[1].tofile(path)
        lines.append(f"in/{path.name};{','.join(f'{value:g}' for value in box)};{i:04d}")
    manifest = folder / f"{count}.csv"
    manifest.write_text("\n".join(lines), encoding="utf-8")
    return manifest


def _run(context: Context, manifest: Path, out: Path, processes: int) -> tuple[float, float]:
    """Wall and CPU seconds, user and system, of a manifest in so many processes at once, each with its part."""
    words = ["-m", "lite_medsam", "segment", "--manifest", str(manifest), "-o", str(out / f"{processes}")]
    words += ["--save", "npz", "--overwrite", "--quiet", "--threads", "1", "--engine", context.engine]
    words += ["--weights", str(context.ours.directory)]
    started, before = time.perf_counter(), _children_seconds()
    with ThreadPoolExecutor(processes) as pool:
        parts = (["--part", f"{i}/{processes}"] for i in range(1, processes + 1))
        list(pool.map(lambda part: run_python([*words, *part]), parts))
    return time.perf_counter() - started, _children_seconds() - before


def _children_seconds() -> float:
    """CPU seconds of processes that were started here and have ended.

    Raises:
        OSError: If this system does not tell.
    """
    try:
        import resource
    except ImportError:
        raise OSError("this system does not tell the CPU time of ended processes") from None
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _measure_model(context: Context) -> None:
    """CPU seconds of the model alone, and bytes of an encoding: what keeping it would save and take."""
    predictor = Predictor(context.ours.open(context.engine, 1), "off")
    image = make_phantom("ct", 0, (SIDE, SIDE)).image
    encoded = predictor.encode(image)
    tasks: dict[str, Callable[[], object]] = {
        "encode a slice, CPU time": partial(predictor.encode, image),
        "decode a box, CPU time": partial(predictor.decode, encoded, [[100, 100, 300, 300]]),
    }
    for what, task in tasks.items():
        seconds = []
        for _ in range(CALLS):
            before = time.process_time()
            task()
            seconds.append(time.process_time() - before)
        context.add(SECTION, what, OURS, Sample(tuple(seconds[1:])))
    size = sum(array.nbytes for array in encoded.features) / 1e3
    context.add(SECTION, "an encoding", OURS, Sample((size,)), unit="kB")


def _measure_manifest(context: Context, folder: Path) -> None:
    """CPU seconds of reading and checking one row of a long manifest, which one process does for all workers."""
    lines = (f"in/{i:06d}.png;1,1,9,9;{i // 1000:03d}/{i:06d}" for i in range(ROWS))
    manifest = folder / "long.csv"
    manifest.write_text("\n".join(["path;prompts;output", *lines]), encoding="utf-8")
    before = time.process_time()
    read_manifest(manifest, folder / "out")
    each = (time.process_time() - before) / ROWS
    context.add(SECTION, "a row of a manifest, CPU time", OURS, Sample((each,)))


def _measure_bytes(context: Context, folder: Path, manifest: Path) -> None:
    """Mean size of what is read and written for a slice."""
    out = folder / "out0" / "1"
    names = [line.rpartition(";")[2] for line in manifest.read_text(encoding="utf-8").splitlines()[1:]]
    for what, files in {
        "input": [folder / "in" / f"{name}.png" for name in names],
        "mask, npz": [out / f"{name}.npz" for name in names],
        "record, JSON": [out / f"{name}.json" for name in names],
    }.items():
        sizes = [path.stat().st_size / 1e3 for path in files]
        context.add(SECTION, what, OURS, Sample((float(np.mean(sizes)),)), unit="kB")
