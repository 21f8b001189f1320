"""The same jobs on a Ray cluster: actors that open the model once, blocks of jobs, retries after a death.

Ray Data places actors, hands them blocks, starts dead actors anew and gives their blocks to others. A block that was done in part
is done again: finished inputs are recognised by their records, and files are written whole or not at all.
"""

import errno
import json
import logging
import os
import pickle
import socket
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lite_medsam.errors import MissingExtraError
from lite_medsam.jobs.batch import Job, SegmentOptions, run_jobs
from lite_medsam.jobs.leftovers import remove_leftovers
from lite_medsam.jobs.manifest import Row, row_job
from lite_medsam.model.runtime import physical_cores, recipe_of
from lite_medsam.segment.predictor import Predictor
from lite_medsam.storage.one_line import one_line

if TYPE_CHECKING:
    import pyarrow
    from ray.data import Dataset

# what a death costs at most is a block; a block takes far longer than handing it over
BLOCK_JOBS = 16
# a worker that dies of its input dies of it each time
RETRIES = 3
LOCAL_STORE_BYTES = 256 << 20


class Segmenter:
    """What an actor is: a model that was opened once, and batches of jobs.

    Args:
        predictor: The model; it is opened again from its directory in the actor.
        options: What to write.
        out: Folder of the results; for rows of a manifest.
        folder: What paths of such rows are relative to.
    """

    def __init__(self, predictor: Predictor, options: SegmentOptions, out: Path, folder: Path = Path()):
        import cv2

        self.predictor, self.options, self.out, self.folder = predictor, options, out, folder
        self.cpus = cpus_of(predictor)
        cv2.setNumThreads(self.cpus)

    def __call__(self, batch: "pyarrow.Table") -> "pyarrow.Table":
        """The rows with the columns `record`, `error`, `wrong_input` and `full`, see `segment_dataset`."""
        import pyarrow

        outcomes: list[dict] = []

        def on_done(job: Job, record: dict) -> None:
            outcomes.append(record)

        jobs, full = self._jobs(batch), False
        try:
            # reading ahead takes a second CPU
            run_jobs(self.predictor, jobs, self.options, on_done, read_ahead=self.cpus > 1)
        except OSError as error:  # a full disk, which ends the run
            full = True
            outcomes += [{"error": str(error), "wrong_input": False}] * (len(jobs) - len(outcomes))
        columns = {
            "record": [None if "error" in outcome else json.dumps(outcome) for outcome in outcomes],
            "error": [outcome.get("error") for outcome in outcomes],
            "wrong_input": [outcome.get("wrong_input", False) for outcome in outcomes],
            "full": [full] * len(jobs),
        }
        types = {"record": pyarrow.string(), "error": pyarrow.string()}
        for name, values in columns.items():
            batch = batch.append_column(name, pyarrow.array(values, types.get(name, pyarrow.bool_())))
        return batch.drop_columns(["job"]) if "job" in batch.column_names else batch

    def _jobs(self, batch: "pyarrow.Table") -> list[Job]:
        if "job" in batch.column_names:
            return [pickle.loads(job) for job in batch["job"].to_pylist()]  # our own, a moment old
        jobs = []
        for cells in batch.select([n for n in batch.column_names if n in ("path", "prompts", "output")]).to_pylist():
            problem = None if cells.get("output") else "output must name the results, got an empty cell"
            given = {key: cell or "" for key, cell in cells.items()}
            jobs.append(row_job(Row(f"row of {cells.get('path')}", **given, problem=problem), self.folder, self.out))
        return jobs


def segment_dataset(
    dataset: "Dataset",
    predictor: Predictor,
    out: Path,
    options: SegmentOptions = SegmentOptions(),  # noqa: B008  (frozen)
    folder: Path = Path(),
    workers: int | None = None,
    batch_size: int | None = BLOCK_JOBS,
) -> "Dataset":
    """Segments the rows of a Ray dataset, lazily; the results go to files, their records into the dataset.

    Ray must be running. Each worker is an actor with as many CPUs as the predictor has threads.

    Args:
        dataset: Its columns are those of a manifest: path, prompts, output; others are kept. Outputs must differ.
        predictor: The model, from a directory that the workers have too.
        out: Folder of the results, one that all workers share.
        options: What to write.
        folder: What paths are relative to.
        workers: How many; None for as many as the cluster has CPUs for.
        batch_size: Rows that a worker does in one go, and again if it dies; None for those of a block.

    Returns:
        The rows with `record` (the JSON of a finished one, else None), `error` (why it failed, else None), `wrong_input`
        (whether it is the input or its prompts) and `full` (whether the disk is).

    Raises:
        ValueError: If no worker has so many CPUs.
        MissingExtraError: If Ray is not installed.
    """
    ray = _ray()
    cpus = cpus_of(predictor)
    workers = workers or int(ray.cluster_resources().get("CPU", 0)) // cpus
    if workers < 1:
        raise ValueError(f"threads must be at most the CPUs of the Ray cluster, got {cpus}; give fewer with --threads")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the last argument goes away in Ray 2.64, before which the extra stops
        return dataset.map_batches(
            Segmenter,
            fn_constructor_args=(predictor, options, Path(out).absolute(), Path(folder).absolute()),
            batch_size=batch_size,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(size=workers),
            num_cpus=cpus,
            max_task_retries=RETRIES,
        )


def run_jobs_on_ray(
    predictor: Predictor,
    jobs: Sequence[Job],
    options: SegmentOptions,
    on_done: Callable[[Job, dict], None] = lambda job, record: None,
    address: str = "local",
    workers: int | None = None,
) -> None:
    """Segments every job on a cluster, as `run_jobs` does in one process.

    Args:
        predictor: The model; a worker has as many CPUs as it has threads.
        jobs: What to do.
        options: What to write.
        on_done: As for `run_jobs`, in the order of the jobs.
        address: "local" for workers on this machine, else that of a running cluster, as "auto" or "host:6379".
        workers: See `segment_dataset`.

    Raises:
        OSError: If the disk is full, there is no cluster at the address, or Ray cannot go on.
        MissingExtraError: If Ray is not installed.
    """
    done: dict[int, dict] = {}
    told = 0
    given, jobs = jobs, [_absolute(job) for job in jobs]
    with _cluster(address, workers, cpus_of(predictor)):
        # those of a block whose worker died again and again are done one by one, so that only one is lost
        for block in (BLOCK_JOBS, 1):
            missing = [number for number in range(len(jobs)) if number >= told and number not in done]
            for number, outcome in _outcomes(predictor, jobs, missing, options, (block, workers)):
                done[number] = outcome
                while told in done:
                    on_done(given[told], done.pop(told))
                    told += 1
        lost = {"error": f"its worker died {RETRIES + 1} times; is there enough memory for it?", "wrong_input": False}
        for number in range(told, len(jobs)):
            on_done(given[number], done.get(number, lost))
    remove_leftovers(job.target for job in jobs if job.problem is None)


def cpus_of(predictor: Predictor) -> int:
    """CPUs that a worker of this predictor takes: one for each thread of the model.

    Raises:
        WeightsError: If the predictor has no model directory, so that no worker could open it.
    """
    return recipe_of(predictor.backend).threads or 1


def _outcomes(
    predictor: Predictor, jobs: Sequence[Job], numbers: Sequence[int], options: SegmentOptions, split: tuple
) -> Iterator[tuple[int, dict]]:
    """The number of each job and its record or error, as they are finished."""
    if not numbers:
        return
    import pyarrow

    ray = _ray()
    block, workers = split
    tables = [
        pyarrow.table({"number": some, "job": [pickle.dumps(jobs[number]) for number in some]})
        for some in (numbers[i : i + block] for i in range(0, len(numbers), block))
    ]
    dataset = segment_dataset(ray.data.from_arrow(tables), predictor, Path(), options, workers=workers, batch_size=None)
    try:
        for row in dataset.iter_rows():
            if row["full"]:
                raise OSError(errno.ENOSPC, row["error"])
            yield row["number"], _outcome(row)
    except ray.exceptions.RayError as error:
        raise OSError(f"Ray could not go on: {one_line(error, 400)}") from None


def _outcome(row: Mapping[str, Any]) -> dict:
    if row["record"] is None:
        return {"error": row["error"], "wrong_input": row["wrong_input"]}
    return json.loads(row["record"])


def _absolute(job: Job) -> Job:
    """Workers have another working folder."""
    changed: dict[str, Any] = {name: getattr(job, name).absolute() for name in ("target", "prompt_folder")}
    if job.url is None:
        changed["path"] = job.path.absolute()
    if job.prompt_file is not None:
        changed["prompt_file"] = job.prompt_file.absolute()
    return Job(**{**vars(job), **changed})


@contextmanager
def _cluster(address: str, workers: int | None, cpus: int) -> Iterator[None]:
    """A connection to a cluster; one that the caller has already is used and stays."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anyone
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # of deaths it is for us to tell
    ray = _ray()
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    ours = not ray.is_initialized()
    if ours and address == "local":
        local = cpus * (workers or max(physical_cores() // cpus, 1))
        ray.init("local", num_cpus=local, object_store_memory=LOCAL_STORE_BYTES, include_dashboard=False, **quiet)
    elif ours:
        _check_listening(address)
        ray.init(address, **quiet)
    context = ray.data.DataContext.get_current()
    before = context.enable_progress_bars, context.max_errored_blocks
    context.enable_progress_bars, context.max_errored_blocks = False, -1
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        context.enable_progress_bars, context.max_errored_blocks = before
        if ours:
            ray.shutdown()


def _check_listening(address: str) -> None:
    """Raises OSError if nobody listens at host:port, which Ray notices after minutes only."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except OSError as error:
        raise OSError(f"there is no Ray cluster at {address} ({error.strerror or error})") from None


def _ray() -> Any:
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtraError("running on Ray", "ray", error.name) from None
    return ray
