"""Whole processes: import time, cold start to the first mask, peak memory of one image and of folders."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from lite_medsam.bench.child import MARK
from lite_medsam.bench.contenders import OURS, REFERENCE, Contender
from lite_medsam.bench.context import Context
from lite_medsam.bench.files import row
from lite_medsam.bench.samples import many_objects, one_object, write_variants
from lite_medsam.bench.timing import Sample, interleaved

STARTUP, MEMORY, FOLDERS = "Cold processes", "Peak memory of a process", "Peak memory over a folder"
LIBRARIES = "python -c 'import numpy, cv2, onnxruntime'"
FIRST_MASK = "lite-medsam segment, one image of 1024 px"
FOLDER_SIZES = (4, 40)
TIMEOUT_SECONDS = 300


class ProcessFailed(RuntimeError):
    """A process that was to be measured ended with an error."""


def run_python(arguments: Sequence[str]) -> str:
    """Standard output of this interpreter with the arguments, the package importable as it is here.

    Raises:
        ProcessFailed: If it ends with an error, or not in time.
    """
    root = str(Path(__file__).resolve().parents[2])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    try:
        done = subprocess.run(
            [sys.executable, *map(str, arguments)],
            env=environment, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise ProcessFailed(f"a process took more than {TIMEOUT_SECONDS} s: {' '.join(map(str, arguments))}") from None
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise ProcessFailed(f"a process ended with code {done.returncode}: {last}")
    return done.stdout


def measure_startup(context: Context) -> None:
    """Imports and first masks, the processes taking turns. Files are in the system's cache, as after a first start."""
    folder = context.folder / "startup"
    (path,) = write_variants(one_object(1024), folder, 1)
    box = _box(one_object(1024).boxes[0])
    codes = {
        ("python -c pass", ""): "pass",
        (LIBRARIES, ""): "import numpy, cv2, onnxruntime",
        ("import lite_medsam", OURS): "import lite_medsam",
        ("import lite_medsam; lite_medsam.Predictor", OURS): "import lite_medsam; lite_medsam.Predictor",
    }
    tasks: dict[tuple[str, str], Callable[[], object]]
    tasks = {name: partial(run_python, ["-c", code]) for name, code in codes.items()}
    for contender in context.contenders:
        arguments = ["-m", "lite_medsam", *_segment(context, contender, path, folder / "out"), *box]
        tasks[FIRST_MASK, contender.title] = partial(run_python, arguments)
    rounds = min(context.settings.repeats, 3 if context.settings.quick else 7)
    for (what, subject), sample in interleaved(tasks, rounds, 3 * context.settings.budget_seconds).items():
        context.add(STARTUP, what, subject, sample)
    shutil.rmtree(folder)


def measure_memory(context: Context) -> None:
    """Peak memory of a process that segments one image."""
    rows = [(1024, 1, one_object), (4096, 1, one_object), (1024, 64, None)]
    for side, count, make in rows:
        sample = make(side) if make else many_objects(side, count)
        folder = context.folder / f"memory-{side}-{count}"
        (path,) = write_variants(sample, folder, 1)
        boxes = [word for box in sample.boxes[:count] for word in _box(box)]
        for contender in context.contenders:
            if contender.title == REFERENCE and count > 1:
                continue  # box by box, so as for one
            peak = peak_of([*_segment(context, contender, path, folder / "out"), *boxes])
            what = row(side, count, "auto")
            if peak is None:
                context.skipped.append((MEMORY, "this system does not tell a process its peak memory"))
                return
            context.add(MEMORY, what, contender.title, Sample((peak,)), unit="MB")
        shutil.rmtree(folder)


def measure_folders(context: Context) -> None:
    """Peak memory over a small and a large folder, which should not differ."""
    sample, box = one_object(512), _box(one_object(512).boxes[0])
    peaks: list[float] = []
    for count in FOLDER_SIZES:
        folder = context.folder / f"folder-{count}"
        write_variants(sample, folder / "in", count)
        peak = peak_of([*_segment(context, context.ours, folder / "in", folder / "out"), *box])
        shutil.rmtree(folder)
        if peak is None:
            context.skipped.append((FOLDERS, "this system does not tell a process its peak memory"))
            return
        peaks.append(peak)
        context.add(FOLDERS, f"{count} images of 512 px", OURS, Sample((peaks[-1],)), unit="MB")
    context.details["memory of folders"] = {"images": FOLDER_SIZES, "mb": peaks, "ratio": peaks[-1] / peaks[0]}


def peak_of(arguments: Sequence[str]) -> float | None:
    """Peak memory of a command of the package, MB; None where the system does not tell."""
    words = run_python(["-m", "lite_medsam.bench.child", *arguments]).split()
    if MARK not in words:
        raise ProcessFailed("a process did not say how much memory it took")
    value = words[words.index(MARK) + 1]
    return None if value == "unknown" else float(value)


def _segment(context: Context, contender: Contender, given: Path, out: Path) -> list[str]:
    """The words of the command, without its boxes."""
    words = ["segment", "-i", str(given), "-o", str(out), "--save", "label", "--overwrite", "--quiet"]
    words += ["--weights", str(contender.directory), "--engine", context.engine, "--threads", str(context.threads)]
    return words + ["--reference-quirks"] * (contender.title == REFERENCE)


def _box(box: Sequence[float]) -> list[str]:
    return ["--box", ",".join(f"{value:g}" for value in box)]
