"""What a session knows: objects, what was said about each on each slice, and the masks that it led to."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from lite_medsam.errors import PromptError
from lite_medsam.prompts.class_list import ObjectClass
from lite_medsam.segment.region import Region
from lite_medsam.session.answer import Answer, ModelInput, Source
from lite_medsam.session.lengths import Length
from lite_medsam.volumes.prediction import Ending

MAX_NAME = 60


@dataclass(frozen=True, eq=False)
class ObjectState:
    """One object: its name, and what is known of it by slice (slice 0 of a picture).

    Attributes:
        id: Never used twice in a session.
        name: What outputs call it.
        answers: Slices that the user has said something about.
        followed: Masks that propagation found on other slices.
        scores: The model's estimate for the followed ones.
        target: What it is, as `Prompt.target`; None: not said.
        ended: Where following it ended and why, towards slice 0 and towards the last; () where it was not followed.
        number: What people and files call it, from 1; its colour follows it. It stays when others go, and no later object
            has it.
        hidden: Whether it is left out of what is shown; it is in all that is saved.
        locked: Whether nothing but unlocking changes it.
        followed_with: What the model was asked with for the followed masks.
        followed_from: The `answers` that they come from: others by now, where the user has said more since.
        weak: Why followed slices need a look, by slice.
        label: Its class, one of `Snapshot.classes`; None: not said.
        planes: What was said on pictures across rows (axis 1) or columns (axis 2), by axis and index; its masks are part of
            `followed`.
    """

    id: int
    name: str
    answers: dict[int, Answer] = field(default_factory=dict)
    followed: dict[int, Region] = field(default_factory=dict)
    scores: dict[int, float] = field(default_factory=dict)
    target: str | None = None
    ended: tuple[Ending, ...] = ()
    number: int = 1
    hidden: bool = False
    locked: bool = False
    followed_with: Source | None = None
    followed_from: dict[int, Answer] | None = None
    weak: dict[int, str] = field(default_factory=dict)
    label: str | None = None
    planes: dict[tuple[int, int], Answer] = field(default_factory=dict)

    def region(self, index: int) -> Region | None:
        """The mask on a slice, None where there is none."""
        if index in self.answers:
            return self.answers[index].region
        return self.followed.get(index)

    def target_among(self, known: Sequence[str]) -> str | None:
        """What a model that knows these names is told: the target, None where the model does not know it."""
        return self.target if self.target in known else None

    @property
    def is_settled(self) -> bool:
        """Whether the user has settled a mask, with at least one pixel, on some slice or on a picture of another plane."""
        return any(answer.region.area_px for answer in (*self.answers.values(), *self.planes.values()))

    def regions(self) -> dict[int, Region]:
        """Every slice that has a mask with at least one pixel."""
        both = self.followed | {index: answer.region for index, answer in self.answers.items()}
        return {index: region for index, region in sorted(both.items()) if region.area_px}


@dataclass(frozen=True)
class Snapshot:
    """All that undo brings back.

    Attributes:
        objects: In the order in which they came.
        selected: Id of the one that tools work on.
        next_number: Of the next object: above that of any object there was.
        given: What the model is asked with; None before there is a model.
        classes: The class list, () where there is none.
        current: The class of new objects, None for none.
        lengths: What was measured with ruler and caliper.
    """

    objects: tuple[ObjectState, ...] = ()
    selected: int | None = None
    next_number: int = 1
    given: ModelInput | None = None
    classes: tuple[ObjectClass, ...] = ()
    current: str | None = None
    lengths: tuple[Length, ...] = ()

    def find(self, object_id: int | None) -> ObjectState:
        """The object of this id, by default the selected one.

        Raises:
            PromptError: If there is none.
        """
        wanted = self.selected if object_id is None else object_id
        for item in self.objects:
            if item.id == wanted:
                return item
        if not self.objects:
            raise PromptError("there is no object yet; draw a box or click on one first")
        raise PromptError("an object must be one of the list, got one that is not there any more; select another")

    def with_object(self, item: ObjectState) -> "Snapshot":
        """The object in place of the one with its id, or at the end; selected."""
        if any(old.id == item.id for old in self.objects):
            objects = tuple(item if old.id == item.id else old for old in self.objects)
        else:
            objects = (*self.objects, item)
        following = max(self.next_number, item.number + 1)
        return replace(self, objects=objects, selected=item.id, next_number=following)


def usual_name(number: int, label: str | None, modality: str | None) -> str:
    """What an object is called that nobody has named."""
    return f"{label or ('fluid' if modality == 'OCT' else 'object')} {number}"


def checked_name(name: str) -> str:
    """A name on one line, without blanks at its ends.

    Raises:
        PromptError: If nothing is left, or it is too long.
    """
    cleaned = " ".join(str(name).split())
    if not cleaned or len(cleaned) > MAX_NAME or not cleaned.isprintable():
        raise PromptError(f"a name must be 1 to {MAX_NAME} characters, got {len(cleaned)}")
    return cleaned
