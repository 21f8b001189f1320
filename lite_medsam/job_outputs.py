"""The results of one segmented input as files, all of them or none, and how finished work is recognised."""

import hashlib
import json
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from lite_medsam.files import atomic_write
from lite_medsam.jobs import Job, SegmentOptions
from lite_medsam.overlay import draw_masks, draw_prompts
from lite_medsam.predictor import Predictor
from lite_medsam.prompts import Prompt


@dataclass(frozen=True, eq=False)
class Result:
    """Masks of one image: a label map, and a stack where objects are to stay apart; windows of the image that hold each object."""

    labels: np.ndarray  # (H, W)
    stack: np.ndarray | None  # (N, H, W) bool
    windows: list[tuple[slice, slice]]
    scores: list[float | None]


def describe(result: Result, prompts: list[Prompt]) -> list[dict]:
    """Area, box and score of each object as it was drawn."""
    objects = []
    for i, (window, prompt) in enumerate(zip(result.windows, prompts, strict=True)):
        inside = result.stack[i][window] if result.stack is not None else result.labels[window] == i + 1
        rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
        box = None
        if len(rows):
            x, y = window[1].start, window[0].start
            box = [int(v) for v in (columns[0] + x, rows[0] + y, columns[-1] + x, rows[-1] + y)]
        points = zip(prompt.points.tolist(), prompt.point_labels.tolist(), strict=True)
        objects.append(
            {
                "id": i + 1,
                "name": prompt.name,
                "score": result.scores[i],
                "area_px": int(np.count_nonzero(inside)),
                "box": box,
                "prompt": {
                    "box": None if prompt.box is None else list(prompt.box),
                    "points": [[*xy, kind] for xy, kind in points],
                },
            }
        )
    return objects


def write_outputs(
    job: Job,
    options: SegmentOptions,
    record: dict,
    record_path: Path,
    image: np.ndarray,
    prompts: list[Prompt],
    result: Result,
) -> None:
    """Writes every result to a temporary name and renames them at the end, the record last."""
    labels, stack = result.labels, result.stack
    with ExitStack() as files:
        record_file = files.enter_context(atomic_write(record_path))

        def output(suffix: str) -> Path:
            path = job.target.with_name(job.target.name + suffix)
            record["outputs"].append(path.name)
            return files.enter_context(atomic_write(path))

        if "npz" in options.save:
            np.savez_compressed(output(".npz"), segs=labels if stack is None else stack.view(np.uint8))
        if "label" in options.save:
            if stack is not None or labels.dtype == np.uint32:
                import tifffile

                pages = labels if stack is None else stack.view(np.uint8) * np.uint8(255)
                tifffile.imwrite(output("_label.tif"), pages, compression="zlib", photometric="minisblack")
            else:
                output("_label.png").write_bytes(_png(labels))
        if "overlay" in options.save:
            picture = draw_prompts(draw_masks(image, labels if stack is None else stack), prompts)
            output("_overlay.png").write_bytes(_png(np.ascontiguousarray(picture[:, :, ::-1])))
        record_file.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _png(array: np.ndarray) -> bytes:
    # the lowest compression level is several times faster and little larger for label maps
    done, data = cv2.imencode(".png", array, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not done:
        raise OSError("the PNG could not be encoded")
    return data.tobytes()


def fingerprint(image: np.ndarray, prompts: list[Prompt], predictor: Predictor, options: SegmentOptions) -> str:
    """SHA-256 of all that decides a result, so that finished work is recognised and changed work is done again."""
    digest = hashlib.sha256(predictor.spec.to_json().encode())
    settings = [predictor.zoom, predictor.backend.name, {k: v for k, v in asdict(options).items() if k != "overwrite"}]
    digest.update(json.dumps([settings, image.shape]).encode())
    digest.update(np.ascontiguousarray(image))
    for prompt in prompts:
        points = [prompt.points.tolist(), prompt.point_labels.tolist()]
        digest.update(json.dumps([prompt.box, points, prompt.name, *(["final"] if prompt.final else [])]).encode())
        if prompt.mask is not None:
            digest.update(np.ascontiguousarray(prompt.mask))
    return digest.hexdigest()


def finished_record(record_path: Path, expected: str) -> dict | None:
    """The record of finished work whose outputs all exist, else None."""
    try:
        record = json.loads(record_path.read_text(encoding="utf-8"))
        if record["fingerprint"] != expected:
            return None
        if all((record_path.parent / name).is_file() for name in record["outputs"]):
            return record | {"skipped": True}
    except (OSError, ValueError, KeyError, TypeError):
        pass  # no record, or one of another program: the work is done anew
    return None
