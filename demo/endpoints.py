"""The named endpoints: one call segments one file, without a page and without a session."""

import importlib.metadata
import json
import secrets
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import gradio as gr
import numpy as np

from lite_medsam.errors import CaseError, PromptError
from lite_medsam.jobs.coordinates import frame_facts, picture_object
from lite_medsam.jobs.inputs import Asked, are_of_volume, given_objects, is_one_picture
from lite_medsam.jobs.listing import Job
from lite_medsam.results.result import Result
from lite_medsam.results.take_home import label_png, overlay_png, take_home_files
from lite_medsam.scans.scan import Scan
from lite_medsam.segment.predictor import Predictor
from lite_medsam.volumes.propagation import propagate

from .actions import Desk
from .fields import Refused
from .opening import clean_name, open_file

MAX_PROMPT_CHARACTERS = 1_000_000
KEEP_SECONDS = 600


def segment_file(desk: Desk, path: str | None, prompts, model: str | None, engine: str | None) -> tuple[list, dict]:
    """Segments one file.

    Args:
        desk: Models and limits.
        path: The uploaded file.
        prompts: A list of boxes [[x0, y0, x1, y1], ...], of a volume [[x0, y0, z0, x1, y1, z1], ...], a prompt set
            (docs/formats.md) without masks, or either as JSON text. For NIfTI and DICOM files the numbers are voxel
            indices of the file, unless the set says "coordinates": "display".
        model: Name of a model; None for the default.
        engine: Name of an engine; None for the default.

    Returns:
        Files as (name, content), and a record: objects with value, name, target, score, area.

    Raises:
        ValueError: If an argument is not as above; the message is for the caller.
    """
    if not path:
        raise CaseError("image must be a file, got none")
    model, engine = model or desk.models.default, engine or desk.models.engine
    predictor = desk.models.get(model, engine)
    try:
        scan = open_file(Path(path), desk.max_pixels)
    except CaseError as error:
        raise CaseError(str(error).replace(str(path), clean_name(path))) from None
    scan = replace(scan, name="result")
    asked = _asked(_document(prompts))
    scan, objects = asked.placed(scan)
    objects = objects or []
    if is_one_picture(scan, objects):
        result, scores = _picture(predictor, scan, objects)
    else:
        result, scores = _volume(predictor, scan, objects)
    files = take_home_files(result)
    if result.is_volume:
        wanted = {name: files[name] for name in files if name.endswith((".nii.gz", "_overlay.png", ".npz"))}
    else:
        wanted = {
            "label.png": label_png(result.labels),
            "overlay.png": overlay_png(result.image, result.labels, result.prompts),
        }
    record = {
        "model": model,
        "engine": predictor.backend.name,
        "shape": list(result.labels.shape),
        **frame_facts(asked.frame, scan.geometry),
        "notes": list(scan.notes),
        "spacing_mm": None if scan.spacing_mm is None else list(scan.spacing_mm),
        "objects": [
            {
                "value": i + 1,
                "name": name,
                "target": result.targets[i],
                "score": scores[i],
                "area_px": int(np.count_nonzero(result.labels == i + 1)),
                **_boxes(result.labels == i + 1, scan),
            }
            for i, name in enumerate(result.names)
        ],
        "notice": "research use only: not a medical device",
    }
    return list(wanted.items()), record


def _document(prompts) -> dict:
    if isinstance(prompts, str):
        if len(prompts) > MAX_PROMPT_CHARACTERS:
            raise PromptError(f"prompts must be at most {MAX_PROMPT_CHARACTERS} characters, got {len(prompts)}")
        try:
            prompts = json.loads(prompts)
        except (ValueError, RecursionError):
            raise PromptError("prompts must be JSON: [[x0, y0, x1, y1], ...] or a prompt set, got other text") from None
    lengths = {len(box) for box in prompts if isinstance(box, list)} if isinstance(prompts, list) else set()
    if lengths == {4, 6}:
        raise PromptError(
            "prompts must be of one kind, got boxes of four numbers (of a picture) and of six (of a volume); for a volume give "
            "x0, y0, z0, x1, y1, z1 for each"
        )
    if lengths == {6}:
        return {"version": 1, "volume": True, "objects": [{"box": box} for box in prompts]}
    if isinstance(prompts, list):
        return {"version": 1, "objects": [{"box": box} for box in prompts]}
    if not isinstance(prompts, dict):
        raise PromptError("prompts must be a list of boxes [[x0, y0, x1, y1], ...] or a prompt set, got something else")
    objects = prompts.get("objects")
    if isinstance(objects, list) and any(isinstance(item, dict) and "slices" in item for item in objects):
        return {"volume": True, **prompts}
    return prompts


def _asked(document: dict) -> Asked:
    """Reads a document with the reader of prompt files; its masks would be files of ours, and there are none."""
    with tempfile.TemporaryDirectory(prefix="lite-medsam-demo-") as folder:
        path = Path(folder) / "prompts.json"
        try:
            path.write_text(json.dumps(document, allow_nan=False), encoding="utf-8")
        except (TypeError, ValueError):
            raise PromptError("prompts must hold finite numbers, texts and lists") from None
        try:
            asked = given_objects(Job(path, path, prompt_file=path))
        except PromptError as error:
            raise PromptError(str(error).replace(f"{path}: ", "").replace(folder, "")) from None
    if not asked.objects:
        raise PromptError("prompts must name one object at least, got none")
    if len(asked.objects) > 200:
        raise PromptError(f"prompts must name at most 200 objects, got {len(asked.objects)}")
    return asked


def _picture(predictor: Predictor, scan: Scan, prompts: list) -> tuple[Result, list]:
    if are_of_volume(prompts):
        raise PromptError("prompts are for slices of a volume, but this is a picture; give boxes of four numbers")
    image = scan.to_uint8()[0] if scan.is_volume else scan.to_uint8()
    prediction = predictor.segment(image, prompts)
    scores = [None if np.isnan(score) else round(float(score), 4) for score in prediction.scores]
    masks = [prediction.mask(i) for i in range(len(prediction))]
    spacing = None if scan.spacing_mm is None else scan.spacing_mm[-2:]
    return Result(image, prediction.label_map(), prompts, masks, scores, spacing, scan.geometry), scores


def _volume(predictor: Predictor, scan: Scan, objects: list) -> tuple[Result, list]:
    if not are_of_volume(objects):
        raise PromptError(
            f"prompts do not say on which of the {len(scan.values)} slices they lie; give boxes x0, y0, z0, x1, y1, z1, "
            "or slices with their z"
        )
    volume = scan.to_uint8()
    found = propagate(predictor, volume, objects)
    scores = []
    for row in found.scores:
        known = row[np.isfinite(row)]
        scores.append(round(float(known.mean()), 4) if len(known) else None)
    return Result(volume, found.label_map(), objects, None, scores, scan.spacing_mm, scan.geometry), scores


def _boxes(mask: np.ndarray, scan: Scan) -> dict:
    """The box of a mask as displayed and in voxels of the file: two numbers a corner for a picture, three for a volume."""
    held = np.argwhere(mask)
    if not len(held):
        return {"box_voxel": None, "box_display": None}
    corners = [*held.min(0)[::-1].tolist(), *held.max(0)[::-1].tolist()]
    if len(corners) == 6:
        return {"box_voxel": scan.geometry.box_to_voxel(np.array(corners)).astype(int).tolist(), "box_display": corners}
    theirs = picture_object({"box": corners, "prompt": {"box": None, "points": []}}, scan.geometry)
    return {"box_voxel": theirs["box_voxel"], "box_display": corners}


def info_of(desk: Desk) -> dict:
    """What the service has and what it takes."""
    try:
        version = importlib.metadata.version("lite-medsam")
    except importlib.metadata.PackageNotFoundError:
        version = "checkout"
    return {
        "version": version,
        "models": {name: desk.models.facts(name) for name in desk.models.directories},
        "default_model": desk.models.default,
        "engines": desk.models.engines,
        "max_upload_mb": desk.max_upload_bytes // 2**20,
        "max_pixels": desk.max_pixels,
        "notice": "research use only: not a medical device",
    }


def never_fetch(page: gr.Blocks) -> None:
    """Every control of the page takes uploaded files alone: Gradio's own fetch an address that a caller writes in place of a path.

    That is so for any value that looks like a file, whatever the control is for. Not a class of its own: Gradio would write a
    .pyi file beside this one for it.
    """
    for block in page.blocks.values():
        _only_sent(block)


def _only_sent(block) -> None:
    plain, waiting = block.move_resource_to_block_cache, block.async_move_resource_to_block_cache

    def checked(place):
        _refuse_address(place)
        return plain(place)

    async def checked_later(place):
        _refuse_address(place)
        return await waiting(place)

    vars(block).update(move_resource_to_block_cache=checked, async_move_resource_to_block_cache=checked_later)


def _refuse_address(place) -> None:
    if "://" in str(place) or str(place).lower().startswith(("http:", "https:")):
        raise gr.Error(
            "image must be a file that was uploaded, got an address; fetch it and send the file", print_exception=False
        )


def add_endpoints(desk: Desk) -> None:
    """Controls and endpoints `/segment` and `/info`, inside a Blocks context."""

    def segment(image: str | None, prompts: str, model: str | None, engine: str | None):
        try:
            with desk.turnstile:
                files, record = segment_file(desk, image, prompts, model, engine)
        except Refused as error:
            raise gr.Error(str(error), print_exception=False) from None
        except (ValueError, ImportError) as error:
            raise gr.Error(" ".join(str(error).split())[:500], print_exception=False) from None
        except MemoryError:
            raise gr.Error("not enough memory for this; use a smaller file", print_exception=False) from None
        # a folder that nobody can guess; Gradio serves it to the caller and removes it with its other files
        remove_old(_served_folder())
        folder = Path(tempfile.mkdtemp(prefix="out-", dir=_served_folder()))
        paths = []
        for name, content in files:
            stem, dot, ending = name.partition(".")
            path = folder / f"{stem}-{secrets.token_hex(8)}{dot}{ending}"
            path.write_bytes(content)
            paths.append(str(path))
        return paths, record

    with gr.Row(elem_classes="lm-endpoint"):  # scripts ask them; people have the page
        with gr.Column():
            image = gr.File(label="Image or volume", type="filepath")
            prompts = gr.Textbox(
                "[[120, 80, 260, 190]]",
                label="Prompts: boxes (NIfTI, DICOM: voxels of the file), or a prompt set as JSON",
                lines=3,
            )
            model = gr.Dropdown(list(desk.models.directories), value=desk.models.default, label="Model")
            engine = gr.Dropdown(desk.models.engines, value=desk.models.engine, label="Engine")
            button = gr.Button("Segment", variant="primary")
        with gr.Column():
            files = gr.File(label="Label map and overlay", file_count="multiple", interactive=False)
            record = gr.JSON(label="Record")
    button.click(segment, [image, prompts, model, engine], [files, record], api_name="segment",
                 api_description="Segments one file from boxes or a prompt set: label map, overlay, record.")  # fmt: skip
    shown = gr.Button("What this service has", elem_classes="lm-endpoint")
    shown.click(lambda: info_of(desk), None, record, api_name="info", api_description="Models, engines and limits.")


def remove_old(folder: Path, seconds: float = KEEP_SECONDS) -> None:
    """Removes results that their caller has had time to fetch."""
    for old in folder.glob("out-*"):
        if time.time() - old.stat().st_mtime > seconds:
            shutil.rmtree(old, ignore_errors=True)


def _served_folder() -> Path:
    from gradio.utils import get_upload_folder

    folder = Path(get_upload_folder())
    folder.mkdir(parents=True, exist_ok=True)
    return folder
