"""The masks of many inputs as one Parquet table of run lengths."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lite_medsam.errors import MissingExtraError
from lite_medsam.jobs.listing import Job
from lite_medsam.jobs.parts import Part
from lite_medsam.storage.files import atomic_write

ROWS_AT_ONCE = 10_000


def mask_table_path(out: Path, part: Part | None = None) -> Path:
    """Where the table of a run lies: `masks.parquet`, of a part `masks-3-of-100.parquet`."""
    return out / ("masks.parquet" if part is None else f"masks-{part.number}-of-{part.count}.parquet")


@contextmanager
def mask_table(path: Path, out: Path) -> Iterator[Callable[[Job, dict], None]]:
    """Gives a function that adds the masks of a job from its record; the file is there at the end, whole, or not at all.

    A row is a mask: of an object of a picture, or of an object on a slice. Columns: `input` and `output`, names of the
    input and of its results; `z`, the slice as displayed, null for pictures; `id`, `name`, `target`, `score` of the object;
    `height`, `width`; `counts`, runs down the columns of pixels as COCO has them, background first; `model`; `fingerprint`
    of all that decided the result. Nothing in it depends on when or where it was made.

    Args:
        path: The file.
        out: Folder of the results, which `output` is relative to.

    Raises:
        MissingExtraError: If pyarrow is not installed.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise MissingExtraError("writing Parquet", "ray", "pyarrow") from None
    text, number = pyarrow.string(), pyarrow.int32()
    types = {"input": text, "output": text, "z": number, "id": number, "name": text, "target": text}
    types |= {"score": pyarrow.float64(), "height": number, "width": number, "counts": pyarrow.list_(pyarrow.uint32())}
    schema = pyarrow.schema(types | {"model": text, "fingerprint": text})
    rows: list[dict[str, Any]] = []
    with (
        atomic_write(path) as temporary,
        parquet.ParquetWriter(temporary, schema, compression="zstd", store_schema=False) as writer,
    ):

        def add(job: Job, record: dict) -> None:
            rows.extend(_rows(job.target.absolute().relative_to(out.absolute()).as_posix(), record))
            while len(rows) >= ROWS_AT_ONCE:
                writer.write_table(pyarrow.Table.from_pylist(rows[:ROWS_AT_ONCE], schema))
                del rows[:ROWS_AT_ONCE]

        yield add
        if rows:
            writer.write_table(pyarrow.Table.from_pylist(rows, schema))


def _rows(output: str, record: dict) -> Iterator[dict[str, Any]]:
    whole = {"input": record["input"], "output": output, **{key: record[key] for key in ("model", "fingerprint")}}
    for item in record["objects"]:
        said = {key: item.get(key) for key in ("id", "name", "target", "score")}
        for mask in item["rle"]:
            height, width = mask["size"]
            yield {**whole, **said, "z": mask.get("z"), "height": height, "width": width, "counts": mask["counts"]}
