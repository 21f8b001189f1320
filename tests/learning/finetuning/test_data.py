import dataclasses

import numpy as np
import pytest
from tiny import disc_case

from lite_medsam.cases.adapters.split import Split
from lite_medsam.cases.adapters.split_file import save_split
from lite_medsam.cases.case import save_case
from lite_medsam.errors import CaseError
from lite_medsam.learning.finetuning.data import divide, evenly


@pytest.fixture
def folder(tmp_path):
    for i in range(6):
        case = dataclasses.replace(disc_case(i), name=f"c{i}", group=f"p{i // 2}")
        save_case(tmp_path / f"cases/c{i}.npz", case)
    return tmp_path / "cases"


def split_file(path, train, val, groups=None, **more):
    groups = groups or {name: f"g{name}" for name in (*train, *val)}
    save_split(path, Split({"train": train, "val": val, **more}, groups))
    return path


def test_groups_stay_whole_and_one_seed_is_one_division(folder):
    division = divide(folder, None, 0.3, 5)
    names = [{path.stem for path in side} for side in (division.train, division.validation)]
    assert names[0] | names[1] == {f"c{i}" for i in range(6)} and not names[0] & names[1]
    for side in names:
        assert {f"c{int(n[1]) ^ 1}" for n in side} == side
    again = divide(folder, None, 0.3, 5)
    assert again.sha256 == division.sha256 and again.split.sha256 == division.split.sha256
    assert division.validation_groups == 1 and division.ungrouped == 0


def test_the_hash_notices_a_changed_label(folder):
    before = divide(folder, None, 0.3, 5).sha256
    case = dataclasses.replace(disc_case(0), name="c0", group="p0")
    label = case.label.copy()
    label[0, 0] = 1
    save_case(folder / "c0.npz", dataclasses.replace(case, label=label))
    assert divide(folder, None, 0.3, 5).sha256 != before


def test_a_split_file_decides_and_its_test_part_is_not_touched(folder, tmp_path):
    path = split_file(tmp_path / "split.json", ("c0", "c1"), ("c2", "c3"), test=("c4",),
                      groups={f"c{i}": f"p{i // 2}" for i in range(5)})  # fmt: skip
    division = divide(folder, path, 0.5, 0)
    assert [p.stem for p in division.train] == ["c0", "c1"] and [p.stem for p in division.validation] == ["c2", "c3"]
    assert division.outside == 2


def test_a_group_on_both_sides_is_refused_even_if_the_file_does_not_know_it(folder, tmp_path):
    path = split_file(tmp_path / "split.json", ("c0", "c2"), ("c1",))
    with pytest.raises(CaseError, match=r"group must not be on both sides, c0 \(train\) and c1 \(val\) share p0"):
        divide(folder, path, 0.5, 0)


def test_an_image_on_both_sides_is_refused(folder, tmp_path):
    save_case(folder / "copy.npz", dataclasses.replace(disc_case(0), name="copy", group="somebody else"))
    path = split_file(tmp_path / "split.json", ("c0", "c1"), ("copy",))
    with pytest.raises(CaseError, match="image must not be on both sides, c0"):
        divide(folder, path, 0.5, 0)


def test_cases_that_are_not_there_are_named(folder, tmp_path):
    with pytest.raises(CaseError, match="1 of train are not, such as gone"):
        divide(folder, split_file(tmp_path / "split.json", ("c0", "gone"), ("c2",)), 0.5, 0)
    with pytest.raises(CaseError, match="part val holds no labelled case"):
        divide(folder, split_file(tmp_path / "split.json", ("c0",), ()), 0.5, 0)


def test_what_is_left_out_is_counted(folder):
    empty = dataclasses.replace(disc_case(9), name="empty", label=np.zeros((90, 120), np.uint8))
    save_case(folder / "empty.npz", empty)
    save_case(folder / "alone.npz", dataclasses.replace(disc_case(8), name="alone"))
    division = divide(folder, None, 0.3, 5)
    assert division.unlabelled == 1 and division.ungrouped == 1


def test_two_files_of_one_name_are_refused(folder):
    save_case(folder / "again/c0.npz", disc_case(1))
    with pytest.raises(CaseError, match="names that differ"):
        divide(folder, None, 0.3, 5)


def test_evenly():
    assert evenly([1, 2, 3], 5) == [1, 2, 3]
    assert evenly(list(range(10)), 4) == [0, 3, 6, 9]


def test_the_folders_own_split_is_taken_and_said(folder):
    groups = {f"c{i}": f"p{i // 2}" for i in range(6)}
    split_file(folder / "split.json", ("c0", "c1"), ("c2", "c3"), groups=groups, test=("c4", "c5"))
    division = divide(folder, None, 0.5, 0)
    assert [p.stem for p in division.train] == ["c0", "c1"] and [p.stem for p in division.validation] == ["c2", "c3"]
    assert division.origin == f"split of {folder / 'split.json'}" and division.outside == 2


def test_a_split_with_a_test_part_alone_gets_its_validation_from_the_train_part(folder):
    groups = {f"c{i}": f"p{i // 2}" for i in range(6)}
    save_split(folder / "split.json", Split({"train": ("c0", "c1", "c2", "c3"), "test": ("c4", "c5")}, groups))
    division = divide(folder, None, 0.5, 0)
    sides = [{p.stem for p in side} for side in (division.train, division.validation)]
    assert sorted(sides, key=min) == [{"c0", "c1"}, {"c2", "c3"}] and division.outside == 2
    assert division.split.parts["test"] == ("c4", "c5") and "its train part divided by group" in division.origin
    save_split(folder / "split.json", Split({"train": ("c0", "c1"), "test": ("c4", "c5")}, groups))
    with pytest.raises(CaseError, match="needs at least 2 groups"):
        divide(folder, None, 0.5, 0)


@pytest.mark.parametrize("others", [None, "train"])
def test_a_published_test_part_is_kept_apart_without_a_split_file(folder, others):
    for i in range(6):
        part = "test" if i in (2, 3) else others
        case = dataclasses.replace(disc_case(i), name=f"c{i}", group=f"p{i // 2}")
        save_case(folder / f"c{i}.npz", dataclasses.replace(case, metadata=part and {"published_split": part}))
    division = divide(folder, None, 0.4, 1)
    used = {path.stem for path in (*division.train, *division.validation)}
    assert used == {"c0", "c1", "c4", "c5"} and division.outside == 2
    assert division.origin.endswith("the data set's own test part is kept apart")


def test_a_published_validation_part_is_the_validation(folder):
    for i in range(6):
        case = dataclasses.replace(disc_case(i), name=f"c{i}", group=f"p{i // 2}")
        save_case(
            folder / f"c{i}.npz", dataclasses.replace(case, metadata={"published_split": "val"} if i > 3 else None)
        )
    division = divide(folder, None, 0.4, 1)
    assert {path.stem for path in division.validation} == {"c4", "c5"} and len(division.train) == 4
