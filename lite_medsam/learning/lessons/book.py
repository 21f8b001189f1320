"""What the teacher answers about each view, computed once and kept on disk."""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lite_medsam.learning.lessons.settings import ViewSettings
from lite_medsam.learning.lessons.teachers import Teacher
from lite_medsam.learning.lessons.views import Scene, View, make_view
from lite_medsam.learning.network.model import BOX_TOP_LEFT, PADDING, PromptedSegmenter
from lite_medsam.model.preprocessing import Frame, intensity_range, mask_to_model, normalise, resample
from lite_medsam.model.prompt_tokens import decoder_inputs
from lite_medsam.model.spec import Preprocessing
from lite_medsam.storage.signed_cache import SignedCache

# raise it when the code of views or lessons changes what they hold
FORMAT = "1"
BOX_TOKENS, CLICK_TOKENS = 2, 5  # as in training on labels: boxes alone are not padded, clicks are
FEATURE_LIMIT, LOGIT_LIMIT = 60_000.0, 32.0  # half precision holds up to 65504; beyond 32 a logit says nothing more


@dataclass(frozen=True, eq=False)
class Lesson:
    """One view as the student gets it, with the teacher's answers; or a batch of them, with one dimension more.

    Attributes:
        pixels: (3, S, S) float32, the student's input.
        features: (C, G, G) float32, the teacher's embedding, not finer than the student's.
        valid: (S, S) bool, False in the padding.
        logits: (K, S, S) float32, the teacher's masks in the student's frame.
        scores: (K,) float32, the teacher's estimate of their IoU.
        coords: (K, 5, 2) float32 prompt tokens in the student's pixels.
        labels: (K, 5) float32 their kinds; boxes use the first two, which are all that they may be decoded with.
        name: Of the case; of several, separated by commas.
    """

    pixels: Tensor
    features: Tensor
    valid: Tensor
    logits: Tensor
    scores: Tensor
    coords: Tensor
    labels: Tensor
    name: str

    @classmethod
    def batch(cls, lessons: "Sequence[Lesson]") -> "Lesson":
        """Several lessons as one."""
        tensors = {name: torch.stack([getattr(lesson, name) for lesson in lessons]) for name in _TENSORS}
        return cls(**tensors, name=", ".join(dict.fromkeys(lesson.name for lesson in lessons)))

    def to(self, device: torch.device) -> "Lesson":
        """The same on a device."""
        return dataclasses.replace(self, **{name: getattr(self, name).to(device) for name in _TENSORS})


_TENSORS = tuple(f.name for f in dataclasses.fields(Lesson) if f.name != "name")


class LessonBook:
    """All views of some images with the teacher's answers, from the cache where they are known.

    Answers are rounded to half precision also when they come fresh, so that a run does not depend on the cache.

    Args:
        teacher: Who is asked.
        scenes: The images.
        student: Pre-processing of the student.
        grid: Side of the student's embedding.
        clicks: Whether some views are asked with clicks.
        views: How views are drawn.
        seed: Of what is drawn.
        folder: Of the cache.
        limit_bytes: Of the cache, None for no limit.
    """

    def __init__(
        self,
        teacher: Teacher,
        scenes: Sequence[Scene],
        student: Preprocessing,
        grid: int,
        clicks: bool,
        views: ViewSettings,
        seed: int,
        folder: Path,
        limit_bytes: int | None = None,
    ):
        self.teacher, self.scenes, self.student, self.grid = teacher, scenes, student, grid
        self.clicks, self.views, self.seed = clicks, views, seed
        drawn = dataclasses.asdict(views)
        for name in ("views_per_image", "slices_per_volume"):  # more of them leave those that there are as they are
            del drawn[name]
        # what is seen of the data is in each key: an image more costs only its own views
        signature = {
            "format": FORMAT,
            "teacher": teacher.sha256,
            "teacher_name": teacher.spec.name,
            "student": json.dumps(dataclasses.asdict(student), sort_keys=True),
            "grid": str(grid),
            "views": json.dumps(drawn, sort_keys=True),
            "clicks": str(clicks),
            "seed": str(seed),
        }
        self.cache = SignedCache(folder, signature, limit_bytes)
        self.asked = 0  # how often the teacher had to be asked

    def lesson(self, scene: int, view: int) -> Lesson:
        """View number `view` of image number `scene`."""
        source = self.scenes[scene]
        key = f"{source.sha256}:{view}"
        stored = self.cache.get(key)
        if stored is None:
            made = make_view(source, view, self.views, self.clicks, self.seed)
            self.asked += 1
            stored = ask(self.teacher, made, self.student, self.grid)
            self.cache.put(key, stored)
        return _lesson(stored, self.student, source.name)


def ask(teacher: Teacher, view: View, student: Preprocessing, grid: int) -> dict[str, np.ndarray]:
    """Shows a view to the teacher and writes down what both need.

    Args:
        teacher: Who is asked.
        view: What about.
        student: Pre-processing of the student.
        grid: Side of the student's embedding; a finer one of the teacher is averaged down to it.

    Returns:
        What a `Lesson` is made of: images as uint8, features and logits as float16.
    """
    seen, taught = view.frame(student), view.frame(teacher.spec.preprocessing)
    encoded = teacher.predictor.encode(view.image, taught)
    answer = teacher.predictor.decode(encoded, view.prompts)
    embedding = torch.from_numpy(np.array(encoded.features[0], np.float32))
    features = pool_valid(embedding, cell_cover(embedding.shape[-1], taught).unsqueeze(0), grid)[0].numpy()
    # over the image's own pixels, so that the two frames' roundings do not matter
    logits = [mask_to_model(answer.image_logits(i), seen) for i in range(len(answer))]
    image = resample(view.image, seen, student.resampling)
    ranges = {"uint8": (0.0, 255.0), "resized": intensity_range(image)}
    coords, labels, _, _ = decoder_inputs(view.prompts, [seen] * len(view.prompts), student.image_size)
    missing = CLICK_TOKENS - coords.shape[1]
    return {
        "image": image,
        "value_range": np.array(ranges.get(student.value_range) or intensity_range(view.image), np.float32),
        "window": np.array(view.window, np.int32),
        "features": np.clip(features, -FEATURE_LIMIT, FEATURE_LIMIT).astype(np.float16),
        "logits": np.clip(np.stack(logits), -LOGIT_LIMIT, LOGIT_LIMIT).astype(np.float16),
        "scores": answer.scores,
        "coords": np.pad(coords, ((0, 0), (0, missing), (0, 0))),
        "labels": np.pad(labels, ((0, 0), (0, missing)), constant_values=PADDING),
    }


def decode_lessons(student: PromptedSegmenter, features: tuple[Tensor, ...], batch: Lesson) -> tuple[Tensor, Tensor]:
    """The student's answers to a batch of lessons, boxes and clicks each with the tokens that they have in use.

    Args:
        student: The student.
        features: What it made of batch.pixels.
        batch: B lessons with K prompts.

    Returns:
        (B, K, S, S) float32 logits and (B, K) predicted IoU.
    """
    logits, scores = torch.zeros_like(batch.logits), torch.zeros_like(batch.scores)
    boxes = batch.labels[:, 0, 0] == BOX_TOP_LEFT
    for chosen, tokens in ((boxes, BOX_TOKENS), (~boxes, CLICK_TOKENS)):
        if chosen.any():
            coords, labels = batch.coords[chosen, :, :tokens], batch.labels[chosen, :, :tokens]
            shown = tuple(feature[chosen] for feature in features)
            masks, ious = student.decode(shown, coords.flatten(0, 1), labels.flatten(0, 1), mask_tokens=1)
            logits[chosen] = masks[:, 0].float().unflatten(0, coords.shape[:2])
            scores[chosen] = ious[:, 0].float().unflatten(0, coords.shape[:2])
    return logits, scores


def _lesson(stored: dict[str, np.ndarray], student: Preprocessing, name: str) -> Lesson:
    x0, y0, width, height = (int(v) for v in stored["window"])
    frame = Frame(x0, y0, width, height, student.image_size, geometry=student.geometry)
    low, high = (float(v) for v in stored["value_range"])
    valid = torch.zeros(student.image_size, student.image_size, dtype=torch.bool)
    valid[: frame.scaled_hw[0], : frame.scaled_hw[1]] = True
    return Lesson(
        pixels=torch.from_numpy(normalise(stored["image"], frame, (low, high), student)),
        features=torch.from_numpy(stored["features"]).float(),
        valid=valid,
        logits=torch.from_numpy(stored["logits"]).float(),
        scores=torch.from_numpy(stored["scores"]).float(),
        coords=torch.from_numpy(stored["coords"]),
        labels=torch.from_numpy(stored["labels"]),
        name=name,
    )


def cell_cover(cells: int, frame: Frame) -> Tensor:
    """Share of each cell of a square grid over the model frame that the image covers.

    Args:
        cells: Side of the grid.
        frame: The frame.

    Returns:
        (cells, cells) float32, 0..1.
    """
    places = torch.arange(cells, dtype=torch.float32)
    rows, columns = ((cells * side / frame.size - places).clamp(0, 1) for side in frame.scaled_hw)
    return rows.unsqueeze(1) * columns


def pool_valid(features: Tensor, cover: Tensor, cells: int) -> Tensor:
    """Features on a coarser grid: means over what the image covers, so that no padding leaks in.

    Args:
        features: (B, C, G, G).
        cover: (B, G, G) share of each cell that counts.
        cells: Side of the wanted grid; a finer one leaves the features as they are.

    Returns:
        (B, C, g, g), g = min(G, cells).
    """
    if features.shape[-1] <= cells:
        return features
    weight = cover.unsqueeze(1)
    total = F.adaptive_avg_pool2d(weight, cells)
    return F.adaptive_avg_pool2d(features * weight, cells) / total.clamp(min=1e-6)
