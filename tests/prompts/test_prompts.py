"""Prompts: their checks, their files, and simulated users."""

import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from lite_medsam.errors import PromptError
from lite_medsam.prompts.first_prompts import simulate_prompts
from lite_medsam.prompts.prompt_set import (
    PROMPTS_DIR,
    Prompt,
    Protocol,
    as_prompts,
    box_from_mask,
    load_prompts,
    load_protocol,
    next_click,
    rng_for,
    save_prompts,
    simulate_box,
    validate,
)

HW = (40, 60)


def disc(shape, x, y, radius):
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


# --- one prompt against an image ---


@pytest.mark.parametrize(
    ("box", "cut"),
    [
        ((1.25, 2.5, 30.75, 20.125), (1.25, 2.5, 30.75, 20.125)),
        ((-5, -5, 100, 100), (0, 0, 59, 39)),
        ((3, 4, 3, 4), (3, 4, 3, 4)),
        ((59, 39, 80, 80), (59, 39, 59, 39)),
        ((59.4, 39.4, 80, 80), (59, 39, 59, 39)),
        ((-9, -9, -0.4, -0.4), (0, 0, 0, 0)),
    ],
)
def test_boxes_keep_fractions_and_are_cut_to_the_image(box, cut):
    assert validate(Prompt(box=box), HW).box == cut


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"box": (10, 2, 5, 8)}, "with x0 <= x1 and y0 <= y1, got 10, 2, 5, 8; swap its corners"),
        ({"box": (1, 9, 5, 8)}, "swap its corners"),
        ({"box": (1, 2, float("nan"), 8)}, "box must be finite numbers"),
        ({"box": (1, 2, float("inf"), 8)}, "box must be finite numbers"),
        ({"box": (60, 2, 70, 8)}, "box must overlap the image, got 60, 2, 70, 8; the image is 60 x 40"),
        ({"box": (1, -9, 5, -1)}, "box must overlap the image"),
        ({"points": [[60, 2]], "point_labels": [1]}, "points must lie inside the image, got x=60 y=2"),
        ({"points": [[3, 3], [3, -1]], "point_labels": [1, 0]}, "got x=3 y=-1; the image is 60 x 40"),
        ({"points": [[np.nan, 2]], "point_labels": [1]}, "points must be finite"),
        ({"points": [[1e300, 2]], "point_labels": [1]}, "points must be finite"),
        ({"mask": np.ones((40, 61), bool)}, "mask must have the image's shape (40, 60), got (40, 61)"),
        ({"mask": np.zeros((40, 60), bool)}, "got an empty mask"),
        ({"points": [[1, 1]], "point_labels": [0]}, "got only background points"),
        ({}, "got nothing"),
    ],
)
def test_what_does_not_fit_the_image(fields, message):
    with pytest.raises(PromptError) as caught:
        validate(Prompt(**fields), HW)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"box": (1, 2, 3)}, "box must be four numbers x0 y0 x1 y1, got shape (3,)"),
        ({"box": "1,2,3,4"}, "box must be numbers"),
        ({"box": (1, 2, 3, None)}, "box must be numbers"),
        (
            {"points": [1, 2], "point_labels": [1]},
            "points must be (K, 2) as x y, got shape (2,); wrap a single point",
        ),
        ({"points": [[1, 2], [3]], "point_labels": [1, 1]}, "points must be numbers"),
        ({"points": [[1, 2]]}, "point_labels must be one number a point, got shape (0,) for 1 points"),
        (
            {"points": [[1, 2]], "point_labels": [2]},
            "point_labels must be 1 (object) or 0 (background), got [2.0]",
        ),
        ({"points": [[1, 2]], "point_labels": [0.5]}, "point_labels must be 1 (object) or 0 (background)"),
        ({"mask": np.zeros(3)}, "mask must be (H, W), got shape (3,)"),
        ({"mask": np.full((2, 2), np.nan)}, "mask must be bool or finite float32 logits"),
        ({"mask": np.array([["a"]])}, "mask must be bool or finite float32 logits"),
        ({"name": ""}, "name must be a text of 1 to 200 characters"),
        ({"name": 3}, "name must be a text"),
    ],
)
def test_what_is_no_prompt(fields, message):
    with pytest.raises(PromptError) as caught:
        Prompt(**fields)
    assert message in str(caught.value)


def test_a_prompt_brings_its_fields_into_one_form():
    prompt = Prompt(
        box=np.float32([1, 2, 3, 4]),
        points=[(1, 2)],
        point_labels=[True],
        mask=np.eye(3, dtype=np.uint8) * 255,
    )
    assert prompt.box == (1.0, 2.0, 3.0, 4.0)
    assert isinstance(prompt.box[0], float)
    assert (prompt.points.dtype, prompt.point_labels.dtype, prompt.mask.dtype) == (np.float32, np.int64, bool)
    assert Prompt(mask=np.full((2, 2), -3.5)).mask.dtype == np.float32
    empty = Prompt(box=(1, 2, 3, 4), points=[], point_labels=[])
    assert empty.points.shape == (0, 2)


def test_clicks_on_the_outermost_half_pixel_count():
    prompt = validate(Prompt(points=[[-0.5, 39.4], [59.4, 0]], point_labels=[1, 0]), HW)
    assert prompt.points.tolist() == [[0, 39], [59, 0]]


@given(
    box=st.tuples(*[st.floats(-200, 200)] * 4),
    hw=st.tuples(st.integers(1, 90), st.integers(1, 90)),
)
@settings(max_examples=60, deadline=None)
def test_a_valid_box_lies_in_the_image_and_is_cut_only_once(box, hw):
    try:
        cut = validate(Prompt(box=box), hw)
    except PromptError:
        x0, y0, x1, y1 = box
        assert x0 > x1 or y0 > y1 or min(x1, y1) < -0.5 or x0 >= hw[1] - 0.5 or y0 >= hw[0] - 0.5
        return
    x0, y0, x1, y1 = cut.box
    assert 0 <= x0 <= x1 <= hw[1] - 1
    assert 0 <= y0 <= y1 <= hw[0] - 1
    assert validate(cut, hw).box == cut.box
    for side, before, length in zip(cut.box, box, [hw[1], hw[0]] * 2, strict=True):
        assert side == before or not 0 <= before <= length - 1


# --- lists of boxes ---


def test_boxes_become_prompts():
    boxes = [[1, 2, 3, 4.5], [5, 6, 7, 8]]
    for form in (boxes, np.array(boxes), np.array(boxes, np.float32), tuple(map(tuple, boxes)), iter(boxes)):
        assert [p.box for p in as_prompts(form)] == [tuple(map(float, b)) for b in boxes]
    prompt = Prompt(box=(0, 0, 1, 1))
    assert as_prompts(prompt) == [prompt]
    mixed = as_prompts([prompt, [1, 2, 3, 4]])
    assert mixed[0] is prompt
    assert mixed[1].box == (1, 2, 3, 4)
    assert as_prompts([]) == as_prompts(np.zeros((0, 4))) == []


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([1, 2, 3, 4], "got shape (4,); wrap a single box: [[x0, y0, x1, y1]]"),
        (np.zeros(4), "wrap a single box"),
        (np.zeros((2, 6)), "boxes must be (N, 4) as x0 y0 x1 y1, got shape (2, 6)"),
        (np.zeros((2, 1, 4)), "got shape (2, 1, 4)"),
        ([[1, 2, 3, 4], [1, 2]], "boxes must be numbers"),
        ("box", "boxes must be numbers"),
        (7, "got int"),
        (None, "got NoneType"),
        ([Prompt(box=(0, 0, 1, 1)), [1, 2]], "object 1: box must be four numbers"),
    ],
)
def test_what_is_no_list_of_boxes(boxes, message):
    with pytest.raises(PromptError) as caught:
        as_prompts(boxes)
    assert message in str(caught.value)


# --- prompt files ---

coordinates = st.floats(-1e9, 1e9)


@st.composite
def prompts(draw):
    points = draw(hnp.arrays(np.float32, (draw(st.integers(0, 4)), 2), elements=st.floats(-1e8, 1e8, width=32)))
    box = draw(st.none() | st.tuples(*[coordinates] * 4))
    assume(box is not None or len(points))
    labels = draw(hnp.arrays(np.int64, len(points), elements=st.integers(0, 1)))
    name = draw(st.none() | st.text(st.characters(codec="utf-8"), min_size=1, max_size=20))
    return Prompt(box=box, points=points, point_labels=labels, name=name)


@given(written=st.lists(prompts(), max_size=4))
@settings(max_examples=40, deadline=None)
def test_what_is_written_comes_back(written, tmp_path_factory):
    path = tmp_path_factory.mktemp("set") / "a.json"
    save_prompts(path, written)
    for a, b in zip(written, load_prompts(path), strict=True):
        assert (a.box, a.name) == (b.box, b.name)
        assert np.array_equal(a.points, b.points)
        assert np.array_equal(a.point_labels, b.point_labels)


def test_masks_are_files_beside_it(tmp_path):
    mask = disc((9, 11), 5, 4, 3)
    logits = np.where(mask, 2.5, -1).astype(np.float32)
    path = tmp_path / "new" / "läsion.json"
    save_prompts(path, [Prompt(box=(1, 2, 3, 4)), Prompt(mask=mask), Prompt(mask=logits)])
    assert sorted(p.name for p in path.parent.iterdir()) == [
        "läsion.json",
        "läsion_mask1.png",
        "läsion_mask2.tif",
    ]
    loaded = load_prompts(path)
    assert loaded[0].mask is None
    assert np.array_equal(loaded[1].mask, mask)
    assert loaded[2].mask.dtype == np.float32 and np.array_equal(loaded[2].mask, logits)


def test_logits_must_be_finite_numbers(tmp_path):
    path = tmp_path / "a.json"
    save_prompts(path, [Prompt(mask=np.full((4, 5), -1.5, np.float32))])
    assert (load_prompts(path)[0].mask == -1.5).all()
    tifffile.imwrite(tmp_path / "a_mask0.tif", np.full((4, 5), np.nan, np.float32))
    with pytest.raises(PromptError, match=r"objects\[0\].mask must hold finite logits"):
        load_prompts(path)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "I;16"])
def test_masks_in_any_kind_of_image(tmp_path, mode):
    values = np.array([[0, 1], [3, 0]], np.uint16 if mode == "I;16" else np.uint8)
    image = Image.fromarray(values)
    (image if mode == "I;16" else image.convert(mode)).save(tmp_path / "m.png")
    (tmp_path / "a.json").write_text('{"version": 1, "objects": [{"mask": "m.png"}]}')
    assert load_prompts(tmp_path / "a.json")[0].mask.tolist() == [[False, True], [True, False]]


@pytest.mark.parametrize(
    "prompt", [Prompt(), Prompt(name="x"), Prompt(box=(0, 0, np.inf, 1)), Prompt(box=(0, 0, 1e10, 1))]
)
def test_what_can_not_be_written_leaves_nothing(tmp_path, prompt):
    with pytest.raises(PromptError, match=r"objects\[1\] must have"):
        save_prompts(tmp_path / "a.json", [Prompt(mask=np.eye(3, dtype=bool)), prompt])
    assert list(tmp_path.iterdir()) == []


# documents by what is wrong with them; the schema and the code must both refuse or both accept
BOX = [1, 2.5, 30, 40]
VALID_SETS = [
    {"version": 1, "objects": []},
    {"version": 1.0, "objects": [{"box": BOX}], "description": "two words"},
    {"version": 1, "objects": [{"name": "a", "box": BOX, "points": [[1, 2, 1], [3.5, 4, 0]]}]},
    {"version": 1, "objects": [{"points": [[1, 2, 1.0]]}, {"points": []}]},
    {"version": 1, "objects": [{"box": BOX, "final": False}]},
    {"version": 1, "objects": [{"box": BOX, "target": "optic cup"}]},
]
INVALID_SETS = [
    ([], "the file must be an object {...}, got an array of 0"),
    ({"objects": []}, "the file must have the key version"),
    ({"version": 1}, "the file must have the key objects"),
    ({"version": 2, "objects": []}, "version must be 1, got 2"),
    ({"version": True, "objects": []}, "version must be 1, got true"),
    ({"version": "1", "objects": []}, 'version must be 1, got "1"'),
    ({"version": 1, "objects": {}}, "objects must be an array [...], got an object of 0"),
    (
        {"version": 1, "objects": [], "boxes": []},
        'unknown key "boxes"; known keys are version, objects, description',
    ),
    ({"version": 1, "objects": [], "description": ""}, "description must be a text of 1 to 2000 characters"),
    ({"version": 1, "objects": [{"box": BOX}, 3]}, "objects[1] must be an object {...}, got 3"),
    ({"version": 1, "objects": [{}]}, "objects[0] must have a box, points, a line or a mask"),
    ({"version": 1, "objects": [{"name": "a"}]}, "objects[0] must have a box, points, a line or a mask"),
    ({"version": 1, "objects": [{"target": "a"}]}, "objects[0] must have a box, points, a line or a mask"),
    ({"version": 1, "objects": [{"box": BOX, "target": None}]}, "objects[0].target must be a text of 1 to 200"),
    ({"version": 1, "objects": [{"box": BOX, "target": ""}]}, "objects[0].target must be a text of 1 to 200"),
    ({"version": 1, "objects": [{"box": BOX, "target": "x" * 201}]}, "objects[0].target must be a text"),
    ({"version": 1, "objects": [{"bbox": BOX}]}, 'unknown key "objects[0].bbox"'),
    (
        {"version": 1, "objects": [{"box": BOX}] * 2 + [{"box": [1, "2", 3, 4]}]},
        'objects[2].box[1] must be a number, got "2"',
    ),
    (
        {"version": 1, "objects": [{"box": [1, 2, 3]}]},
        "objects[0].box must be an array of 4 values, got an array of 3",
    ),
    ({"version": 1, "objects": [{"box": None}]}, "objects[0].box must be an array of 4 values, got null"),
    ({"version": 1, "objects": [{"box": [1, True, 3, 4]}]}, "objects[0].box[1] must be a number, got true"),
    ({"version": 1, "objects": [{"box": [1, 2, 3, 1e10]}]}, "objects[0].box[3] must lie in -1e+09..1e+09"),
    (
        {"version": 1, "objects": [{"box": BOX, "name": 7}]},
        "objects[0].name must be a text of 1 to 200 characters, got 7",
    ),
    ({"version": 1, "objects": [{"box": BOX, "name": ""}]}, "objects[0].name must be a text"),
    ({"version": 1, "objects": [{"box": BOX, "name": "x" * 201}]}, "objects[0].name must be a text"),
    (
        {"version": 1, "objects": [{"points": [1, 2, 1]}]},
        "objects[0].points[0] must be an array of 3 values, got 1",
    ),
    ({"version": 1, "objects": [{"points": [[1, 2]]}]}, "objects[0].points[0] must be an array of 3 values"),
    (
        {"version": 1, "objects": [{"points": [[1, 2, 1], [1, 2, 2]]}]},
        "objects[0].points[1][2] must lie in 0..1, got 2",
    ),
    (
        {"version": 1, "objects": [{"points": [[1, 2, 0.5]]}]},
        "objects[0].points[0][2] must be a whole number, got 0.5",
    ),
    (
        {"version": 1, "objects": [{"points": [[1, 2, True]]}]},
        "objects[0].points[0][2] must be a whole number",
    ),
    (
        {"version": 1, "objects": [{"points": [[1, 2, 1]] * 10_001}]},
        "objects[0].points must have at most 10000 items",
    ),
    (
        {"version": 1, "objects": [{"box": BOX}] * 100_001},
        "objects must have at most 100000 items, got 100001",
    ),
    ({"version": 1, "objects": [{"mask": "a.png"}] * 1001}, "objects must have at most 1000 masks"),
    ({"version": 1, "objects": [{"box": BOX, "final": True}]}, "objects[0].final must be true or false"),
    ({"version": 1, "objects": [{"mask": "a.png", "final": 1}]}, "objects[0].final must be true or false"),
    ({"version": 1, "objects": [{"mask": ""}]}, "objects[0].mask must be a text of 1 to 1000 characters"),
    ({"version": 1, "objects": [{"mask": "/etc/a.png"}]}, "objects[0].mask must be a relative path"),
    ({"version": 1, "objects": [{"mask": "../a.png"}]}, "objects[0].mask must be a relative path"),
    ({"version": 1, "objects": [{"mask": "b/../../a.png"}]}, "objects[0].mask must be a relative path"),
    ({"version": 1, "objects": [{"mask": "C:a.png"}]}, "objects[0].mask must be a relative path"),
    ({"version": 1, "objects": [{"mask": "C:/a.png"}]}, "objects[0].mask must be a relative path"),
    ({"version": 1, "objects": [{"mask": "..\\a.png"}]}, "objects[0].mask must be a relative path"),
    ({"version": 1, "objects": [{"mask": "a\0.png"}]}, "objects[0].mask must be a relative path"),
]


@pytest.mark.parametrize(("document", "message"), INVALID_SETS, ids=[m for _, m in INVALID_SETS])
def test_errors_of_prompt_files_say_the_place(tmp_path, document, message):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(document))
    with pytest.raises(PromptError) as caught:
        load_prompts(path)
    assert f"{path}: {message}" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < len(str(path)) + 200


@pytest.mark.parametrize("document", VALID_SETS)
def test_valid_prompt_files(tmp_path, document):
    (tmp_path / "a.json").write_text(json.dumps(document), encoding="utf-8-sig")
    assert len(load_prompts(tmp_path / "a.json")) == len(document["objects"])


PROTOCOL = {"name": "p", "version": 1, "kind": "box", "seed": 0}
VALID_PROTOCOLS = [
    PROTOCOL,
    {
        **PROTOCOL,
        "jitter": [-0.49, 10],
        "clicks": 0,
        "max_objects": None,
        "min_area_px": 1.0,
        "description": "x",
    },
    {**PROTOCOL, "kind": "clicks", "clicks": 3},
    {**PROTOCOL, "kind": "box+clicks", "clicks": 1, "max_objects": 4},
]
INVALID_PROTOCOLS = [
    (3, "the file must be an object"),
    ({k: v for k, v in PROTOCOL.items() if k != "seed"}, "the file must have the key seed"),
    ({**PROTOCOL, "sigma": 1}, 'unknown key "sigma"'),
    ({**PROTOCOL, "name": ""}, "name must be a text of 1 to 60 characters"),
    ({**PROTOCOL, "version": 0}, "version must lie in 1..10000, got 0"),
    ({**PROTOCOL, "version": 1.5}, "version must be a whole number"),
    ({**PROTOCOL, "kind": "lasso"}, 'kind must be one of box, clicks, box+clicks, scribble, got "lasso"'),
    ({**PROTOCOL, "kind": None}, "kind must be a text"),
    ({**PROTOCOL, "jitter": 0.1}, "jitter must be an array of 2 values, got 0.1"),
    ({**PROTOCOL, "jitter": [-0.5, 0]}, "jitter[0] must lie in -0.49..10"),
    ({**PROTOCOL, "jitter": [0, 11]}, "jitter[1] must lie in -0.49..10"),
    ({**PROTOCOL, "clicks": 1}, "clicks must be 0 for kind box"),
    ({**PROTOCOL, "kind": "clicks"}, "at least 1 otherwise, got 0 for clicks"),
    ({**PROTOCOL, "kind": "box+clicks", "clicks": 0}, "at least 1 otherwise, got 0 for box+clicks"),
    ({**PROTOCOL, "max_objects": 0}, "max_objects must lie in 1..100000"),
    ({**PROTOCOL, "min_area_px": 0}, "min_area_px must lie in 1..1000000000"),
    ({**PROTOCOL, "seed": -1}, "seed must lie in 0"),
    ({**PROTOCOL, "seed": True}, "seed must be a whole number, got true"),
    ({**PROTOCOL, "description": 1}, "description must be a text"),
]


@pytest.mark.parametrize(("document", "message"), INVALID_PROTOCOLS, ids=[m for _, m in INVALID_PROTOCOLS])
def test_errors_of_protocol_files_say_the_place(tmp_path, document, message):
    (tmp_path / "a.json").write_text(json.dumps(document))
    with pytest.raises(PromptError) as caught:
        load_protocol(tmp_path / "a.json")
    assert str(caught.value).startswith(f"{tmp_path / 'a.json'}: ")
    assert message in str(caught.value)


def test_a_reversed_jitter_is_refused(tmp_path):
    # (JSON Schema can't compare two values, so this one is not among the shared examples)
    (tmp_path / "a.json").write_text(json.dumps({**PROTOCOL, "jitter": [0.2, 0.1]}))
    with pytest.raises(PromptError, match=r"a\.json: jitter must be \(low, high\)"):
        load_protocol(tmp_path / "a.json")


@pytest.mark.parametrize("kind", ["prompt-set", "protocol"])
def test_schemas_and_code_agree(tmp_path, kind):
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((PROMPTS_DIR / f"{kind}.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    checker = jsonschema.Draft202012Validator(schema)
    valid, invalid = {
        "prompt-set": (VALID_SETS, INVALID_SETS),
        "protocol": (VALID_PROTOCOLS, INVALID_PROTOCOLS),
    }[kind]
    for document in valid:
        assert checker.is_valid(document), document
    for document, message in invalid:
        assert not checker.is_valid(document), message
    if kind == "protocol":
        for path in (PROMPTS_DIR / "protocols").glob("*.json"):
            assert checker.is_valid(json.loads(path.read_text(encoding="utf-8"))), path
        for document in VALID_PROTOCOLS:
            (tmp_path / "a.json").write_text(json.dumps(document))
            assert load_protocol(tmp_path / "a.json").kind == document["kind"]
    else:
        save_prompts(tmp_path / "a.json", [Prompt((0, 0, 1, 1), [[1, 1]], [1], np.eye(3, dtype=bool), "x")])
        assert checker.is_valid(json.loads((tmp_path / "a.json").read_text()))
        for name in ("a.png", "b/c.png", "..a.png", "b/..c/d.png", "a..png"):
            assert checker.is_valid({"version": 1, "objects": [{"mask": name}]}), name
            Path(tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
            shutil.copy(tmp_path / "a_mask0.png", tmp_path / name)
            (tmp_path / "m.json").write_text(json.dumps({"version": 1, "objects": [{"mask": name}]}))
            assert load_prompts(tmp_path / "m.json")[0].mask.sum() == 3


# --- protocols ---


def test_bundled_protocols_are_named_after_their_files():
    found = {path.stem: load_protocol(path.stem) for path in (PROMPTS_DIR / "protocols").glob("*.json")}
    assert {"box", "box-tight", "box-jitter", "clicks", "box+clicks"} <= set(found)
    assert all(protocol.name == stem for stem, protocol in found.items())
    assert found["box"].jitter == (0.0, 0.05)
    assert found["box-tight"].jitter == (0.0, 0.0)
    assert found["box-jitter"].jitter == (-0.1, 0.2)
    assert len({protocol.sha256 for protocol in found.values()}) == len(found)


def test_an_unknown_protocol_lists_the_known_ones(tmp_path):
    with pytest.raises(
        PromptError,
        match=r"must be one of box, box\+clicks, box-jitter, box-tight, clicks, scribble, or a \.json file, got bax",
    ):
        load_protocol("bax")
    with pytest.raises(PromptError, match=r"none\.json: no such file"):
        load_protocol(tmp_path / "none.json")
    with pytest.raises(PromptError, match="is a folder"):
        load_protocol(tmp_path)


def test_protocols_are_found_in_a_wheel(tmp_path):
    package = Path(sys.modules["lite_medsam"].__file__).parent
    shutil.copytree(package, tmp_path / "lite_medsam", ignore=shutil.ignore_patterns("learning", "__pycache__"))
    shutil.rmtree(tmp_path / "lite_medsam" / "_bundled", ignore_errors=True)
    shutil.copytree(PROMPTS_DIR, tmp_path / "lite_medsam" / "_bundled" / "prompts")
    code = "from lite_medsam.prompts.prompt_set import load_protocol, PROMPTS_DIR; print(PROMPTS_DIR); load_protocol('box')"
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert Path(run.stdout.strip()).samefile(tmp_path / "lite_medsam" / "_bundled" / "prompts")


def test_the_digest_is_of_the_meaning_not_of_the_spelling(tmp_path):
    texts = (
        '{"name": "p", "version": 1, "kind": "box", "seed": 0, "jitter": [0, 1]}',
        '{"seed": 0.0, "jitter": [0.0, 1.00], "clicks": 0,\n "kind": "box", "version": 1, "name": "p",'
        ' "description": "x"}',
    )
    digests = []
    for text in texts:
        (tmp_path / "a.json").write_text(text)
        digests.append(load_protocol(tmp_path / "a.json").sha256)
    assert digests[0] == digests[1] == Protocol("p", jitter=(0, 1)).sha256
    fields = ('"clicks":0', '"jitter":[0.0,1.0]', '"kind":"box"', '"max_objects":null', '"min_area_px":1')
    canonical = "{" + ",".join((*fields, '"name":"p"', '"seed":0', '"version":1')) + "}"
    assert digests[0] == hashlib.sha256(canonical.encode()).hexdigest()
    assert Protocol("p", jitter=(0, 1), seed=1).sha256 != digests[0]


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "x"},
        {"jitter": (0.2, 0.1)},
        {"jitter": (-0.6, 0)},
        {"jitter": (0, np.nan)},
        {"clicks": 1},
        {"kind": "clicks"},
        {"max_objects": 0},
        {"min_area_px": 0},
    ],
)
def test_protocols_check_themselves(fields):
    with pytest.raises(PromptError):
        Protocol("p", **fields)


# --- simulated users ---


def test_box_of_a_mask_by_hand():
    mask = np.zeros((5, 7), np.uint8)
    mask[1:4, 2] = 3
    mask[3, 5] = 1
    assert box_from_mask(mask) == (2, 1, 5, 3)
    with pytest.raises(PromptError, match="empty"):
        box_from_mask(np.zeros((3, 3), bool))
    with pytest.raises(PromptError, match=r"mask must be \(H, W\), got shape \(3,\)"):
        box_from_mask(np.zeros(3, bool))


@given(mask=hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=15)))
@settings(max_examples=60, deadline=None)
def test_the_box_of_a_mask_holds_it_and_no_smaller_one_does(mask):
    assume(mask.any())
    x0, y0, x1, y1 = map(int, box_from_mask(mask))
    inside = mask[y0 : y1 + 1, x0 : x1 + 1]
    assert inside.sum() == mask.sum()
    assert inside[0].any()
    assert inside[-1].any()
    assert inside[:, 0].any()
    assert inside[:, -1].any()
    assert validate(Prompt(box=box_from_mask(mask)), mask.shape).box == box_from_mask(mask)


@given(
    mask=hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=15)),
    jitter=st.tuples(st.floats(-0.49, 2), st.floats(-0.49, 2)).map(sorted).map(tuple),
    seed=st.integers(0, 9),
)
@settings(max_examples=60, deadline=None)
def test_simulated_boxes_stay_within_the_jitter_and_the_image(mask, jitter, seed):
    assume(mask.any())
    protocol = Protocol("p", jitter=jitter, seed=seed)
    box = simulate_box(mask, protocol, rng_for(protocol, "case", 1))
    assert validate(Prompt(box=box), mask.shape).box == box
    exact = box_from_mask(mask)
    width, height = exact[2] - exact[0] + 1, exact[3] - exact[1] + 1
    if jitter[0] >= 0:
        assert box[0] <= exact[0] <= exact[2] <= box[2]
        assert box[1] <= exact[1] <= exact[3] <= box[3]
    most = max(abs(jitter[0]), abs(jitter[1])) + 1e-9
    for moved, still, side in zip(box, exact, (width, height) * 2, strict=True):
        assert abs(moved - still) <= most * side


def test_jitter_is_a_share_of_the_side():
    mask = np.zeros((200, 400), bool)
    mask[90:110, 100:300] = True  # 200 wide, 20 high
    protocol = Protocol("p", jitter=(0.1, 0.1))
    box = simulate_box(mask, protocol, np.random.default_rng(0))
    assert box == pytest.approx((80, 88, 319, 111))
    shrunk = simulate_box(mask, replace(protocol, jitter=(-0.1, -0.1)), np.random.default_rng(0))
    assert shrunk == pytest.approx((120, 92, 279, 107))


def test_a_one_pixel_object_can_be_shrunk():
    mask = np.zeros((9, 9), bool)
    mask[4, 5] = True
    assert simulate_box(mask, Protocol("p", jitter=(-0.4, -0.4)), np.random.default_rng(0)) == (5, 4, 5, 4)


def test_draws_depend_on_seed_case_and_label_only():
    a = Protocol("a", seed=3)
    first = rng_for(a, "case", 1).random()
    assert rng_for(a, "case", np.uint16(1)).random() == first
    assert rng_for(Protocol("b", jitter=(0, 1), seed=3), "case", 1).random() == first
    others = [rng_for(a, "case", 2), rng_for(a, "other", 1), rng_for(replace(a, seed=4), "case", 1)]
    assert first not in [rng.random() for rng in others]
    # the same on every machine and version: results are compared by these draws
    assert rng_for(Protocol("a"), "2D_CT_1", 1).random() == 0.2716780639631422


def test_first_click_is_the_middle_of_the_object():
    mask = disc((50, 60), 31, 22, 9)
    assert next_click(mask, np.zeros_like(mask)) == (31, 22, 1)


def test_the_next_click_corrects_the_largest_error():
    mask = disc((50, 90), 20, 22, 9)
    prediction = np.zeros_like(mask)
    prediction[15:30, 12:18] = mask[15:30, 12:18]
    assert next_click(mask, prediction)[2] == 1
    surplus = mask | disc(mask.shape, 70, 30, 11) | disc(mask.shape, 50, 8, 3)
    assert next_click(mask, surplus) == (70, 30, 0)
    assert next_click(mask, mask) is None
    assert next_click(np.zeros_like(mask), mask) == (20, 22, 0)


def test_missed_and_surplus_parts_that_touch_are_told_apart():
    mask, prediction = np.zeros((20, 40), bool), np.zeros((20, 40), bool)
    mask[5:14, 2:18] = True  # missed: 9 x 16
    prediction[5:14, 18:37] = True  # surplus, right beside it: 9 x 19, the larger one
    x, y, label = next_click(mask, prediction)
    assert label == 0
    assert prediction[y, x]


def test_diagonal_pixels_are_one_part():
    mask = np.eye(7, dtype=bool)
    mask[0, 5:7] = True  # two pixels side by side, but the diagonal has seven
    x, y, _ = next_click(mask, np.zeros_like(mask))
    assert x == y


def test_the_border_of_the_image_counts_as_edge():
    mask = np.ones((21, 41), bool)
    x, y, label = next_click(mask, np.zeros_like(mask))
    assert (y, label) == (10, 1)
    assert 10 <= x <= 30
    assert next_click(np.ones((21, 21), bool), np.zeros((21, 21), bool)) == (10, 10, 1)
    assert next_click(np.ones((1, 1), bool), np.zeros((1, 1), bool)) == (0, 0, 1)


def test_equally_central_pixels_are_drawn_with_the_generator():
    mask = np.ones((1, 50), bool)
    empty = np.zeros_like(mask)
    assert next_click(mask, empty) == (25, 0, 1)
    drawn = {next_click(mask, empty, np.random.default_rng(i))[0] for i in range(20)}
    assert len(drawn) > 5


@given(
    mask=hnp.arrays(bool, (9, 12)),
    prediction=hnp.arrays(bool, (9, 12)),
)
@settings(max_examples=60, deadline=None)
def test_a_click_always_lies_on_an_error_of_its_kind(mask, prediction):
    click = next_click(mask, prediction)
    if click is None:
        assert np.array_equal(mask, prediction)
    else:
        x, y, label = click
        assert mask[y, x] == label != prediction[y, x]


def test_clicks_want_matching_shapes():
    with pytest.raises(PromptError, match="must share one shape"):
        next_click(np.ones((3, 3)), np.ones((3, 4)))


def label_map():
    label = np.zeros((60, 80), np.uint16)
    for i in range(12):
        label[5 * i : 5 * i + 4, 3 : 3 + i + 1] = 100 * i + 7  # areas 4, 8, ... 48
    return label


def test_prompts_of_a_label_map_and_what_was_left_out():
    label = label_map()
    protocol = Protocol("p", max_objects=4, min_area_px=10)
    found = simulate_prompts(label, protocol, "case")
    assert (len(found.objects), found.too_small, found.over_limit) == (4, 2, 6)
    values = [value for value, _ in found.objects]
    assert values == sorted(set(values))
    assert min(values) >= 207
    for value, prompt in found.objects:
        assert prompt.box == box_from_mask(label == value)
    everything = simulate_prompts(label, Protocol("p"), "case")
    assert [value for value, _ in everything.objects] == [100 * i + 7 for i in range(12)]
    assert everything[1:] == (0, 0)


def test_the_choice_is_even_and_seeded():
    label = np.arange(1, 1001, dtype=np.uint16).reshape(25, 40)
    protocol = Protocol("p", max_objects=8)
    chosen = [np.array([v for v, _ in simulate_prompts(label, protocol, name).objects]) for name in "aab"]
    assert np.array_equal(chosen[0], chosen[1])
    assert not np.array_equal(chosen[0], chosen[2])
    assert set(np.diff(chosen[0])) <= {124, 125, 126}


def test_objects_do_not_influence_each_other():
    label = label_map()
    protocol = Protocol("p", jitter=(-0.1, 0.2))
    together = dict(simulate_prompts(label, protocol, "case").objects)
    alone = dict(simulate_prompts(np.where(label == 507, label, 0), protocol, "case").objects)
    assert alone[507].box == together[507].box


def test_click_protocols_start_with_a_click_in_the_object():
    label = label_map()
    for value, prompt in simulate_prompts(label, Protocol("p", kind="clicks", clicks=3), "case").objects:
        (x, y), labels = prompt.points[0].astype(int), prompt.point_labels.tolist()
        assert prompt.box is None
        assert labels == [1]
        assert label[y, x] == value
    first = simulate_prompts(label, Protocol("p", kind="box+clicks", clicks=3), "case").objects[0][1]
    assert first.box is not None
    assert len(first.points) == 0


@pytest.mark.parametrize(
    "label", [np.zeros((2, 3, 4), int), np.zeros((3, 4)), np.zeros((0, 4), int), -np.ones((3, 4), int)]
)
def test_what_is_no_label_map(label):
    with pytest.raises(PromptError, match="label must"):
        simulate_prompts(label, Protocol("p"), "case")


def test_an_empty_label_map_has_no_prompts():
    assert simulate_prompts(np.zeros((3, 4), int), Protocol("p"), "case") == ([], 0, 0)
    assert len(simulate_prompts(np.eye(3, dtype=bool), Protocol("p"), "case").objects) == 1
