"""A whole distillation: from a folder of cases, a teacher and a description of the student to a model directory."""

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from lite_medsam.errors import WeightsError
from lite_medsam.learning.distillation.loop import Distiller, Measured
from lite_medsam.learning.distillation.settings import DistillSettings
from lite_medsam.learning.lessons.book import LessonBook
from lite_medsam.learning.lessons.teachers import Teacher
from lite_medsam.learning.lessons.views import load_scenes
from lite_medsam.learning.network.checkpoint import load_model
from lite_medsam.learning.network.export import export_model
from lite_medsam.learning.network.model import PromptedSegmenter
from lite_medsam.learning.training.loop import load_averaged, new_model
from lite_medsam.learning.training.recipe import load_recipe
from lite_medsam.learning.training.starting import start_from
from lite_medsam.learning.training.stepping import make_fabric
from lite_medsam.model.spec import FORMAT, OWN_FAMILY, ModelSpec

STATISTICS_LESSONS = 16


@dataclass(frozen=True)
class Distilled:
    """What a run came to.

    Attributes:
        before: Student and teacher compared before the first step.
        after: The same views after the last one.
        asked: How often the teacher was asked; the rest was in the cache.
        model: The model directory.
        difference: Largest difference between its graphs and torch.
    """

    before: Measured
    after: Measured
    asked: int
    model: Path
    difference: float


@dataclass(frozen=True, eq=False)
class Student:
    """Who learns.

    Attributes:
        model: The network, with weights of its own or random ones.
        trained: Whether the weights came from a model directory.
        start: Name of the file that it is still to be started from, see `starting.start_from`; "" for none.
    """

    model: PromptedSegmenter
    trained: bool
    start: str = ""


def open_student(source: str | os.PathLike | None, seed: int) -> Student:
    """A student.

    Args:
        source: A model directory, whose weights are the start; a recipe or a spec.json, for random weights or those of
            the recipe's starting point; None for a small network, `mobilenetv2_100`, with random weights.
        seed: Of random weights.

    Raises:
        WeightsError: If there is no such thing, or it is a published architecture, which can only teach.
    """
    if source is None:
        return Student(new_model(ModelSpec(), seed), trained=False)
    path = Path(source)
    if path.is_dir():
        model = load_model(path)
        if not isinstance(model, PromptedSegmenter):
            raise WeightsError(
                f"the student must be of the family {OWN_FAMILY}, got {model.spec.architecture.family}; give a recipe, a "
                "spec.json or a model directory of this family"
            )
        return Student(model, trained=True)
    try:
        is_spec = json.loads(path.read_text(encoding="utf-8")).get("format") == FORMAT
    except (OSError, ValueError, AttributeError) as error:
        raise WeightsError(
            f"--student must be a model directory, a recipe or a spec.json, got {path} ({error})"
        ) from None
    if is_spec:
        spec = ModelSpec.from_json(path.read_text(encoding="utf-8"), str(path))
        if spec.architecture.family != OWN_FAMILY:
            raise WeightsError(
                f"the student must be of the family {OWN_FAMILY}, got {spec.architecture.family}; see --student"
            )
        return Student(new_model(dataclasses.replace(spec, files={}), seed), trained=False)
    recipe = load_recipe(path)
    return Student(new_model(recipe.spec, seed), trained=False, start=recipe.start)


def student_spec(student: Student, teacher: ModelSpec, clicks: bool, settings: DistillSettings) -> ModelSpec:
    """The student's spec with what it owes to the teacher.

    A student that began at random knows only what it was asked: boxes, and clicks where the teacher knows them.
    """
    spec = student.model.spec
    prompts = spec.prompts
    if not student.trained:
        prompts = ("box", "points") if clicks else ("box",)
    notes = f"Distilled from {teacher.name} (terms of its weights: {teacher.licence})."
    if settings.logit_weight == 0 and not student.trained:
        notes += " Only its image encoder has learned: fine-tune it before use."
    notes = f"{spec.notes} {notes}".strip()
    return dataclasses.replace(spec, prompts=prompts, notes=notes, files={})


def run_distillation(
    teacher: Teacher,
    student: Student,
    cases: Path,
    out: Path,
    settings: DistillSettings,
    resume: bool = False,
    start_folder: Path | None = None,
    cache: Path | None = None,
    cache_limit_bytes: int | None = None,
    accelerator: str = "cpu",
) -> Distilled:
    """Distils and exports.

    Args:
        teacher: Who is asked.
        student: Who learns.
        cases: Folder of npz cases, labelled or not, searched recursively.
        out: Folder of the run: checkpoint.pt, settings.json, log.csv, model/.
        settings: How.
        resume: Continue from the checkpoint in `out` if there is one.
        start_folder: Where the starting point of a recipe lies.
        cache: Folder of the teacher's answers; `out`/lessons by default. Several runs may share one.
        cache_limit_bytes: Of that folder.
        accelerator: Fabric's name of the device.

    Raises:
        CaseError: If a case is damaged.
        WeightsError: If the checkpoint or the start does not fit.
        FloatingPointError: If the loss stops being finite; the last checkpoint stays.
    """
    checkpoint = out / "checkpoint.pt"
    if checkpoint.exists() and not resume:
        raise WeightsError(f"{out} must be a new folder, but holds a checkpoint; add --resume or name another --output")
    model = student.model
    clicks = {"box", "points"} <= set(teacher.spec.prompts) & set(model.spec.prompts) and settings.views.click_share > 0
    model.spec = student_spec(student, teacher.spec, clicks, settings)
    scenes = load_scenes(sorted(cases.rglob("*.npz")), settings.views.slices_per_volume)
    book = LessonBook(
        teacher, scenes, model.spec.preprocessing, embedding_side(model), clicks, settings.views, settings.seed,
        cache or out / "lessons", cache_limit_bytes,
    )  # fmt: skip
    fabric = make_fabric(accelerator, precision="bf16-mixed" if settings.bfloat16 else "32-true")
    if student.start:
        _start(model, student.start, start_folder, book)
    distiller = Distiller(model, book, settings, fabric)
    before = distiller.measure()
    if checkpoint.exists():
        distiller.resume(checkpoint)
    distiller.train(out)
    difference = export_model(load_averaged(checkpoint), out / "model")
    return Distilled(before, distiller.measure(), book.asked, out / "model", difference)


def embedding_side(model: PromptedSegmenter) -> int:
    """Side of the grid of a model's embedding."""
    return model.prompt_encoder.image_embedding_size[0]


def _start(model: PromptedSegmenter, name: str, folder: Path | None, book: LessonBook) -> None:
    """Starts the student as its recipe does, with statistics from the first views where they are not stored."""
    if folder is None:
        raise WeightsError(f"the recipe starts from {name}; name its folder with --start")

    def pixels() -> Tensor:
        return torch.stack([book.lesson(index % len(book.scenes), 0).pixels for index in range(STATISTICS_LESSONS)])

    start_from(folder / name, model, pixels)
