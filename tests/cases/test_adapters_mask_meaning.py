"""What the values and colours of masks mean: classes, objects, soft edges, and what is refused."""

import numpy as np
import pytest
from image_folders import LABEL, cases, kinds, picture, report, write

from lite_medsam.cases.adapters import open_adapter
from lite_medsam.cases.adapters.check import format_report
from lite_medsam.cases.adapters.write import check_source
from lite_medsam.errors import CaseError


def test_0_255_masks_become_0_1_and_other_values_are_refused_file_by_file(tmp_path):
    for name in ("a", "b", "c", "odd"):
        write(tmp_path / "images" / f"{name}.png", picture(ord(name[0])))
        write(tmp_path / "masks" / f"{name}.png", LABEL * 255)
    mask = LABEL * 255
    mask[0, 0] = 7
    write(tmp_path / "masks" / "odd.png", mask)
    write(tmp_path / "masks" / "b.png", LABEL)  # 0 and 1 among 0 and 255 are clear enough
    found = report(tmp_path)
    assert kinds(found) == [("unexpected-labels", "images/odd.png")]
    assert "7" in found.errors[0].message and "--mask-threshold" in found.errors[0].message
    write(tmp_path / "masks" / "b.png", LABEL * 255)
    values, _ = cases(tmp_path, mask_threshold=100)
    assert all(np.array_equal(case.label, LABEL) for case in values.values())
    binary, _ = cases(tmp_path, labels="binary")
    assert sum(int(case.label.max()) for case in binary.values()) == 4
    assert binary[next(n for n in binary if n.endswith("odd"))].label[0, 0] == 1


def test_class_numbers_stay(tmp_path):
    label = LABEL * 3
    label[0, 0] = 200
    write(tmp_path / "images" / "a.png", picture())
    write(tmp_path / "masks" / "a.png", label)
    found, _ = cases(tmp_path, names={3: "drusen"})
    (case,) = found.values()
    assert np.array_equal(case.label, label)
    assert case.label_names == {3: "drusen"}
    assert kinds(report(tmp_path, expect=(0, 3)))[0][0] == "unexpected-labels"
    assert not report(tmp_path, expect=(3, 200)).errors


def test_255_beside_classes_is_asked_about(tmp_path):
    label = LABEL * 2
    label[0, :5] = 255
    write(tmp_path / "images" / "a.png", picture())
    write(tmp_path / "masks" / "a.png", label)
    found = report(tmp_path)
    assert kinds(found) == [("unexpected-labels", "images/a.png")]
    assert "--ignore-label 255" in found.errors[0].message
    ignored = report(tmp_path, ignore_label=255)
    assert not ignored.errors
    assert "5 pixels" in ignored.all_problems[0].message
    values, _ = cases(tmp_path, ignore_label=255)
    assert np.array_equal(next(iter(values.values())).label, LABEL * 2)
    assert not report(tmp_path, expect=(2, 255)).errors


def test_16_bit_labels(tmp_path):
    label = LABEL.astype(np.uint16) * 300
    write(tmp_path / "images" / "a.png", picture())
    write(tmp_path / "masks" / "a.png", label)
    found, _ = cases(tmp_path)
    (case,) = found.values()
    assert case.label.dtype == np.uint16
    assert set(np.unique(case.label)) == {0, 300}


def test_1_bit_masks(tmp_path):
    write(tmp_path / "images" / "a.png", picture())
    write(tmp_path / "masks" / "a.png", LABEL.astype(bool))
    found, _ = cases(tmp_path)
    assert np.array_equal(next(iter(found.values())).label, LABEL)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
def test_a_palette_gives_its_indices_not_its_colours(tmp_path, suffix):
    label = LABEL.copy()
    label[15:, :4] = 2
    palette = [0, 0, 0, 200, 10, 10, 200, 10, 10] + [9, 9, 9] * 253  # two indices of one colour
    write(tmp_path / "images" / "a.png", picture())
    write(tmp_path / f"masks/a.{suffix}", label, palette)
    found, _ = cases(tmp_path)
    assert np.array_equal(next(iter(found.values())).label, label)


def test_colours_become_classes_in_one_order_for_all_files(tmp_path):
    red, green, blue = (255, 0, 0), (0, 128, 0), (0, 0, 255)
    for name, colours in (("a", [red, green]), ("b", [green, blue]), ("c", [])):
        rgb = np.zeros((20, 30, 3), np.uint8)
        for row, colour in enumerate(colours):
            rgb[row * 5 : row * 5 + 3] = colour
        write(tmp_path / "images" / f"{name}.png", picture(ord(name)))
        write(tmp_path / "masks" / f"{name}.png", rgb)
    found, _ = cases(tmp_path)
    a, b, c = found.values()
    # sorted by red, green, blue: blue 1, green 2, red 3
    assert (a.label[0, 0], a.label[5, 0], b.label[0, 0], b.label[5, 0]) == (3, 2, 2, 1)
    assert not c.label.any()
    assert a.label_names == {1: "#0000ff", 2: "#008000", 3: "#ff0000"}
    found, _ = cases(tmp_path, colours=((red, "artery"), (green, ""), (blue, "vein")))
    a = next(iter(found.values()))
    assert (a.label[0, 0], a.label[5, 0]) == (1, 2)
    assert a.label_names == {1: "artery", 2: "#008000", 3: "vein"}
    assert [p.kind for p in report(tmp_path, colours=((red, ""),)).errors] == ["unexpected-labels"] * 2


def test_an_opaque_alpha_channel_is_no_colour(tmp_path):
    rgba = np.zeros((20, 30, 4), np.uint8)
    rgba[..., 3] = 255
    rgba[LABEL > 0, :3] = 255
    write(tmp_path / "images" / "a.png", picture())
    write(tmp_path / "masks" / "a.png", rgba)
    found, _ = cases(tmp_path)
    assert np.array_equal(next(iter(found.values())).label, LABEL)


def test_any_colour_is_the_object_when_asked_for(tmp_path):
    rgb = np.zeros((20, 30, 3), np.uint8)
    rgb[LABEL > 0] = (200, 0, 0)
    rgb[2, 3] = (0, 0, 9)
    write(tmp_path / "images" / "a.png", picture())
    write(tmp_path / "masks" / "a.png", rgb)
    found, _ = cases(tmp_path, labels="binary")
    assert np.array_equal(next(iter(found.values())).label, LABEL)


def soft_disc(slope):
    y, x = np.mgrid[:100, :100]
    return np.clip(slope * (30 - np.hypot(y - 50, x - 50)), 0, 255).astype(np.uint8)


def test_soft_edges_are_cut_at_half_and_said(tmp_path):
    write(tmp_path / "images" / "a.png", picture(0, (100, 100)))
    write(tmp_path / "masks" / "a.png", soft_disc(60))
    found, _ = cases(tmp_path)
    assert np.array_equal(next(iter(found.values())).label, soft_disc(60) > 127)
    (problem,) = report(tmp_path).all_problems
    assert (problem.kind, problem.path) == ("soft-mask", "masks/a.png")
    assert "softened edges" in problem.message and "127.5" in problem.message


def test_brightness_is_no_class_and_no_object(tmp_path):
    write(tmp_path / "images" / "a.png", picture(0, (100, 100)))
    write(tmp_path / "masks" / "a.png", soft_disc(8))
    found = report(tmp_path)
    assert kinds(found) == [("unexpected-labels", "images/a.png")]
    assert "softened" in found.errors[0].message and "--mask-threshold 127" in found.errors[0].message


def test_many_instances_in_8_bits_are_labels(tmp_path):
    label = np.arange(100, dtype=np.uint8).repeat(6).reshape(20, 30)
    write(tmp_path / "images" / "a.png", picture())
    write(tmp_path / "masks" / "a.png", label)
    found = report(tmp_path)
    assert not found.errors
    text = format_report(found.facts, found.problems)
    assert "1 objects of 2\n" in text and text.endswith("79 objects of 79 more") and "objects of 30" not in text


def test_too_many_colours_are_refused_at_once(tmp_path):
    write(tmp_path / "images" / "a.png", picture())
    write(tmp_path / "masks" / "a.png", picture(1, (20, 30, 3)))
    with pytest.raises(CaseError, match="at most 64 colours together"):
        report(tmp_path)
    for name in ("b", "c"):  # among proper masks it is one bad file
        write(tmp_path / "images" / f"{name}.png", picture(ord(name)))
        write(tmp_path / "masks" / f"{name}.png", LABEL * 255)
    found = report(tmp_path)
    assert kinds(found) == [("unexpected-labels", "images/a.png")]
    assert "is a colour picture" in found.errors[0].message


def test_looking_twice_gives_the_same(tmp_path):
    rgb = np.zeros((20, 30, 3), np.uint8)
    rgb[LABEL > 0] = (200, 0, 0)
    write(tmp_path / "images" / "a.png", picture())
    write(tmp_path / "masks" / "a.png", rgb)
    adapter = open_adapter("image-folder", tmp_path)
    first = check_source(adapter, adapter.settings)
    rgb[0, 0] = (0, 0, 7)
    write(tmp_path / "masks" / "a.png", rgb)
    assert check_source(adapter, adapter.settings).facts[0].objects == {"#000007": 1, "#c80000": 2}
    assert first.facts[0].objects == {"#c80000": 2}


def test_white_of_16_bits_is_the_object(tmp_path):
    for name in ("a", "b"):
        write(tmp_path / f"images/{name}.png", picture(ord(name)))
        write(tmp_path / f"masks/{name}.png", LABEL.astype(np.uint16) * 65535)
    found, _ = cases(tmp_path)
    assert all(np.array_equal(case.label, LABEL) for case in found.values())
