"""On a Ray cluster of this machine: the same files as one process, whatever dies."""

import json
import os
import signal
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from lite_medsam.jobs.batch import SegmentOptions, run_jobs
from lite_medsam.jobs.manifest import read_manifest
from lite_medsam.jobs.mask_table import mask_table
from lite_medsam.jobs.ray_batches import BLOCK_JOBS, run_jobs_on_ray, segment_dataset
from lite_medsam.segment.predictor import Predictor

ray = pytest.importorskip("ray")
pytest.importorskip("ray.data")
psutil = pytest.importorskip("psutil")
# Ray's own warnings are Ray's; a cluster takes half a minute to start
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

SAVE = SegmentOptions(("npz", "label", "parquet"))


class Deadly:
    """A prompt that kills the process which receives it."""

    def __reduce__(self):
        return os._exit, (1,)


@pytest.fixture(scope="module")
def cluster():
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    root = str(Path(__file__).resolve().parents[2])
    ray.init(
        "local", num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=128 << 20,
        runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join([root, str(Path(__file__).parent)])}},
    )  # fmt: skip
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def predictor():
    return Predictor.open(threads=1)


def manifest(folder, count):
    (folder / "in").mkdir(parents=True)
    lines = ["path;prompts;output"]
    for i in range(count):
        rng = np.random.default_rng(i)
        x, y = (int(v) for v in rng.integers(30, 60, 2))
        picture = rng.normal(80, 10, (96, 96))
        cv2.circle(picture, (x, y), 18, 170, -1)
        cv2.imwrite(str(folder / "in" / f"s{i}.png"), picture.clip(0, 255).astype(np.uint8))
        lines.append(f"in/s{i}.png;{x - 18},{y - 18},{x + 18},{y + 18};r/s{i}")
    (folder / "m.csv").write_text("\n".join([*lines, "in/none.png;1,1,9,9;none", "in/s0.png;1,1;bad"]))
    return folder / "m.csv"


def run(runner, predictor, table, out, *args):
    told = []

    def on_done(job, record):
        told.append(record)
        if "error" not in record:
            add(job, record)

    with mask_table(out / "masks.parquet", out) as add:
        runner(predictor, read_manifest(table, out), SAVE, on_done, *args)
    return told


def contents(out):
    """What every file holds, records without their times."""
    found = {}
    for path in sorted(path for path in out.rglob("*") if path.is_file()):
        data = path.read_bytes()
        if path.suffix == ".json":
            data = {key: value for key, value in json.loads(data).items() if key != "seconds"}
        found[path.relative_to(out)] = data
    return found


def our_workers():
    try:
        return [p for p in psutil.Process().children(recursive=True) if "MapWorker" in " ".join(p.cmdline())]
    except psutil.Error:  # one has just ended
        return []


def kill_a_worker(out, killed):
    """Kills one of our workers once it has finished something."""
    until = time.monotonic() + 120
    while time.monotonic() < until and not killed:
        time.sleep(0.05)
        workers = our_workers()
        if workers and len(list(out.rglob("*.json"))) >= 3:
            killed.append(workers[0].pid)
            os.kill(workers[0].pid, signal.SIGKILL)


def test_a_cluster_writes_what_one_process_writes_even_if_a_worker_is_killed(cluster, predictor, tmp_path):
    table = manifest(tmp_path, 4 * BLOCK_JOBS)
    alone = run(run_jobs, predictor, table, tmp_path / "one")
    killed = []
    killer = threading.Thread(target=kill_a_worker, args=(tmp_path / "ray", killed))
    killer.start()
    together = run(run_jobs_on_ray, predictor, table, tmp_path / "ray")
    killer.join()
    assert killed
    assert contents(tmp_path / "one") == contents(tmp_path / "ray")
    assert [record.get("input") for record in alone] == [record.get("input") for record in together]
    assert [record for record in alone if "error" in record] == [record for record in together if "error" in record]
    assert sum("error" in record for record in together) == 2
    again = run(run_jobs_on_ray, predictor, table, tmp_path / "ray")
    assert [record for record in again if "error" in record] == [record for record in alone if "error" in record]
    assert sum(record.get("skipped", False) for record in again) == 4 * BLOCK_JOBS
    assert contents(tmp_path / "one") == contents(tmp_path / "ray")


def test_an_input_that_kills_its_worker_costs_itself_alone(cluster, predictor, tmp_path):
    jobs = read_manifest(manifest(tmp_path, 5), tmp_path / "out")[:5]
    object.__setattr__(jobs[2], "prompts", (Deadly(),))
    told = []
    run_jobs_on_ray(predictor, jobs, SegmentOptions(("npz",)), lambda job, record: told.append((job, record)))
    assert [job for job, _ in told] == jobs
    assert [i for i, (_, record) in enumerate(told) if "error" in record] == [2]
    assert "worker died" in told[2][1]["error"] and not told[2][1]["wrong_input"]


def test_a_dataset_of_rows_is_segmented(cluster, predictor, tmp_path):
    manifest(tmp_path, 3)
    rows = [{"path": f"in/s{i}.png", "prompts": "10,10,60,60", "output": f"s{i}", "patient": i} for i in range(3)]
    rows += [{"path": "in/s0.png", "prompts": "10,10,60,60", "output": "", "patient": 3}]
    out = tmp_path / "out"
    dataset = segment_dataset(ray.data.from_items(rows), predictor, out, SegmentOptions(("npz",)), tmp_path)
    found = sorted(dataset.take_all(), key=lambda row: row["patient"])
    assert [row["error"] is None for row in found] == [True] * 3 + [False]
    assert "output" in found[3]["error"] and found[3]["wrong_input"]
    for row in found[:3]:
        assert json.loads(row["record"]) == json.loads((out / f"{row['output']}.json").read_text())
