"""How the answer depends on the prompt: boxes that are moved, and clicks until it is good enough."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lite_medsam.cases.case import Case
from lite_medsam.evaluation.metrics import dice, iou, surface_dice
from lite_medsam.prompts.first_prompts import simulate_prompts
from lite_medsam.prompts.prompt_set import Protocol, rng_for
from lite_medsam.prompts.simulated_user import Segmenter, SimulatedUser

MOVED = (-0.2, -0.1, -0.05, 0.0, 0.05, 0.1, 0.2, 0.3)
SPREAD = (0.05, 0.1, 0.2)
CLICK_CURVE = (1, 3, 5, 10)
SURFACE_CLICK = 5  # surface Dice is told after as many clicks as the protocols `clicks` and `box+clicks` have
MAX_CLICKS = 20
GOALS = (0.8, 0.9)


def moved_protocols(base: Protocol) -> dict[str, Protocol]:
    """The base protocol with other boxes, by name.

    "moved +10 %" moves every side outwards by a tenth of the box's width or height; "within 10 %" moves each side by a draw of
    its own between a tenth inwards and a tenth outwards. The draws are those of the base protocol's seed.
    """
    found = {f"moved {move:+.0%}".replace("%", " %"): (move, move) for move in MOVED}
    found |= {f"within {spread:.0%}".replace("%", " %"): (-spread, spread) for spread in SPREAD}
    return {name: replace(base, name=f"{base.name}, {name}", jitter=jitter) for name, jitter in found.items()}


@dataclass(frozen=True)
class State:
    """One object after some clicks.

    Attributes:
        dice: Of the mask so far.
        iou: Of the mask so far.
        score: The segmenter's estimate of it.
    """

    dice: float
    iou: float
    score: float


@dataclass(frozen=True)
class ClickRun:
    """One object clicked on until it was good enough or the clicks were used up.

    Attributes:
        label: Its value in the label map.
        states: By number of clicks, from `first`; shorter than the limit where the goal was reached or no error was left.
        first: Clicks in the first prompt: 1 for clicks alone, 0 where a box came first.
        surface_dice: After SURFACE_CLICK clicks.
    """

    label: int
    states: tuple[State, ...]
    first: int
    surface_dice: float

    def after(self, clicks: int) -> State:
        """The state after so many clicks; the last one where fewer were needed."""
        return self.states[min(clicks - self.first, len(self.states) - 1)]

    def clicks_to(self, goal: float, measure: str = "iou", limit: int = MAX_CLICKS) -> int | None:
        """The number of clicks (NoC) after which `measure` was at least `goal` for the first time; None for never."""
        for place, state in enumerate(self.states):
            if getattr(state, measure) >= goal and self.first + place <= limit:
                return self.first + place
        return None


def run_clicks(
    segmenter: Segmenter, case: Case, protocol: Protocol, least: int, tolerance_px: float = 2.0
) -> list[ClickRun]:
    """Clicks on every object of an image as a protocol says, in the middle of the largest error each time.

    The first clicks are those that `evaluation.evaluate` gives with a protocol of the same seed. An object that has reached
    the highest goal gets no more clicks after `least` of them.

    Args:
        segmenter: Gets all objects at once.
        case: A labelled picture.
        protocol: Of kind "clicks" or "box+clicks".
        least: Clicks that every object gets while it has an error, for the curve.
        tolerance_px: Of surface Dice.
    """
    objects = simulate_prompts(case.truth, protocol, case.name).objects
    if not objects:
        return []
    truths = [case.truth == label for label, _ in objects]
    rngs = [rng_for(protocol, f"{case.name}/clicks", label) for label, _ in objects]
    user = SimulatedUser(segmenter, case.image, [prompt for _, prompt in objects])
    first = 0 if protocol.kind == "box+clicks" else 1
    states: list[list[State]] = [[] for _ in objects]
    surface = [float("nan")] * len(objects)
    open_ones = list(range(len(objects)))
    for click in range(first, protocol.clicks + 1):
        if click > first:
            # who is given its own mask for the truth has no error and is left alone
            user.correct([truths[i] if i in open_ones else user.masks[i] for i in range(len(objects))], rngs)
        for i in open_ones:
            states[i].append(State(dice(truths[i], user.masks[i]), iou(truths[i], user.masks[i]), user.scores[i]))
        if click == SURFACE_CLICK:
            surface = [surface_dice(t, m, tolerance_px) for t, m in zip(truths, user.masks, strict=True)]
        open_ones = [i for i in open_ones if not _finished(states[i][-1], click, least)]
        if not open_ones and click >= SURFACE_CLICK:
            break
    return [
        ClickRun(label, tuple(mine), first, distance)
        for (label, _), mine, distance in zip(objects, states, surface, strict=True)
    ]


def _finished(state: State, click: int, least: int) -> bool:
    return state.iou == 1 or (click >= least and state.iou >= max(GOALS))


def click_columns(run: ClickRun, most: int) -> dict[str, float]:
    """A run as the columns of a row: dice_<k>, surface_dice, and noc_<goal> with the share that never got there.

    Args:
        run: One object.
        most: Clicks of the protocol; NoC is told only where it is MAX_CLICKS.
    """
    columns = {f"dice_{k}": run.after(k).dice for k in clicks_shown(run.first, most)}
    columns |= {"dice": run.after(most).dice, "surface_dice": run.surface_dice}
    if most >= MAX_CLICKS:
        for measure in ("iou", "dice"):
            for goal in GOALS:
                needed = run.clicks_to(goal, measure)
                columns[f"noc_{measure}_{goal:.0%}"] = MAX_CLICKS if needed is None else needed
                columns[f"never_{measure}_{goal:.0%}"] = float(needed is None)
    return columns


def clicks_shown(first: int, most: int) -> Sequence[int]:
    """The numbers of clicks of the curve that a protocol reaches."""
    return [k for k in ((0, *CLICK_CURVE) if first == 0 else CLICK_CURVE) if k <= most]


def states_for_calibration(run: ClickRun) -> list[State]:
    """The states of the curve whose score is known."""
    return [run.after(k) for k in CLICK_CURVE if np.isfinite(run.after(k).score)]
