"""Three people's whole paths through the page, timed: `pytest -m slow -s tests/demo/test_journeys.py` prints seconds and gestures.

The seconds are those of the machine: a hand and an eye need theirs on top, for each gesture.
"""

import io
import time
from contextlib import contextmanager

import numpy as np
import pytest

pytest.importorskip("gradio")
pytest.importorskip("playwright.sync_api")

from demo_desk import mask_of
from demo_server import running
from editor import Editor, chromium, iou

from lite_medsam.cases.case import save_case
from lite_medsam.evaluation.metrics.region import dice
from lite_medsam.phantoms import make_phantom, make_phantom_volume

pytestmark = pytest.mark.slow


class Hand:
    """Counts what a person does, and what the machine takes for it."""

    def __init__(self, editor):
        self.editor, self.gestures, self.started = editor, 0, time.perf_counter()

    def __getattr__(self, name):
        self.gestures += 1
        return getattr(self.editor, name)

    def key(self, key):
        self.gestures += 1
        self.editor.page.locator("#lm-canvas").focus()
        self.editor.page.keyboard.press(key)
        self.editor.settle()

    def report(self, what):
        print(f"\n{what}: {self.gestures} gestures, {time.perf_counter() - self.started:.1f} s of the machine")


@pytest.fixture(scope="module")
def page():
    with running() as (url, _), chromium() as browser:

        @contextmanager
        def visit():
            tab = browser.new_page(viewport={"width": 1366, "height": 768})
            try:
                editor = Editor(tab, url)
                yield editor
                assert not editor.errors
            finally:
                tab.close()

        yield visit


def file_of(case, folder):
    path = folder / f"{case.name}.npz"
    save_case(path, case)
    return path.name, path.read_bytes()


def box_of(mask):
    ys, xs = np.nonzero(mask)
    return (int(xs.min()), int(ys.min())), (int(xs.max()), int(ys.max()))


def follow(hand):
    hand.editor.page.click("#lm-follow")
    hand.gestures += 1
    hand.editor.page.wait_for_function("document.querySelector('#lm-follow').disabled", timeout=60_000)
    hand.editor.page.wait_for_function("!document.querySelector('#lm-follow').disabled", timeout=300_000)
    hand.editor.settle()


def test_an_oct_file_to_fluid_in_square_micrometres(page, tmp_path):
    case = make_phantom("oct-cme", 4)
    sizes = np.bincount(case.label.ravel())
    cysts = [int(value) for value in np.argsort(sizes[1:])[::-1][:3] + 1]
    truth_um2 = sum(sizes[value] for value in cysts) * float(np.prod(case.spacing_mm)) * 1e6
    with page() as editor:
        hand = Hand(editor)
        hand.upload(*file_of(case, tmp_path))
        for value in cysts:
            editor.page.keyboard.down("Shift")  # they touch: from the border of another one's box
            hand.drag(*box_of(case.label == value))
            editor.page.keyboard.up("Shift")
            editor.page.fill("#lm-target", "retinal lesion or fluid")
            hand.key("Tab")
            editor.settle()
        rows = dict(editor.view()["summary"])
        hand.report("OCT file to fluid")
        number, unit = rows["fluid area"].split(" ")[:2]
        found_um2 = float(number.replace(",", "")) * {"µm²": 1, "mm²": 1e6}[unit]
        assert int(rows["fluid regions"]) >= 3
        assert found_um2 == pytest.approx(truth_um2, rel=0.35)


def test_twenty_nuclei(page, tmp_path):
    case = make_phantom("microscopy", 1)
    truths = [case.label == value for value in np.unique(case.label)[1:]]
    first = sorted(truths, key=np.count_nonzero)[len(truths) // 2]
    with page() as editor:
        hand = Hand(editor)
        hand.upload(*file_of(case, tmp_path))
        hand.drag(*box_of(first))
        hand.key("j")
        editor.page.wait_for_selector("#lm-accept:not([disabled])", timeout=120_000)
        editor.settle()
        editor.page.click("#lm-accept")
        hand.gestures += 1
        editor.settle()
        hand.report("twenty nuclei")
        right = [
            max(iou(mask_of(item, case.label.shape), truth) for truth in truths) > 0.5 for item in editor.objects()
        ]
        print(f"{sum(right)} of {len(truths)} nuclei, {len(right) - sum(right)} others")
        assert sum(right) >= 20 and np.mean(right) > 0.8


def test_an_organ_through_144_slices_with_a_correction(page, tmp_path):
    case = make_phantom_volume("ct", 0, (144, 192, 192))
    organ = next(value for value, name in case.label_names.items() if name == "right kidney")
    truth = case.label == organ
    held = np.flatnonzero(truth.any((1, 2)))
    middle = int(held[np.argmax(truth[held].sum((1, 2)))])
    with page() as editor:
        hand = Hand(editor)
        hand.upload(*file_of(case, tmp_path))
        for z in (middle, int(held[len(held) // 5])):
            editor.page.evaluate(
                "(z) => { const s = document.querySelector('#lm-slice'); s.value = z; s.dispatchEvent(new Event('input')); }",
                z,
            )
            hand.gestures += 1
            editor.settle()
            hand.drag(*box_of(truth[z]))
            follow(hand)
        hand.report("an organ through 144 slices")
        with np.load(io.BytesIO(editor.download("npz", tmp_path).read_bytes()), allow_pickle=False) as saved:
            labels = saved["segs"] if "segs" in saved else saved["gts"]
        assert len(editor.objects()) == 1
        print(f"Dice {dice(truth, labels > 0):.3f}")
        assert dice(truth, labels > 0) > 0.6
