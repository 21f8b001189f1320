"""Objects with numbers of their own have them in every file of the command line."""

import json

import numpy as np
import pytest

from lite_medsam.cases.case import save_case
from lite_medsam.cli import main
from lite_medsam.errors import PromptError
from lite_medsam.phantoms import make_phantom, make_phantom_volume
from lite_medsam.prompts.prompt_set import Prompt, load_prompts, save_prompts
from lite_medsam.prompts.volume_objects import VolumeObject
from lite_medsam.prompts.volume_prompt_set import load_volume_prompts, volume_prompt_files


def run(arguments):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code in (0, None)


def test_a_picture(tmp_path):
    case = make_phantom("oct-cme", 0)
    save_case(tmp_path / "scan.npz", case)
    prompts = [Prompt(box=tuple(box), number=number) for box, number in zip(case.boxes[:2], (4, 2), strict=False)]
    save_prompts(tmp_path / "p.json", prompts)
    assert [prompt.number for prompt in load_prompts(tmp_path / "p.json")] == [4, 2]
    command = ["segment", "-i", f"{tmp_path}/scan.npz", "--prompts", f"{tmp_path}/p.json", "-o", f"{tmp_path}/out"]
    run([*command, "--save", "npz,label,coco,overlay"])
    segs = np.load(tmp_path / "out/scan.npz")["segs"]
    assert np.unique(segs).tolist() == [0, 2, 4]
    from PIL import Image

    assert np.array_equal(np.asarray(Image.open(tmp_path / "out/scan_label.png")), segs)
    record = json.loads((tmp_path / "out/scan.json").read_text())
    assert [item["id"] for item in record["objects"]] == [4, 2]
    assert record["objects"][0]["area_px"] == (segs == 4).sum()
    coco = json.loads((tmp_path / "out/scan_coco.json").read_text())["annotations"]
    assert {item["object_id"]: item["area"] for item in coco} == {value: (segs == value).sum() for value in (2, 4)}


def test_a_volume(tmp_path):
    case = make_phantom_volume("ct", 0, (5, 96, 96))
    save_case(tmp_path / "scan.npz", case)
    objects = [VolumeObject({2: Prompt(box=(20, 30, 40, 60))}, "a", (1, 3), number=7)]
    for name, content in volume_prompt_files(objects).items():
        (tmp_path / name).write_bytes(content)
    assert [item.number for item in load_volume_prompts(tmp_path / "prompts.json")] == [7]
    command = [
        "segment",
        "-i",
        f"{tmp_path}/scan.npz",
        "--prompts",
        f"{tmp_path}/prompts.json",
        "-o",
        f"{tmp_path}/out",
    ]
    run([*command, "--save", "npz"])
    assert np.unique(np.load(tmp_path / "out/scan.npz")["segs"]).tolist() == [0, 7]
    assert json.loads((tmp_path / "out/scan.json").read_text())["objects"][0]["id"] == 7


@pytest.mark.parametrize("number", [0, -1, 1.5, "2", True, 70_000])
def test_a_number_must_be_a_label_value(number, tmp_path):
    path = tmp_path / "p.json"
    path.write_text(json.dumps({"version": 1, "objects": [{"box": [1, 1, 5, 5], "number": number}]}))
    with pytest.raises(PromptError, match="number must"):
        load_prompts(path)


def test_two_objects_cannot_have_one_number(tmp_path):
    path = tmp_path / "p.json"
    path.write_text(json.dumps({"version": 1, "objects": [{"box": [1, 1, 5, 5], "number": 3}] * 2}))
    with pytest.raises(PromptError, match="a number of its own"):
        load_prompts(path)
