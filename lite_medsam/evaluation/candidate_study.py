"""How well objects of a kind are found: by *find the others* from one example, and by *everything*, by modality.

A kind is the labelled objects of a picture that have one name; kinds of fewer than 5 are left out. The example is the model's
mask for the exact box of the object of median area. Taken is what is offered with a likeness of at least 0.5, where the
demo's slider stands at first.

- found: Share of the objects, the example left out, that something taken covers with an IoU of at least 0.5
- false: Share of what was taken that covers no object of the kind so well; what covers the example is not counted
- seconds: Of one search on one CPU thread, once the example is there

The same follows for *everything*, which has no example and is right with a labelled object of any kind: what covers one of
another kind is not counted. Objects that no one labelled count as false.

    python -m lite_medsam.evaluation.candidate_study phantoms
    python -m lite_medsam.evaluation.candidate_study CASE.npz ...
"""

import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from lite_medsam.cases.case import Case, load_case
from lite_medsam.model.encoding_cache import EncodingCache
from lite_medsam.phantoms import make_phantom
from lite_medsam.prompts.prompt_set import Prompt, box_from_mask
from lite_medsam.segment.choices import overlap
from lite_medsam.segment.predictor import Predictor
from lite_medsam.segment.region import Region
from lite_medsam.session.candidates import Candidate, find_similar
from lite_medsam.session.everything import find_everything

WAYS = ("find the others", "everything")
LIKENESS, IOU = 0.5, 0.5
MINIMUM_OBJECTS = 5
_PHANTOMS, _SEEDS = ("microscopy", "oct-cme", "fundus"), range(100, 104)


def kinds(case: Case) -> dict[str, list[Region]]:
    """The labelled objects of a picture by name, "object" where they have none."""
    names = case.label_names or {}
    found: dict[str, list[Region]] = {}
    for value in np.unique(case.truth)[1:].tolist():
        found.setdefault(names.get(value, "object"), []).append(Region.of(case.truth == value))
    return found


@dataclass
class Found:
    """What searches for one kind of object came to.

    Attributes:
        objects: That there were to be found.
        found: Of these.
        taken: What was offered as like enough, right or false.
        false: Of these.
        seconds: Of each search.
    """

    objects: int = 0
    found: int = 0
    taken: int = 0
    false: int = 0
    seconds: list[float] = field(default_factory=list)

    def add(self, offered: Sequence[Candidate], wanted: Sequence[Region], passed: Sequence[Region]) -> None:
        """Counts one search.

        Args:
            offered: By the search.
            wanted: Objects that it should find.
            passed: Objects that are neither right nor false.
        """
        taken = [item.region for item in offered if item.likeness >= LIKENESS]
        right = [any(overlap(region, one) >= IOU for one in wanted) for region in taken]
        beside = [any(overlap(region, one) >= IOU for one in passed) for region in taken]
        self.objects += len(wanted)
        self.found += sum(any(overlap(region, one) >= IOU for region in taken) for one in wanted)
        self.taken += sum(a or not b for a, b in zip(right, beside, strict=True))
        self.false += sum(not (a or b) for a, b in zip(right, beside, strict=True))


def study(predictor: Predictor, cases: Iterable[Case]) -> dict[tuple[str, str, str], Found]:
    """What was found, by (modality, kind, way).

    Args:
        predictor: The model, with a cache.
        cases: Pictures with labels.
    """
    results: dict[tuple[str, str, str], Found] = {}
    for case in cases:
        by_kind = kinds(case)
        enough = [kind for kind, objects in by_kind.items() if len(objects) >= MINIMUM_OBJECTS]
        if not enough:
            continue
        started = time.perf_counter()
        everything = find_everything(predictor, case.image)
        seconds = time.perf_counter() - started
        for kind in enough:
            others, all_of_it = (results.setdefault((case.modality or "unknown", kind, way), Found()) for way in WAYS)
            *rest, example = _median_last(by_kind[kind])
            shown = Region.of(predictor.segment(case.image, [Prompt(box=box_from_mask(example.full()))]).mask(0))
            started = time.perf_counter()
            # an empty answer is no example: then nothing is found
            offered = find_similar(predictor, case.image, [shown]) if shown.area_px else []
            others.seconds.append(time.perf_counter() - started)
            others.add(offered, rest, [example])
            all_of_it.seconds.append(seconds)
            elsewhere = [one for name, objects in by_kind.items() if name != kind for one in objects]
            all_of_it.add(everything, by_kind[kind], elsewhere)
    return results


def _median_last(objects: Sequence[Region]) -> list[Region]:
    """The objects by area, the median one moved to the end."""
    ordered = sorted(objects, key=lambda one: one.area_px)
    ordered.append(ordered.pop(len(ordered) // 2))
    return ordered


def main(arguments: Sequence[str]) -> None:
    """Prints the table."""
    if not arguments:
        sys.exit("usage: python -m lite_medsam.evaluation.candidate_study phantoms | CASE.npz ...")
    cases: Iterable[Case]
    if list(arguments) == ["phantoms"]:
        cases = (make_phantom(kind, seed) for kind in _PHANTOMS for seed in _SEEDS)
    else:
        cases = map(load_case, arguments)
    predictor = Predictor.open(threads=1, cache=EncodingCache())
    results = study(predictor, (case for case in cases if not case.is_volume and case.label is not None))
    print(f"{'':44s}" + "".join(f"{way:>24s}" for way in WAYS))
    print(f"{'modality':12s}{'kind':16s}{'pictures':>8s}{'objects':>8s}" + f"{'found':>8s}{'false':>8s}{'s':>8s}" * 2)
    for modality, kind in dict.fromkeys((modality, kind) for modality, kind, _ in results):
        ways = [results[modality, kind, way] for way in WAYS]
        row = "".join(
            f"{of.found / max(1, of.objects):8.2f}{of.false / of.taken if of.taken else np.nan:8.2f}"
            f"{np.mean(of.seconds) if of.seconds else np.nan:8.1f}"
            for of in ways
        )
        print(f"{modality:12s}{kind:16s}{len(ways[0].seconds):8d}{ways[1].objects:8d}{row}")


if __name__ == "__main__":
    main(sys.argv[1:])
