"""Splits: groups stay whole, parts get their share of every label, files tell when they were changed."""

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lite_medsam.cases.adapters.split import Entry, entries_of, make_split, parse_fractions
from lite_medsam.cases.adapters.split_file import load_split, save_split
from lite_medsam.cases.case import Case
from lite_medsam.errors import CaseError

FRACTIONS = {"train": 0.6, "val": 0.2, "test": 0.2}


@st.composite
def entry_lists(draw):
    rng = draw(st.randoms(use_true_random=False))
    groups, images = [None, *"ABCDEFGHIJ"], [None, None, *map(str, range(30))]
    labels = [frozenset(), frozenset({"cyst"}), frozenset({"cyst", "drusen"})]
    return [
        Entry(f"case{i}", rng.choice(groups), rng.choice(images), rng.choice(labels))
        for i in range(draw(st.integers(4, 40)))
    ]


@given(entry_lists(), st.integers(0, 5), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_nothing_is_cut_nothing_is_lost_and_order_does_not_matter(tmp_path_factory, entries, seed, rng):
    fractions = {"train": 0.5, "val": 0.5}
    try:
        split = make_split(entries, fractions, seed)
    except CaseError as error:
        assert "needs at least 2 groups" in str(error)
        return
    part = {name: p for p, names in split.parts.items() for name in names}
    assert set(part) == {entry.name for entry in entries}
    assert sum(len(names) for names in split.parts.values()) == len(entries)
    for key in ("group", "sha256"):
        homes = {}
        for entry in entries:
            if getattr(entry, key) is not None:
                homes.setdefault(getattr(entry, key), set()).add(part[entry.name])
        assert all(len(home) == 1 for home in homes.values())
    assert set(split.parts) == {"train", "val"}
    shuffled = list(entries)
    rng.shuffle(shuffled)
    assert make_split(shuffled, fractions, seed) == split
    path = tmp_path_factory.mktemp("split") / "split.json"
    save_split(path, split)
    assert load_split(path) == split
    assert load_split(path).sha256 == split.sha256


def patients(count=100, scans=4):
    """Every tenth patient has the rare lesion, every second the common one."""
    return [
        Entry(
            f"p{p:03d}_{i}",
            f"p{p:03d}",
            f"{p}-{i}",
            frozenset(["rare"] * (p % 10 == 0) + ["common"] * (p % 2 == 0)),
            "OCT" if p % 4 else "Fundus",
        )
        for p in range(count)
        for i in range(scans)
    ]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_part_gets_its_share_of_every_label_and_modality(seed):
    entries = patients()
    split = make_split(entries, FRACTIONS, seed)
    by_name = {entry.name: entry for entry in entries}
    for part, share in FRACTIONS.items():
        members = [by_name[name] for name in split.parts[part]]
        assert abs(len(members) - share * 400) <= 8
        counts = Counter(label for entry in members for label in entry.labels)
        assert abs(counts["rare"] - share * 40) <= 4, "at most a patient off"
        assert abs(counts["common"] - share * 200) <= 8
        assert abs(sum(entry.modality == "Fundus" for entry in members) - share * 100) <= 8


def test_the_seed_decides_and_repeats():
    entries = patients()
    assert make_split(entries, FRACTIONS, 1) == make_split(entries, FRACTIONS, 1)
    assert make_split(entries, FRACTIONS, 1).parts != make_split(entries, FRACTIONS, 2).parts
    assert make_split(entries, FRACTIONS, 1).sha256 != make_split(entries, FRACTIONS, 2).sha256


def test_a_published_split_is_kept_and_only_its_train_part_divided():
    entries = [Entry(f"a{i}", f"g{i}", published="train") for i in range(10)]
    entries += [Entry(f"t{i}", f"h{i}", published="test") for i in range(4)]
    plain = make_split(entries)
    assert len(plain.parts["train"]) == 10 and plain.parts["test"] == ("t0", "t1", "t2", "t3")
    divided = make_split(entries, {"train": 0.8, "val": 0.2}, seed=3)
    assert divided.parts["test"] == plain.parts["test"]
    assert (len(divided.parts["train"]), len(divided.parts["val"])) == (8, 2)
    with pytest.raises(CaseError, match="publishes its own test part"):
        make_split(entries, FRACTIONS)


def test_one_published_part_is_no_split():
    entries = [Entry(f"a{i}", f"g{i}", published="train") for i in range(10)]
    with pytest.raises(CaseError, match="publishes no split"):
        make_split(entries)
    assert {p: len(names) for p, names in make_split(entries, FRACTIONS).parts.items()} == {
        "train": 6,
        "val": 2,
        "test": 2,
    }


def test_a_patient_on_both_sides_of_a_published_split_is_left_out_of_train():
    entries = [
        Entry("train1", "P1", published="train"),
        Entry("train2", "P2", published="train"),
        Entry("train3", "P3", "same", published="train"),
        Entry("train4", "P4", twin="mirror", published="train"),
        Entry("test1", "P1", published="test"),
        Entry("test3", "P9", "same", published="test"),
        Entry("test4", "P8", twin="mirror", published="test"),
    ]
    split = make_split(entries)
    assert split.parts == {"train": ("train2",), "test": ("test1", "test3", "test4")}
    assert set(split.left_out) == {"train1", "train3", "train4"}
    assert "published test part" in split.left_out["train1"]


def test_too_few_patients_are_refused():
    entries = [Entry(f"a{i}", "only") for i in range(20)]
    with pytest.raises(CaseError, match="at least 2 groups"):
        make_split(entries, {"train": 0.8, "val": 0.2})
    few = make_split([Entry("a", "1"), Entry("b", "2"), Entry("c", "3")], {"train": 0.98, "val": 0.01, "test": 0.01})
    assert sorted(map(len, few.parts.values())) == [1, 1, 1]


def test_names_must_differ():
    with pytest.raises(CaseError, match="comes twice"):
        make_split([Entry("a"), Entry("a")], {"train": 1.0})


def written(tmp_path, change):
    save_split(tmp_path / "split.json", make_split(patients(10, 2), FRACTIONS))
    document = json.loads((tmp_path / "split.json").read_text())
    change(document)
    (tmp_path / "split.json").write_text(json.dumps(document))
    return tmp_path / "split.json"


def move(document):
    document["parts"]["train"].append(document["parts"]["test"].pop())


def move_a_whole_patient(document):
    test = document["parts"]["test"]
    group = test[0]["group"]
    document["parts"]["train"] += [row for row in test if row["group"] == group]
    document["parts"]["test"] = [row for row in test if row["group"] != group]


def same_image(document):
    document["parts"]["train"][0]["sha256"] = document["parts"]["test"][0]["sha256"]


def twice(document):
    document["parts"]["train"].append(document["parts"]["train"][0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (move, "a group must not be on both sides"),
        (same_image, "an image must not be on both sides"),
        (move_a_whole_patient, "was changed after it was written"),
        (twice, "must name a case once"),
        (lambda d: d.pop("sha256"), "must have the key sha256"),
        (lambda d: d["parts"].update(extra=[]), "unknown key"),
        (lambda d: d.update(version=2), "version must lie in"),
        (lambda d: d["parts"]["train"][0].pop("group"), "must have the key group"),
        (lambda d: d.update(seed=7), "was changed after it was written"),
        (lambda d: d.update(left_out=[]), "must be an object"),
    ],
)
def test_a_split_that_leaks_or_was_changed_is_refused(tmp_path, change, message):
    with pytest.raises(CaseError, match=message) as caught:
        load_split(written(tmp_path, change))
    assert "split.json" in str(caught.value)


@pytest.mark.parametrize("text", ["", "train", "train=x", "train=0.5", "train=0.5,val=0.6", "train=0.5,train=0.5",
                                  "fold=1", "train=-1,val=2", "train=nan", "train=0,val=1"])  # fmt: skip
def test_shares_that_make_no_sense_are_refused(text):
    with pytest.raises(CaseError, match="shares must"):
        parse_fractions(text)


def test_shares_are_read():
    assert parse_fractions(" train=0.7, val=0.15 ,test=0.15") == {"train": 0.7, "val": 0.15, "test": 0.15}


def test_entries_of_cases_without_a_manifest():
    label = np.array([[0, 2], [0, 5]], np.uint8)
    image = np.arange(4, dtype=np.uint8).reshape(2, 2)
    first = Case(image, label, name="a", modality="OCT", group="P", label_names={2: "cyst"})
    second = Case(image, name="b")
    a, b = entries_of([first, second])
    assert (a.group, a.labels, a.modality) == ("P", {"cyst", "5"}, "OCT")
    assert a.sha256 == b.sha256 and b.labels == frozenset()
    assert make_split([a, b, Entry("c")], {"train": 0.5, "val": 0.5}).part_of("a") == make_split(
        [a, b, Entry("c")], {"train": 0.5, "val": 0.5}
    ).part_of("b")
