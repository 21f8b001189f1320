"""Names of objects beside their prompts: checked, given to the decoder, carried by files, volumes and sessions, evaluated."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from fakes import FakeBackend

from lite_medsam.cases.case import Case, save_case
from lite_medsam.cli import main
from lite_medsam.errors import PromptError
from lite_medsam.evaluation.evaluate import evaluate
from lite_medsam.jobs.batch import SegmentOptions, find_jobs, run_job, run_jobs
from lite_medsam.model.preprocessing import Frame
from lite_medsam.model.prompt_tokens import FIRST_TARGET, POINT_TOKENS, decoder_inputs, token_count
from lite_medsam.model.spec import ModelSpec, load_spec, save_spec
from lite_medsam.prompts.prompt_set import Prompt, Protocol, load_prompts, save_prompts
from lite_medsam.prompts.targets import named_prompts, read_targets
from lite_medsam.prompts.vocabulary import by_modality, check_target, load_vocabulary
from lite_medsam.prompts.volume_prompt_set import load_volume_prompts, volume_prompt_files
from lite_medsam.segment.choices import choices
from lite_medsam.segment.predictor import Predictor
from lite_medsam.segment.sam_predictor import SamModel, SamPredictor
from lite_medsam.volumes.propagation import VolumeObject, propagate, seeds_from_boxes

NAMES = ("CT", "optic cup", "retinal vessels")
BOX = (10, 10, 40, 40)


def named(**more):
    backend = FakeBackend(64, targets=NAMES, **more)
    return Predictor(backend, "off"), backend


def image(*shape):
    return np.random.default_rng(0).integers(0, 256, shape or (64, 64), np.uint8)


@pytest.fixture
def opened(monkeypatch):
    """The command line opens a fake model that knows names; returns it."""
    _, backend = named()
    monkeypatch.setattr("lite_medsam.segment.predictor.open_backend", lambda *_: backend)
    return backend


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    captured = capsys.readouterr()
    return stop.value.code, captured.out, captured.err


# -- prompts and tokens


@pytest.mark.parametrize("target", ["", "x" * 201, 3, ["optic cup"]])
def test_a_target_is_a_text(target):
    with pytest.raises(PromptError, match="target must be a text of 1 to 200 characters"):
        Prompt(box=BOX, target=target)


def test_a_target_alone_is_no_prompt():
    predictor, _ = named()
    with pytest.raises(
        PromptError, match="a prompt must have a box, a point on the object or a previous mask, got nothing"
    ):
        predictor.segment(image(), [Prompt(target="optic cup")])


@pytest.mark.parametrize(
    ("prompt", "labels"),
    [
        (Prompt(box=BOX, target="CT"), [2, 3, FIRST_TARGET]),
        (Prompt(points=[[5, 5]], point_labels=[1], target="optic cup"), [1, -1, -1, -1, -1, FIRST_TARGET + 1]),
        (Prompt(mask=np.eye(64, dtype=bool), target="optic cup"), [-1] * POINT_TOKENS + [FIRST_TARGET + 1]),
        (
            Prompt(box=BOX, points=[[5, 5]] * 4, point_labels=[1, 0, 1, 0], target="retinal vessels"),
            [2, 3, 1, 0, 1, 0, FIRST_TARGET + 2],
        ),
    ],
    ids=["box", "click", "mask", "box and clicks"],
)
def test_a_name_is_the_last_token(prompt, labels):
    assert token_count(prompt) == len(labels) == token_count(replace(prompt, target=None)) + 1
    coords, actual, _, _ = decoder_inputs([prompt], [Frame.whole((64, 64), 64)], 64, targets=NAMES)
    assert actual.tolist() == [labels] and coords[0, -1].tolist() == [0, 0]
    plain = decoder_inputs([replace(prompt, target=None)], [Frame.whole((64, 64), 64)], 64)
    np.testing.assert_array_equal(plain[0], coords[:, :-1])
    np.testing.assert_array_equal(plain[1], actual[:, :-1])


def test_a_click_that_a_crop_leaves_out_does_not_move_the_name():
    prompt = Prompt(box=(20, 20, 40, 40), points=[[60, 60]] * 4, point_labels=[0] * 4, target="CT")
    frame = Frame(16, 16, 32, 32, 64)
    _, labels, _, _ = decoder_inputs([prompt], [frame], 64, targets=NAMES)
    assert labels[0].tolist() == [2, 3, -1, -1, -1, -1, FIRST_TARGET]


def test_names_that_nobody_knows_are_no_tokens():
    with pytest.raises(PromptError, match="target must be left out for the model, which knows no names, got 'CT'"):
        decoder_inputs([Prompt(box=BOX, target="CT")], [Frame.whole((64, 64), 64)], 64)


def test_a_prompt_never_gets_a_token_because_of_another():
    predictor, backend = named()
    points = {"points": [[20, 20]] * 4, "point_labels": [1, 1, 0, 0]}
    prompts = [
        Prompt(box=BOX),
        Prompt(box=BOX, target="CT"),
        Prompt(box=BOX, **points),  # six tokens
        Prompt(points=[[20, 20]], point_labels=[1], target="CT"),  # six as well, the last one a name
        Prompt(box=BOX, target="retinal vessels"),
    ]
    together = predictor.segment(image(), prompts)
    calls = [labels.tolist() for _, labels, _, _ in backend.decoded]
    assert [[2, 3]] in calls and [[2, 3, FIRST_TARGET], [2, 3, FIRST_TARGET + 2]] in calls
    assert [[2, 3, 1, 1, 0, 0]] in calls and [[1, -1, -1, -1, -1, FIRST_TARGET]] in calls and len(calls) == 4
    for i, prompt in enumerate(prompts):
        alone = predictor.segment(image(), [prompt])
        np.testing.assert_array_equal(together.mask(i), alone.mask(0))
    # the fake's names make masks smaller by one and by three pixels on every side
    sides = [np.sqrt(together.mask(i).sum()) for i in (0, 1, 4)]
    assert sides == [31, 29, 25]


def test_crops_are_asked_with_the_name_too():
    backend = FakeBackend(64, targets=NAMES)
    predictor = Predictor(backend, "always")
    click = Prompt(points=[[30, 40]], point_labels=[1], target="CT")
    predictor.segment(image(400, 400), [Prompt(box=(10, 10, 40, 40), target="optic cup"), click])
    assert len(backend.encoded) > 1
    assert {labels[0, -1] for _, labels, _, _ in backend.decoded} == {FIRST_TARGET, FIRST_TARGET + 1}


@pytest.mark.parametrize("call", ["segment", "decode"])
def test_unknown_names_are_refused_with_what_comes_closest(call):
    predictor, _ = named()
    image_or_encoded = image() if call == "segment" else predictor.encode(image())
    ask = getattr(predictor, call)
    message = "^target must be one of the 3 names that fake knows, got 'optic cups'; did you mean 'optic cup'"
    with pytest.raises(PromptError, match=message):
        ask(image_or_encoded, [Prompt(box=BOX, target="optic cups")])
    with pytest.raises(PromptError, match="object 2: target must be one"):
        ask(image_or_encoded, [Prompt(box=BOX), Prompt(box=BOX, target="Optic Cup")])
    nameless = Predictor(FakeBackend(64), "off")
    with pytest.raises(PromptError, match="target must be left out for fake, which knows no names"):
        nameless.segment(image(), [Prompt(box=BOX, target="CT")])


def test_a_final_mask_asks_no_model_whatever_it_is_called():
    mask = np.eye(64, dtype=bool)
    prediction = Predictor(FakeBackend(64)).segment(image(), [Prompt(mask=mask, final=True, target="optic cup")])
    np.testing.assert_array_equal(prediction.mask(0), mask)


def test_choices_are_asked_with_the_name():
    predictor, backend = named()
    choices(predictor, image(), Prompt(box=BOX, target="optic cup"))
    assert [labels[0, -1] for _, labels, _, _ in backend.decoded] == [FIRST_TARGET + 1] * 2


def test_sam_predictor_takes_a_name():
    _, backend = named()
    predictor = SamPredictor(SamModel(backend))
    predictor.set_image(image())
    predictor.predict(box=np.array(BOX), multimask_output=False, target="optic cup")
    predictor.predict(np.array([[5, 5]]), np.array([1]), multimask_output=False, target="CT")
    predictor.predict(box=np.array(BOX), multimask_output=False)
    kinds = [labels[0].tolist() for _, labels, _, _ in backend.decoded]
    assert kinds == [[2, 3, FIRST_TARGET + 1], [1, -1, -1, -1, -1, FIRST_TARGET], [2, 3]]
    with pytest.raises(PromptError, match="names that fake knows, got 'cup'; did you mean 'optic cup'"):
        predictor.predict(box=np.array(BOX), target="cup")
    with pytest.raises(PromptError, match="target must come with a box, points or a mask, got 'CT' alone"):
        predictor.predict(target="CT")


# -- the vocabulary


def test_every_name_of_the_vocabulary_has_its_place_in_the_menu():
    names = tuple(target.name for target in load_vocabulary())
    groups = by_modality(names, "OCT")
    assert sorted(name for _, group in groups for name in group) == sorted(names)
    assert groups[0][0] == "OCT" and [group for group, _ in groups[1:]] == sorted(group for group, _ in groups[1:])
    assert all(group == members[0] for group, members in groups)
    assert "lung" in dict(groups)["CT"] and "lung" in dict(by_modality(names, "XRay"))["XRay"]
    assert by_modality(("my own", "optic cup")) == (("Fundus", ("optic cup",)), ("other", ("my own",)))
    assert by_modality(()) == ()


def test_a_name_is_written_as_the_model_has_it():
    check_target("optic cup", NAMES, "m")
    with pytest.raises(PromptError, match="did you mean 'retinal vessels'"):
        check_target("vessels", NAMES, "m")
    with pytest.raises(PromptError, match="got 'zzz'; it knows CT, optic cup, retinal vessels"):
        check_target("zzz", NAMES, "m")


# -- prompt files


def test_targets_come_back_from_prompt_files(tmp_path):
    prompts = [Prompt(box=BOX, name="a", target="optic cup"), Prompt(box=BOX)]
    prompts.append(Prompt(mask=np.eye(9, dtype=bool), final=True, target="my own"))
    save_prompts(tmp_path / "a.json", prompts)
    assert [p.target for p in load_prompts(tmp_path / "a.json")] == ["optic cup", None, "my own"]
    objects = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))["objects"]
    assert [item.get("target") for item in objects] == ["optic cup", None, "my own"] and "target" not in objects[1]
    with pytest.raises(PromptError, match="must have a box, points or a mask"):
        save_prompts(tmp_path / "b.json", [Prompt(target="optic cup")])


def test_targets_come_back_from_the_prompt_files_of_volumes(tmp_path):
    objects = [
        VolumeObject({3: Prompt(box=BOX)}, "a", target="optic cup"),
        VolumeObject({1: Prompt(box=BOX, target="CT"), 2: Prompt(box=BOX)}),
        VolumeObject({1: Prompt(box=BOX)}),
    ]
    for name, content in volume_prompt_files(objects).items():
        (tmp_path / name).write_bytes(content)
    again = load_volume_prompts(tmp_path / "prompts.json")
    assert [item.target for item in again] == ["optic cup", None, None]
    assert [[p.target for p in item.prompts.values()] for item in again] == [[None], ["CT", None], [None]]
    document = {"version": 1, "volume": True, "objects": [{"target": "", "slices": [{"z": 0, "box": list(BOX)}]}]}
    (tmp_path / "bad.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(PromptError, match=r"objects\[0\].target must be a text of 1 to 200 characters"):
        load_volume_prompts(tmp_path / "bad.json")


# -- volumes


@pytest.mark.parametrize(
    "item",
    [
        VolumeObject({2: Prompt(box=BOX)}, z_range=(0, 4), target="optic cup"),
        VolumeObject({1: Prompt(box=BOX, target="optic cup"), 3: Prompt(box=BOX)}, z_range=(0, 4)),
        VolumeObject({2: Prompt(mask=np.pad(np.ones((30, 30), bool), 17))}, z_range=(0, 4), target="optic cup"),
    ],
    ids=["object", "slice", "drawn"],
)
def test_an_object_has_its_name_on_every_slice(item):
    predictor, backend = named()
    volume = np.full((5, 64, 64), 90, np.uint8) + np.arange(5, dtype=np.uint8)[:, None, None]  # repeats are not asked
    found = propagate(predictor, volume, [item])
    asked = [labels[0].tolist() for _, labels, _, _ in backend.decoded]
    assert asked == [[2, 3, FIRST_TARGET + 1]] * (4 if item.prompts.get(2) and item.prompts[2].box is None else 5)
    assert found.mask(0).any((1, 2)).all()


def test_volumes_refuse_what_pictures_refuse():
    predictor, _ = named()
    volume = image(3, 64, 64)
    wrong = VolumeObject({1: Prompt(box=BOX)}, target="cup")
    with pytest.raises(PromptError, match=r"object 2: target must be one of the 3 names .* did you mean 'optic cup'"):
        propagate(predictor, volume, [VolumeObject({1: Prompt(box=BOX)}), wrong])
    split = VolumeObject({0: Prompt(box=BOX, target="CT"), 1: Prompt(box=BOX, target="optic cup")})
    with pytest.raises(
        PromptError, match="object 1, slice 1: target must be that of the object, 'CT', got 'optic cup'"
    ):
        propagate(predictor, volume, [split])


# -- files and the command line


def test_target_fills_in_where_a_prompt_file_says_nothing(capsys, opened, tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), image())
    save_prompts(tmp_path / "p.json", [Prompt(box=BOX, target="CT"), Prompt(box=BOX)])
    given = [
        "segment",
        "-i",
        tmp_path / "a.png",
        "--prompts",
        tmp_path / "p.json",
        "-o",
        tmp_path / "out",
        "--save",
        "",
    ]
    code, _, _ = run(capsys, *given, "--target", "optic cup")
    record = json.loads((tmp_path / "out" / "a.json").read_text(encoding="utf-8"))
    assert code == 0 and [item["target"] for item in record["objects"]] == ["CT", "optic cup"]
    # other names are other work
    assert "skipped" in run(capsys, *given, "--target", "optic cup")[1]
    assert "skipped" not in run(capsys, *given)[1]
    record = json.loads((tmp_path / "out" / "a.json").read_text(encoding="utf-8"))
    assert [item["target"] for item in record["objects"]] == ["CT", None]


@pytest.mark.parametrize("prompt", [["--box", "10,10,40,40"], ["--point", "20,20,1", "--point", "40,40,0"], []])
def test_target_holds_for_boxes_points_and_the_boxes_of_a_case(capsys, opened, tmp_path, prompt):
    case = Case(image=image(), boxes=np.array([BOX], np.float32), name="c")
    save_case(tmp_path / "c.npz", case)
    code, out, _ = run(capsys, "segment", "-i", tmp_path / "c.npz", *prompt, "--target", "optic cup", "-o", tmp_path / "o",
                       "--zoom", "off", "--json")  # fmt: skip
    assert code == 0 and json.loads(out)[0]["objects"][0]["target"] == "optic cup"
    assert {labels[0, -1] for _, labels, _, _ in opened.decoded} == {FIRST_TARGET + 1}


def test_a_wrong_name_ends_with_2_and_the_near_ones(capsys, opened, tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), image())
    given = ["segment", "-i", tmp_path / "a.png", "--box", "10,10,40,40", "-o", tmp_path / "out", "--target"]
    code, out, err = run(capsys, *given, "retinal vessel")
    assert code == 2 and not out and not (tmp_path / "out").exists()
    assert err == (
        "error: target must be one of the 3 names that fake knows, got 'retinal vessel'; "
        "did you mean 'retinal vessels'?\n"
    )
    opened.spec = replace(opened.spec, targets=())
    code, _, err = run(capsys, *given, "CT")
    assert code == 2 and "must be left out for fake, which knows no names" in err


def test_volumes_keep_the_target_in_their_record(tmp_path):
    predictor, backend = named()
    save_case(tmp_path / "v.npz", Case(image=image(4, 64, 64), name="v", is_volume=True))
    jobs = find_jobs(
        [tmp_path / "v.npz"], tmp_path / "out", tuple(seeds_from_boxes(np.array([[10, 10, 0, 40, 40, 3]])))
    )
    record = run_job(predictor, jobs[0], SegmentOptions(("npz",), target="optic cup"))
    assert record["objects"][0]["target"] == "optic cup"
    assert {labels[0, -1] for _, labels, _, _ in backend.decoded} == {FIRST_TARGET + 1}
    assert run_job(predictor, jobs[0], SegmentOptions(("npz",), target="optic cup")).get("skipped")
    again = run_job(predictor, jobs[0], SegmentOptions(("npz",)))
    assert not again.get("skipped") and again["objects"][0]["target"] is None


def test_reference_quirks_know_no_names(tmp_path):
    predictor, _ = named()
    save_case(tmp_path / "c.npz", Case(image=image(), boxes=np.array([BOX], np.float32), name="c"))
    jobs = find_jobs([tmp_path / "c.npz"], tmp_path / "out")
    _, failures = run_jobs(predictor, jobs, SegmentOptions(reference_quirks=True, target="CT"))
    assert "knows boxes only" in failures[0][1]


def test_info_lists_the_names(capsys, tmp_path):
    save_spec(tmp_path, ModelSpec(name="m", targets=NAMES))
    assert load_spec(tmp_path).targets == NAMES
    assert "3 names; --targets lists them" in run(capsys, "info", "--weights", tmp_path)[1]
    assert run(capsys, "info", "--weights", tmp_path, "--targets")[1].splitlines() == list(NAMES)
    record = json.loads(run(capsys, "info", "--weights", tmp_path, "--json")[1])
    assert record["model"]["targets"] == list(NAMES)
    save_spec(tmp_path, ModelSpec(name="m"))
    assert "knows no names" in run(capsys, "info", "--weights", tmp_path)[1]
    assert run(capsys, "info", "--weights", tmp_path, "--targets")[:2] == (0, "")


# -- evaluation


def labelled(name="2D_Fundus_eyes_0001"):
    label = np.zeros((64, 64), np.uint8)
    label[10:41, 10:41], label[44:60, 44:60], label[44:60, 4:20] = 1, 2, 3
    return Case(image=image(), label=label, name=name, modality="Fundus", label_names={3: "CT"})


TABLE = {("eyes", "", "1"): "optic cup", ("eyes", "", "2"): "something else"}


def test_simulated_prompts_say_the_names_that_are_known():
    objects = [(value, Prompt(box=BOX, name=str(value))) for value in (1, 2, 3, 4)]
    found = named_prompts(objects, labelled(), TABLE, NAMES)
    assert [(value, prompt.name, prompt.target) for value, prompt in found] == [
        (1, "1", "optic cup"), (2, "2", None), (3, "3", "CT"), (4, "4", None),
    ]  # fmt: skip
    assert [prompt.target for _, prompt in named_prompts(objects, labelled(), TABLE, ())] == [None] * 4
    assert [prompt.target for _, prompt in objects] == [None] * 4


def test_evaluation_with_names_asks_with_names():
    predictor, _ = named()
    box = Protocol(name="exact")
    plain, told = (evaluate(predictor, [labelled()], box, targets=targets) for targets in (None, TABLE))
    assert [row["dice"] for row in plain.rows] == [1, 1, 1] and "named_objects" not in plain.settings
    # the fake makes named objects smaller: 31 by 31 becomes 27 by 27, and 16 by 16 becomes 14 by 14
    dice = [2 * 27**2 / (27**2 + 31**2), 1, 2 * 14**2 / (14**2 + 16**2)]
    assert [row["dice"] for row in told.rows] == pytest.approx(dice)
    assert told.settings["named_objects"] == 2
    assert evaluate(Predictor(FakeBackend(64), "off"), [labelled()], box, targets=TABLE).settings["named_objects"] == 0


def test_corrections_keep_the_name():
    predictor, backend = named()
    protocol = Protocol(name="clicks", kind="box+clicks", clicks=2)
    evaluate(predictor, [labelled()], protocol, targets={("eyes", "", "1"): "optic cup"})
    last = [labels for _, labels, _, given in backend.decoded if given.any()]
    assert last and {FIRST_TARGET + 1} <= {row[-1] for labels in last for row in labels.tolist()}


def test_evaluate_takes_a_table_of_names(capsys, opened, tmp_path):
    save_case(tmp_path / "2D_Fundus_eyes_0001.npz", replace(labelled(), label_names=None))
    table = tmp_path / "targets.csv"
    table.write_text("dataset,label,target\neyes,1,optic cup\n", encoding="utf-8")
    assert read_targets(table) == {("eyes", "", "1"): "optic cup"}
    given = ["evaluate", "-i", tmp_path, "--targets", table, "--json", "-q"]
    code, out, err = run(capsys, *given)
    assert code == 0 and json.loads(out)["settings"]["named_objects"] == 1 and not err
    opened.spec = replace(opened.spec, targets=())
    code, out, err = run(capsys, *given)
    assert code == 0 and "--targets changes nothing: fake knows no names" in err
    assert run(capsys, *given, "--baseline", "box")[0] == 2
