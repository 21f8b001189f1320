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
from lite_medsam.prompts.prompt_set import Prompt, load_prompts
from lite_medsam.prompts.volume_prompt_set import load_volume_prompts
from lite_medsam.results.take_home import Result, label_png, overlay_png, take_home_files
from lite_medsam.segment.predictor import Predictor
from lite_medsam.volumes.propagation import propagate

from .actions import Desk
from .opening import clean_name, open_file
from .seats import Refused

MAX_PROMPT_CHARACTERS = 1_000_000
KEEP_SECONDS = 600


def segment_file(desk: Desk, path: str | None, prompts, model: str | None, engine: str | None) -> tuple[list, dict]:
    """Segments one file.

    Args:
        desk: Models and limits.
        path: The uploaded file.
        prompts: A list of boxes [[x0, y0, x1, y1], ...], a prompt set (docs/formats.md) without masks, or either as
            JSON text.
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
    document = _document(prompts)
    if scan.is_volume:
        result, scores = _volume(predictor, scan, document)
    else:
        result, scores = _picture(predictor, scan, document)
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
        "spacing_mm": None if scan.spacing_mm is None else list(scan.spacing_mm),
        "objects": [
            {
                "value": i + 1,
                "name": name,
                "target": result.targets[i],
                "score": scores[i],
                "area_px": int(np.count_nonzero(result.labels == i + 1)),
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
    if isinstance(prompts, list):
        return {"version": 1, "objects": [{"box": box} for box in prompts]}
    if not isinstance(prompts, dict):
        raise PromptError("prompts must be a list of boxes [[x0, y0, x1, y1], ...] or a prompt set, got something else")
    return prompts


def _load(document: dict, load):
    """Reads a document with the reader of prompt files; its masks would be files of ours, and there are none."""
    with tempfile.TemporaryDirectory(prefix="lite-medsam-demo-") as folder:
        path = Path(folder) / "prompts.json"
        try:
            path.write_text(json.dumps(document, allow_nan=False), encoding="utf-8")
        except (TypeError, ValueError):
            raise PromptError("prompts must hold finite numbers, texts and lists") from None
        try:
            objects = load(path)
        except PromptError as error:
            raise PromptError(str(error).replace(f"{path}: ", "").replace(folder, "")) from None
    if not objects:
        raise PromptError("prompts must name one object at least, got none")
    if len(objects) > 200:
        raise PromptError(f"prompts must name at most 200 objects, got {len(objects)}")
    return objects


def _picture(predictor: Predictor, scan, document: dict) -> tuple[Result, list]:
    prompts: list[Prompt] = _load(document, load_prompts)
    image = scan.to_uint8()
    prediction = predictor.segment(image, prompts)
    scores = [None if np.isnan(score) else round(float(score), 4) for score in prediction.scores]
    masks = [prediction.mask(i) for i in range(len(prediction))]
    return Result(image, prediction.label_map(), prompts, masks, scores, scan.spacing_mm, scan.geometry), scores


def _volume(predictor: Predictor, scan, document: dict) -> tuple[Result, list]:
    objects = _load({"volume": True, **document}, load_volume_prompts)
    volume = scan.to_uint8()
    found = propagate(predictor, volume, objects)
    scores = []
    for row in found.scores:
        known = row[np.isfinite(row)]
        scores.append(round(float(known.mean()), 4) if len(known) else None)
    return Result(volume, found.label_map(), objects, None, scores, scan.spacing_mm, scan.geometry), scores


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

    with gr.Row():
        with gr.Column():
            image = gr.File(label="Image or volume", type="filepath")
            prompts = gr.Textbox("[[120, 80, 260, 190]]", label="Prompts: boxes, or a prompt set as JSON", lines=3)
            model = gr.Dropdown(list(desk.models.directories), value=desk.models.default, label="Model")
            engine = gr.Dropdown(desk.models.engines, value=desk.models.engine, label="Engine")
            button = gr.Button("Segment", variant="primary")
        with gr.Column():
            files = gr.File(label="Label map and overlay", file_count="multiple", interactive=False)
            record = gr.JSON(label="Record")
    button.click(segment, [image, prompts, model, engine], [files, record], api_name="segment",
                 api_description="Segments one file from boxes or a prompt set: label map, overlay, record.")  # fmt: skip
    shown = gr.Button("What this service has")
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
