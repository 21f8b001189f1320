"""A training run as a file: model, settings and starting point, so that a model can be made again."""

import dataclasses
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from lightning_fabric import Fabric
from tqdm import tqdm

from lite_medsam.cases.adapters.check import pixel_sha256
from lite_medsam.cases.adapters.split import Split
from lite_medsam.cases.adapters.split_file import load_split
from lite_medsam.cases.case import Case
from lite_medsam.errors import CaseError, WeightsError
from lite_medsam.learning.data.labelled_image import LabelledImage, load_images
from lite_medsam.learning.lessons.book import LessonBook
from lite_medsam.learning.lessons.drawn import DrawnLessons
from lite_medsam.learning.lessons.settings import LessonPlan
from lite_medsam.learning.lessons.teachers import Teacher, open_teacher
from lite_medsam.learning.lessons.views import load_scenes
from lite_medsam.learning.training.loop import Trainer, TrainSettings, new_model
from lite_medsam.learning.training.starting import start_from
from lite_medsam.model.spec import ModelSpec, build_dataclass
from lite_medsam.phantoms import KINDS, make_phantom
from lite_medsam.prompts.targets import read_targets
from lite_medsam.prompts.vocabulary import load_vocabulary
from lite_medsam.storage.one_line import one_line

# masks are learned from the teacher, not features: of those the mean alone is kept
LESSON_GRID = 1
# far from those of samples and tests
FIRST_PHANTOM_SEED = 50_000


@dataclass(frozen=True)
class Recipe:
    """One training run.

    Attributes:
        spec: The model to build.
        train: The settings of the run.
        start: Name of the file in the folder of starting points, "" for random weights; `starting.start_from` says which
            kinds there are.
        named: Teach the names of `prompts/targets.json`; the spec then lists them.
        scenes: So many phantom scenes of no modality are drawn with seeds 0, 1, ... and take the share of one more modality.
        phantoms: So many phantoms of each kind, of seeds that neither samples nor tests have, join their modalities.
        teacher: Whose answers are learned beside the labels: a file in the folder of starting points, or what `open_teacher`
            knows by name; "" for none.
        lessons: Which of its answers, and what they weigh.
        unlabelled: Data sets whose labels are not used, as if they had none: the teacher is asked about their images all the
            same. What new data would gain can be measured on them.
        split: File beside the recipe that names the cases of its training part with the hashes of their images; others are
            refused. "" for whatever lies in the folders.
    """

    spec: ModelSpec = field(default_factory=ModelSpec)
    train: TrainSettings = field(default_factory=TrainSettings)
    start: str = ""
    named: bool = False
    scenes: int = 0
    phantoms: int = 0
    teacher: str = ""
    lessons: LessonPlan = field(default_factory=LessonPlan)
    unlabelled: tuple[str, ...] = ()
    split: str = ""


def load_recipe(path: str | os.PathLike) -> Recipe:
    """Reads a recipe; fields that are left out have their defaults.

    Raises:
        WeightsError: If it is not JSON or has unknown or wrong fields.
    """
    try:
        record = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(f"the recipe must be a JSON file, got {path} ({one_line(error)})") from None
    recipe = build_dataclass(Recipe, record, str(path))
    if recipe.split:
        recipe = dataclasses.replace(recipe, split=str(Path(path).parent / recipe.split))
    if not recipe.named:
        return recipe
    names = tuple(target.name for target in load_vocabulary())
    return dataclasses.replace(recipe, spec=dataclasses.replace(recipe.spec, targets=names))


def run_recipe(
    recipe: Recipe,
    cases: Path | Sequence[Path],
    start_folder: Path | None,
    out: Path,
    resume: bool,
    fabric: Fabric | None = None,
    targets: Path | None = None,
    workers: int = 0,
) -> Trainer:
    """Trains a recipe to its end and returns the trainer.

    Args:
        recipe: What to do.
        cases: Folders of labelled npz cases, searched recursively; real ones and phantoms may be mixed. Modalities are drawn
            in equal shares whatever their numbers.
        start_folder: Where the file `recipe.start` lies; needed if it is named and the run is new.
        out: Folder of the run: checkpoint, settings, log.
        resume: Continue from the checkpoint in `out` if there is one.
        fabric: Device and processes; one CPU process by default.
        targets: CSV of what the labels of data sets are called, see `lite_medsam.prompts.targets.read_targets`; without it only
            cases that say it themselves are known by name.
        workers: Processes that make batches; 0 for a thread of this one.

    Raises:
        CaseError: If a case is damaged.
        WeightsError: If the starting point or the checkpoint does not fit.
        FloatingPointError: If the loss stops being finite.
    """
    settings = recipe.train
    folders = [cases] if isinstance(cases, Path) else list(cases)
    paths = [path for folder in folders for path in sorted(folder.rglob("*.npz"))]
    check = training_part(load_split(recipe.split)) if recipe.split else None
    images = load_images(paths, settings.sampling.slices_per_volume, read_targets(targets), check)
    images = with_labels(images, recipe.unlabelled) + drawn_images(recipe)
    model = new_model(recipe.spec, settings.seed)
    lessons = None
    if recipe.teacher:
        beside = start_folder is not None and (start_folder / recipe.teacher).is_file()
        teacher = str(start_folder / recipe.teacher) if beside and start_folder else recipe.teacher
        device = "cpu" if fabric is None else str(fabric.device)
        lessons = ask_teacher(recipe, open_teacher(teacher, device=device), paths, out / "lessons")
    trainer = Trainer(model, images, settings, fabric, lessons, workers)
    checkpoint = out / "checkpoint.pt"
    if checkpoint.exists():
        if not resume:
            raise WeightsError(
                f"{out} must be a new folder, but holds a checkpoint; add --resume or name another --out"
            )
        trainer.resume(checkpoint)
    elif recipe.start:
        if start_folder is None:
            raise WeightsError(f"the recipe starts from {recipe.start}; name its folder with --start")
        batches = trainer.source.batch
        start_from(start_folder / recipe.start, model, lambda: torch.cat([batches(i).pixels for i in range(4)]))
        trainer.average = {k: v.detach().clone() for k, v in model.state_dict().items()}
    trainer.train(out)
    return trainer


def with_labels(images: Sequence[LabelledImage], unlabelled: Sequence[str]) -> list[LabelledImage]:
    """The images whose labels a recipe uses.

    Raises:
        CaseError: If a data set that is to be left out is not there.
    """
    sets = {image.dataset for image in images}
    for name in unlabelled:
        if name not in sets:
            raise CaseError(
                f"the recipe's unlabelled sets must be among the cases, got {name!r}; "
                f"the cases are of {', '.join(sorted(sets))}"
            )
    return [image for image in images if image.dataset not in unlabelled]


def drawn_images(recipe: Recipe) -> list[LabelledImage]:
    """The phantoms of a recipe: scenes of no modality, and so many of each kind; those without a labelled thing are left out."""
    seeds = range(FIRST_PHANTOM_SEED, FIRST_PHANTOM_SEED + recipe.phantoms)
    cases = [make_phantom("scene", seed) for seed in range(recipe.scenes)]
    cases += [make_phantom(kind, seed) for kind in KINDS if kind != "scene" for seed in seeds]
    return [image for image in map(LabelledImage.from_case, cases) if image is not None]


def ask_teacher(recipe: Recipe, teacher: Teacher, paths: Sequence[Path], folder: Path) -> DrawnLessons:
    """The lessons of a recipe; the teacher is asked for those that the folder does not hold.

    Args:
        recipe: Says which lessons.
        teacher: Who is asked.
        paths: The cases, labelled or not.
        folder: Where answers are kept; what was asked before a run was cut off is not asked again.

    Raises:
        CaseError: If there is no case.
    """
    plan = recipe.lessons
    scenes = load_scenes(paths, plan.views.slices_per_volume)
    if not scenes:
        raise CaseError(f"the teacher {recipe.teacher} must be asked about pictures, got no case; check --cases")
    clicks = False  # boxes: what a teacher says of a click is one of several meanings
    book = LessonBook(
        teacher, scenes, recipe.spec.preprocessing, LESSON_GRID, clicks, plan.views,
        recipe.train.seed, folder,
    )  # fmt: skip
    lessons = DrawnLessons(book, plan, recipe.train.seed)
    for place in tqdm(lessons.places(), desc="teacher", total=len(lessons), unit="view"):
        book.lesson(*place)
    return lessons


def training_part(split: Split) -> Callable[[Case], None]:
    """A check that raises CaseError for a case that the split does not train on, or whose image it does not know so."""
    train = set(split.parts.get("train", ()))

    def check(case: Case) -> None:
        if case.name not in train:
            part = split.part_of(case.name)
            where = f"is in its {part} part" if part else "is not in it"
            raise CaseError(f"{case.name} must be in the recipe's training part, but {where}; remove it from --cases")
        known = split.images.get(case.name)
        if known is not None and pixel_sha256(case.image) != known:
            raise CaseError(f"{case.name} must be the image that the recipe was made with, but its pixels differ")

    return check
