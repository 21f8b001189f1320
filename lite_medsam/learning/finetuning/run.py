"""A fine-tuning run from cases and starting weights to a model directory with its card."""

import contextlib
import dataclasses
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from lightning_fabric import Fabric
from tqdm import tqdm

from lite_medsam.cases.adapters.split_file import save_split
from lite_medsam.errors import WeightsError
from lite_medsam.learning.data.labelled_image import LabelledImage, load_images
from lite_medsam.learning.finetuning.card import write_report
from lite_medsam.learning.finetuning.data import SPLIT, Division, divide, evenly
from lite_medsam.learning.finetuning.loop import BEST, CHECKPOINT, FinetuneLoop, FineTuner
from lite_medsam.learning.finetuning.prompt_batch import PromptSource
from lite_medsam.learning.finetuning.result import FinetuneResult
from lite_medsam.learning.finetuning.settings import FinetuneSettings, load_settings, refuse_other_settings
from lite_medsam.learning.finetuning.views import FreshViews, KeptViews, signature
from lite_medsam.learning.network.backend import TorchBackend
from lite_medsam.learning.network.checkpoint import Segmenter, load_model
from lite_medsam.learning.network.export import export_model
from lite_medsam.learning.training.run_record import RunRecord
from lite_medsam.learning.training.stepping import make_fabric, read_checkpoint
from lite_medsam.learning.training.validation import Validator, evaluate_all
from lite_medsam.model.published import find_weights
from lite_medsam.model.runtime import DECODER_FILE, ENCODER_FILE, open_backend
from lite_medsam.model.spec import PROMPT_KINDS, ModelSpec, sha256_of
from lite_medsam.segment.predictor import Predictor
from lite_medsam.storage.files import atomic_write
from lite_medsam.storage.signed_cache import SignedCache

SETTINGS, MODEL, FEATURES = "settings.json", "model", "features"
REPORT_SHARE = 6  # other protocols than the validation's are asked about so much fewer cases
Say = Callable[[str], None]


def finetune(
    cases: Path,
    out: Path,
    settings: FinetuneSettings | None = None,
    weights: Path | None = None,
    split: Path | None = None,
    resume: bool = False,
    cache: Path | None = None,
    say: Say = lambda text: None,
) -> FinetuneResult | None:
    """Makes a model better on a folder of labelled cases.

    Args:
        cases: Folder of labelled npz cases, searched recursively; `lite-medsam prepare` makes them.
        out: Folder of the run; its `model` is the new model directory.
        settings: Of the run.
        weights: Model directory to start from; the bundled one by default.
        split: split.json of `lite-medsam prepare`; None takes the one in `cases`, and divides by group where there is none.
        resume: Continue from the folder's checkpoint, if there is one.
        cache: Folder for the frozen encoder's features, kept for other runs; by default inside `out`, removed at the end.
        say: Gets lines about what is going on.

    Returns:
        None in all processes but the first.

    Raises:
        CaseError: If a case is damaged, there is too little data, or a group is on both sides.
        WeightsError: If the weights or the checkpoint do not fit.
        ValueError: If no object is visible to the model.
        FloatingPointError: If the loss is not finite; the last checkpoint stays.
    """
    settings, weights = settings or FinetuneSettings(), find_weights(weights)
    _check_folder(out, settings, resume)
    fabric = launch(settings)
    say = say if fabric.is_global_zero else lambda text: None
    start = load_model(weights)
    kept_split = out / SPLIT
    division = divide(
        cases, kept_split if resume and kept_split.exists() else split, settings.validation_share, settings.seed
    )
    start.spec = replace(start.spec, prompts=_prompts(start.spec, settings))
    fabric.barrier()  # nobody reads the folder any more
    if fabric.is_global_zero:
        _write_identity(out, settings, division)
    say(_summary(division, settings))
    return _Run(fabric, start, weights, division, settings, out, cache, resume, say).run()


def launch(settings: FinetuneSettings) -> Fabric:
    """The processes of a run; under torchrun or SLURM this one joins the others."""
    accelerator = settings.accelerator
    if accelerator == "auto":
        accelerator = "cuda" if torch.cuda.is_available() else "cpu"  # MPS is slower than the CPU here
    precision = settings.precision
    if precision == "auto":
        precision = "bf16" if accelerator == "cuda" else "32"
    fabric = make_fabric(
        accelerator, settings.devices, settings.nodes, {"32": "32-true", "bf16": "bf16-mixed"}[precision]
    )
    fabric.launch()
    return fabric


class _Run:
    """The parts of one run, put together in the order in which they are needed."""

    def __init__(self, fabric, start: Segmenter, weights, division: Division, settings, out: Path, cache, resume, say):
        self.fabric, self.start, self.weights, self.division = fabric, start, weights, division
        self.settings, self.out, self.cache, self.resume, self.say = settings, out, cache, resume, say
        self.record = RunRecord()

    def run(self) -> FinetuneResult | None:
        settings = self.settings
        first = self.fabric.is_global_zero
        user = settings.report_protocols()[0]
        chosen = evenly(self.division.validation, settings.validation_cases)
        validator = Validator(self.start, chosen, user, settings.slices_per_volume) if first else None
        start_state = {name: value.clone() for name, value in self.start.state_dict().items()}
        tuner = FineTuner(self.start.to(memory_format=torch.channels_last), settings, self.fabric)
        with self.record.phase("features"):
            images = _images(self.division.train, settings)
            views, kept = self._views(images, tuner.model)
        source = PromptSource(views, tuner.model.spec, settings, self.fabric.global_rank, self.fabric.world_size)
        loop = FinetuneLoop(tuner, source, validator, self.out, self._identity())
        if self.resume and loop.resume():
            self.say(f"continuing from step {tuner.step}")
        continued = tuner.step
        with self.record.phase("training"):
            loop.run()
        self.fabric.barrier()
        if validator is None:
            return None
        result = self._finish(loop, validator, start_state)
        self.record.write(
            self.out, steps=tuner.step - continued, processes=self.fabric.world_size, memory=settings.memory_here()
        )
        self.say(str(self.record))
        if kept is not None and self.cache is None:
            kept.clear()
            with contextlib.suppress(OSError):
                kept.folder.rmdir()
        return result

    def _identity(self) -> dict[str, str]:
        """What makes a run the same run; hashes, so that folders may move."""
        return {
            "weights": sha256_of(self.weights / "model.safetensors"),
            "data": self.division.sha256,
            "split": self.division.split.sha256,
        }

    def _views(
        self, images: list[LabelledImage], model: Segmenter
    ) -> tuple[FreshViews | KeptViews, SignedCache | None]:
        """Fresh views, or with a frozen encoder views whose features are kept."""
        if self.settings.train != "decoder":
            return FreshViews(images, model.spec, self.settings), None
        folder = self.cache or self.out / FEATURES
        limit = int(self.settings.cache_gb * 1e9)
        cache = SignedCache(folder, signature(model, self.settings), limit, compress=True)
        views = KeptViews(images, model, self.settings, cache)
        share = -(-len(views.images) // self.fabric.world_size)
        with tqdm(total=share, unit="image", desc="features", disable=not self.fabric.is_global_zero) as bar:
            views.prepare(self.fabric.global_rank, self.fabric.world_size, lambda: bar.update())
        self.fabric.barrier()
        return views, cache

    def _finish(self, loop: FinetuneLoop, validator: Validator, start_state: dict) -> FinetuneResult:
        """Exports the best weights, scores both models through the Predictor, writes the card and the pictures."""
        settings, validation = self.settings, self.division.validation
        best = read_checkpoint(self.out / BEST, ("average", "step"))
        before, model = validator.model, load_model(self.weights)
        before.load_state_dict(start_state)
        model.load_state_dict(best["average"])
        spec = new_spec(before.spec, settings, self.division, best["step"])
        model.spec = spec
        with self.record.phase("export"):
            difference = export_model(model, self.out / MODEL, spec)
        self.say(f"exported to {self.out / MODEL}; torch and ONNX Runtime differ by {difference:.1e} at most")
        old = _starting_predictor(self.weights, before)
        new = Predictor.open(self.out / MODEL, "onnxruntime", torch.get_num_threads())
        asked = [
            (user, evenly(validation, settings.report_cases if i == 0 else -(-settings.report_cases // REPORT_SHARE)))
            for i, user in enumerate(settings.report_protocols())
        ]
        total = 2 * sum(len(cases) for _, cases in asked)
        with self.record.phase("scores"), tqdm(total=total, unit="case", desc="scores") as bar:
            scores = [
                evaluate_all(predictor, asked, settings.slices_per_volume, lambda _: bar.update())
                for predictor in (old, new)
            ]
        steps, seconds = loop.tuner.step, loop.tuner.seconds
        result = FinetuneResult(self.out / MODEL, scores[0], scores[1], steps, best["step"], seconds, self.record)
        with self.record.phase("pictures"):
            write_report(result, settings, self.division, validation, spec, (old, new), self.out)
        return result


def _starting_predictor(weights: Path, model: Segmenter) -> Predictor:
    """The starting model as users run it, but asked for every kind of prompt that is trained; in torch without graphs."""
    if not all((weights / name).is_file() for name in (ENCODER_FILE, DECODER_FILE)):
        return Predictor(TorchBackend(model))
    backend = open_backend(weights, "onnxruntime", torch.get_num_threads())
    backend.spec = replace(backend.spec, prompts=model.spec.prompts)
    return Predictor(backend)


def _images(paths: tuple[Path, ...], settings: FinetuneSettings) -> list[LabelledImage]:
    images = load_images(paths, settings.slices_per_volume)
    if not settings.modality:
        return images
    return [
        dataclasses.replace(image, modality=settings.modality) if image.modality == "unknown" else image
        for image in images
    ]


def _prompts(spec: ModelSpec, settings: FinetuneSettings) -> tuple[str, ...]:
    kinds = set(spec.prompts) | settings.prompt_kinds()
    return tuple(kind for kind in PROMPT_KINDS if kind in kinds)


def new_spec(spec: ModelSpec, settings: FinetuneSettings, division: Division, best_step: int) -> ModelSpec:
    """The spec of the new model: where it comes from, and what it was trained on."""
    name = settings.name or f"{spec.name.removesuffix('-finetuned')}-finetuned"
    data = f"own cases: {len(division.train)}, groups: {division.train_groups} (SHA-256 {division.sha256[:16]})"
    notes = (
        f"Fine-tuned from {spec.name} ({settings.train}, step {best_step}); split {division.split.sha256[:16]}. {spec.notes}"
    ).strip()
    return replace(spec, name=name, training_data=(*spec.training_data, data), notes=notes, files={})


def _check_folder(out: Path, settings: FinetuneSettings, resume: bool) -> None:
    saved = out / SETTINGS
    if not resume:
        if (out / CHECKPOINT).exists():
            raise WeightsError(f"{out} must be a new folder, but holds a run; add --resume or name another --output")
        return
    if saved.exists():
        refuse_other_settings(settings, load_settings(saved))


def _write_identity(out: Path, settings: FinetuneSettings, division: Division) -> None:
    out.mkdir(parents=True, exist_ok=True)
    with atomic_write(out / SETTINGS) as path:
        path.write_text(json.dumps(dataclasses.asdict(settings), indent=2) + "\n", encoding="utf-8")
    save_split(out / SPLIT, division.split)


def _summary(division: Division, settings: FinetuneSettings) -> str:
    parts = [
        f"cases to train on: {len(division.train)} (groups: {division.train_groups}), to validate on: "
        f"{len(division.validation)} (groups: {division.validation_groups})",
        division.origin,
    ]
    if division.unlabelled:
        parts.append(f"{division.unlabelled} cases without an object are left out")
    if division.outside:
        parts.append(f"{division.outside} cases of no part or the test part are left out")
    if division.ungrouped:
        parts.append(
            f"{division.ungrouped} cases name no group: if several show one patient, the validation scores are too high"
        )
    return "; ".join(parts)
