"""Batches made by several processes, in their order; for devices that are faster than one thread can feed."""

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from lite_medsam.learning.data.dataset import Batch, BatchSource

AHEAD = 3  # batches that each process keeps ready


class _Numbered(Dataset):
    """Batch n of a source, for torch's loader."""

    def __init__(self, source: BatchSource):
        self.source = source

    def __getitem__(self, number: int) -> Batch:
        return self.source.batch(number)


def _alone(worker: int) -> None:
    torch.set_num_threads(1)  # the processes are the parallelism


def batches_from(source: BatchSource, start: int, end: int, workers: int) -> Iterator[Batch]:
    """Batches start up to end - 1 of a source, the same whatever the number of processes.

    Args:
        source: The batches.
        start: First number.
        end: First number that is not wanted.
        workers: Processes; 0 for a thread of this one.
    """
    if workers == 0:
        numbers = range(start, end)
        yield from (batch for _, batch in zip(numbers, source.from_number(start), strict=False))
        return
    loader: Any = DataLoader(
        _Numbered(source),
        batch_size=None,
        sampler=range(start, end),
        num_workers=workers,
        prefetch_factor=AHEAD,
        worker_init_fn=_alone,
        collate_fn=lambda batch: batch,
        multiprocessing_context="fork",  # the images are in memory already, and are shared so
    )
    yield from loader
