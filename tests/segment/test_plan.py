"""The plan of an image: what it says is what is done, and its masks are those of a plain loop, object by object."""

import numpy as np
import pytest
from fakes import FakeBackend

from lite_medsam.model.encoding_cache import EncodingCache
from lite_medsam.model.preprocessing import Frame, logits_to_window, to_model
from lite_medsam.model.prompt_tokens import decoder_inputs
from lite_medsam.model.spec import Zoom
from lite_medsam.prompts.prompt_set import Prompt
from lite_medsam.segment.checks import checked_prompts
from lite_medsam.segment.plan import plan_frames, plan_one_view, plan_second_look, plan_views
from lite_medsam.segment.predictor import Predictor
from lite_medsam.segment.zoom import anchor_box, found_box, zoom_frame

SIDE = 480


class Bright(FakeBackend):
    """Finds what is bright around a prompt, in the features: they have to be those of the right view.

    A second, coarser feature holds the number of the view, counted over all that were encoded; `asked` has one for each
    prompt that was decoded.
    """

    def __init__(self, size: int = 96, **options):
        super().__init__(size, targets=("a", "b"), **options)
        self.count, self.asked = 0, []

    def encode(self, pixels):
        (shown,) = super().encode(pixels)
        numbers = np.arange(self.count, self.count + len(pixels), dtype=np.float32)
        self.count += len(pixels)
        return shown, np.tile(numbers[:, None, None, None], (1, 1, self.size // 4, self.size // 4))

    def decode(self, features, coords, labels, previous, has_previous):
        logits, scores = super().decode(features, coords, labels, previous, has_previous)
        shown, numbers = (np.repeat(f, len(coords) // len(f), axis=0) for f in features)
        self.asked += numbers[:, 0, 0, 0].astype(int).tolist()
        return np.minimum(logits, 8 * shown) - previous / 100, scores - has_previous[:, None] / 10

    def _shape(self, coords, labels):
        if (labels < 0).all():  # a mask alone
            return np.full((self.size, self.size), 5.0)
        return super()._shape(coords, labels)


def picture():
    """Noise with bright squares of 8 to 20 pixels, and a large one; returns the squares' boxes as well."""
    rng = np.random.default_rng(5)
    image = rng.integers(0, 60, (SIDE, SIDE), np.uint8)
    boxes = []
    for y in range(10, 450, 55):
        for x in range(10, 450, 55):
            side = int(rng.integers(8, 20))
            image[y : y + side, x : x + side] = 200
            boxes.append((x - 2, y - 2, x + side + 1, y + side + 1))
    return image, boxes


IMAGE, BOXES = picture()


def click(box, **more):
    return Prompt(points=[[(box[0] + box[2]) / 2, (box[1] + box[3]) / 2]], point_labels=[1], **more)


def mask_of(box):
    mask = np.zeros((SIDE, SIDE), bool)
    mask[box[1] : box[3] + 1, box[0] : box[2] + 1] = True
    return mask


PROMPTS = {
    "one box": [Prompt(box=BOXES[3])],
    "a few boxes": [Prompt(box=box) for box in BOXES[:5]],
    "large and small": [Prompt(box=(5, 5, 470, 470)), Prompt(box=BOXES[9]), Prompt(box=(20, 20, 300, 260))],
    "many nuclei": [Prompt(box=box) for box in BOXES],
    "clicks": [click(box) for box in BOXES[:20:6]],
    "many clicks": [click(box) for box in BOXES[::2]],
    "clicks here and not there": [
        Prompt(points=[[17, 17], [200, 200]], point_labels=[1, 0]),
        Prompt(points=[[70, 16], [72, 20], [400, 30], [5, 5]], point_labels=[1, 1, 0, 0]),
    ],
    "box and click": [Prompt(box=BOXES[7], points=[[400, 14]], point_labels=[0]), Prompt(box=BOXES[8])],
    "previous masks": [
        Prompt(mask=mask_of(BOXES[4])),
        click(BOXES[5], mask=mask_of(BOXES[5])),
        Prompt(box=BOXES[6], mask=np.where(mask_of(BOXES[6]), 3, -2).astype(np.float32)),
    ],
    "final among others": [click(BOXES[0]), Prompt(mask=mask_of(BOXES[30]), final=True), Prompt(box=BOXES[1])],
    "a mixture of many": [
        *(Prompt(box=box) for box in BOXES[::3]),
        *(click(box) for box in BOXES[1::5]),
        *(Prompt(box=box, target="b" if n % 2 else None) for n, box in enumerate(BOXES[2::9])),
        Prompt(mask=mask_of(BOXES[30]), final=True),
        Prompt(box=(30, 30, 400, 420)),
    ],
    "nothing": [],
}


def plain_loop(backend, prompts, mode):
    """The masks and windows of the prompts one after the other: each has its view encoded anew, and is decoded alone.

    Only which crops are shared is taken from the code under test.
    """
    spec, hw = backend.spec, IMAGE.shape
    zooms = mode != "off" and spec.zoom.enabled
    whole = Frame.for_model(hw, spec.preprocessing)

    def answer(prompt, frame):
        features = backend.encode(to_model(IMAGE, frame, spec.preprocessing)[None])
        inputs = decoder_inputs([prompt], [frame], frame.size, spec.preprocessing.mask_size, spec.targets)
        coords, labels, previous, has_previous = inputs
        logits, scores = backend.decode(features, coords, labels, previous, has_previous)
        mask = np.zeros(hw, bool)
        mask[frame.window] = logits_to_window(logits[0, 0], frame) > spec.mask_threshold
        return mask, scores[0, 0]

    def frames_of(boxes):
        return plan_frames(boxes, hw, spec.zoom, spec.preprocessing, share=mode == "auto")

    boxes = [anchor_box(prompt) if zooms and not prompt.final else None for prompt in prompts]
    frames = frames_of(boxes)
    found = [
        (prompt.mask > 0, np.nan) if prompt.final else answer(prompt, frame)
        for prompt, frame in zip(prompts, frames, strict=True)
    ]
    gain = spec.zoom.chain_gain if mode == "auto" else spec.zoom.minimum_gain
    again = {}
    for i, prompt in enumerate(prompts):
        if zooms and prompt.box is None and prompt.mask is None and found[i][0].any():
            box = found_box(((slice(0, SIDE), slice(0, SIDE)), found[i][0]), prompt)
            crop = zoom_frame(box, hw, spec.zoom, whole.size)
            if crop is not None and SIDE / max(crop.width, crop.height) >= gain:
                again[i] = box
    for i, frame in zip(again, frames_of(list(again.values())), strict=True):
        frames[i], found[i] = frame, answer(prompts[i], frame)
    return found, frames


@pytest.mark.parametrize("mode", ["auto", "always", "off"])
@pytest.mark.parametrize("name", PROMPTS)
def test_masks_are_those_of_a_plain_loop(name, mode):
    prompts = checked_prompts(PROMPTS[name], IMAGE.shape, Bright().spec)
    expected, frames = plain_loop(Bright(), prompts, mode)
    for cache in (None, EncodingCache()):
        prediction = Predictor(Bright(), mode, cache).segment(IMAGE, PROMPTS[name])
        assert list(prediction.frames) == frames
        for i, (mask, score) in enumerate(expected):
            np.testing.assert_array_equal(prediction.mask(i), mask)
            np.testing.assert_array_equal(prediction.scores[i], np.float32(score))
    assert name in ("nothing", "final among others") or any(mask.any() for mask, _ in expected)


def test_what_the_plain_loop_is_compared_on_has_shared_crops_and_second_looks():
    backend = Bright()
    for name in ("many nuclei", "a mixture of many"):
        prompts = checked_prompts(PROMPTS[name], IMAGE.shape, backend.spec)
        plan = plan_views(prompts, IMAGE.shape, backend.spec, "auto")
        assert max(len(view.objects) for view in plan.views) > 3 and len(plan.views) < len(prompts) / 2
    for name in ("clicks", "many clicks"):
        closer = Predictor(Bright()).segment(IMAGE, PROMPTS[name]).frames
        assert any(frame.width < SIDE / 2 for frame in closer)


@pytest.mark.parametrize("mode", ["auto", "always", "off"])
@pytest.mark.parametrize("name", PROMPTS)
def test_the_plan_is_what_is_done(name, mode):
    backend, spec = Bright(), Bright().spec
    prompts = checked_prompts(PROMPTS[name], IMAGE.shape, spec)
    prediction = Predictor(backend, mode).segment(IMAGE, prompts)

    plan = plan_views(prompts, IMAGE.shape, spec, mode)
    logits = np.zeros((len(prompts), 96, 96), np.float32)
    other = Predictor(Bright(), mode)
    for i, prompt in enumerate(prompts):
        if prompt.box is None and prompt.mask is None:
            logits[i] = other.decode(other.encode(IMAGE, plan.frames[i]), [prompt]).logits[0]
    closer = plan_second_look(plan, logits, spec, mode)
    views = plan.views + (closer.views if closer else ())

    # each view is encoded once, in the order of the plan
    encoded = [pixels for batch in backend.encoded for pixels in batch]
    for pixels, view in zip(encoded, views, strict=True):
        np.testing.assert_array_equal(pixels, to_model(IMAGE, view.frame, spec.preprocessing))
    # each object that asks something is in one view of the plan, and as many are decoded from a view as it has
    members = [view.objects for view in views]
    assert sorted(i for view in plan.views for i in view.objects) == [
        i for i, prompt in enumerate(prompts) if not prompt.final
    ]
    assert backend.asked == [number for number, inside in enumerate(members) for _ in inside]
    assert prediction.frames == (closer or plan).frames


def test_a_view_of_many_objects_lists_them_once():
    spec = Bright().spec
    prompts = checked_prompts(PROMPTS["many nuclei"], IMAGE.shape, spec)
    plan = plan_views(prompts, IMAGE.shape, spec, "auto")
    assert len({view.frame for view in plan.views}) == len(plan.views)
    for view in plan.views:
        assert all(plan.frames[i] == view.frame for i in view.objects)


def test_one_view_keeps_a_final_mask_whole():
    spec = Bright().spec
    prompts = checked_prompts(PROMPTS["final among others"], IMAGE.shape, spec)
    crop = Frame(0, 0, 100, 100, 96)
    plan = plan_one_view(prompts, crop, IMAGE.shape, spec)
    assert plan.views[0].objects == (0, 2) and plan.frames == (crop, Frame.whole(IMAGE.shape, 96), crop)


def test_no_second_look_without_crops():
    spec = Bright(zoom=Zoom(enabled=False)).spec
    plan = plan_views([click(BOXES[0])], IMAGE.shape, spec, "auto")
    full = np.ones((1, 96, 96), np.float32)
    assert plan.views[0].frame.width == SIDE
    assert plan_second_look(plan, full, spec, "auto") is None
    assert plan_second_look(plan, full, Bright().spec, "off") is None
    # what fills the image is not looked at again either
    assert plan_second_look(plan, full, Bright().spec, "auto") is None
