"""Models beside each other: the same boxes for all, sums that can be redone by hand, a ledger that goes on."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from fakes import FakeBackend
from places import ROOT

from lite_medsam.cases.case import Case, save_case
from lite_medsam.challenge import side_by_side as module
from lite_medsam.challenge.side_by_side import Ledger, QuirksSegmenter, Way, measure_case, missing, summarise
from lite_medsam.challenge.side_by_side_text import BEGIN, END, better, format_page, format_record, write_page
from lite_medsam.cli.compare import command
from lite_medsam.errors import CaseError, PromptError, WeightsError
from lite_medsam.model.encoding_cache import EncodingCache
from lite_medsam.model.spec import Architecture, ModelSpec, Preprocessing, Zoom
from lite_medsam.phantoms import make_phantom
from lite_medsam.prompts.prompt_set import Prompt, load_protocol

BOX = load_protocol("box")


class FakeLite(FakeBackend):
    """Fills the box it is given, as LiteMedSAM's architecture."""

    def __init__(self, name="lite"):
        super().__init__(64)
        settings = Preprocessing(64, (0, 0, 0), (1, 1, 1), value_range="resized", resampling="area")
        family = Architecture(family="litemedsam")
        self.spec = ModelSpec(name, family, settings, Zoom(), ("box",), files={"model": name})


@pytest.fixture
def cases(tmp_path):
    paths = []
    for kind, seed in (("us", 0), ("us", 1), ("ct", 0)):
        paths.append(tmp_path / "cases" / f"{kind}{seed}.npz")
        save_case(paths[-1], make_phantom(kind, seed, (128, 128)))
    return paths


def run(ways, cases, ledger):
    cache = EncodingCache()
    for way, case in missing(ways, cases, BOX, ledger):
        measure_case(way, way.segmenter(cache), case, BOX, ledger)
    return summarise(ways, cases, BOX, ledger)


def test_ways_are_scored_on_the_same_objects(cases):
    ways = [Way("a", FakeLite("a"), "off"), Way("b:quirks", FakeLite("b"), "quirks"), Way("c", FakeLite("c"))]
    record = run(ways, cases, Ledger())
    assert [way["title"] for way in record["ways"]] == ["a, whole image", "b, its authors' script", "c, crops"]
    assert record["images"] == 3 and record["groups"] == 3 and record["objects"] > 3
    for way in record["ways"]:
        means = way["modalities"]
        assert set(means) == {"CT", "US"}
        for measure in ("dice", "surface_dice"):  # each modality has one vote
            assert way["mean"][measure][0] == pytest.approx(
                (means["CT"][measure][0] + means["US"][measure][0]) / 2, abs=1e-4
            )
    first, second = record["ways"][:2]
    change = second["mean"]["dice"][0] - first["mean"]["dice"][0]
    assert change != 0 and second["change"]["dice"][0] == pytest.approx(change, abs=2e-4)
    assert "change" not in first


def test_the_ledger_goes_on_where_it_stopped_and_mends_half_a_line(cases, tmp_path):
    ways, path = [Way("a", FakeLite("a")), Way("b", FakeLite("b"), "quirks")], tmp_path / "l.jsonl"
    whole = run(ways, cases, Ledger(path))
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:-1]) + "\n" + lines[-1][:50])
    ledger = Ledger(path)
    assert [(way.name, case.stem) for way, case in missing(ways, cases, BOX, ledger)] == [("b", "ct0")]
    assert run(ways, cases, ledger) == whole and not missing(ways, cases, BOX, Ledger(path))
    # another model, another way to run it, other boxes: nothing of it counts
    others = [Way("a", FakeLite("other")), Way("a", FakeLite("a"), "off")]
    assert len(missing(others, cases, BOX, ledger)) == 6
    assert len(missing(ways, cases, load_protocol("box-tight"), ledger)) == 6
    save_case(cases[0], make_phantom("us", 7, (128, 128)))  # the name stays, the content does not
    assert [case.stem for _, case in missing(ways, cases, BOX, ledger)] == ["us0", "us0"]


def test_better_and_worse_go_by_the_whole_interval():
    change = {"A": [0.1, 0.02, 0.2], "B": [0.1, -0.02, 0.2], "C": [-0.1, -0.2, -0.05], "D": [0.3, None, None]}
    zero = {"groups": 9, "surface_dice": [0, 0, 0]}
    way = {"change_modalities": {name: {**zero, "dice": values} for name, values in change.items()}}
    way["change_modalities"]["E"] = {"groups": 2, "dice": [0.1, 0.09, 0.11], "surface_dice": [0, 0, 0]}
    assert (
        better(way, 1) == ["A (+0.100)"] and better(way, -1) == ["C (-0.100)"] and better(way, 1, "surface_dice") == []
    )


def test_tables(cases, tmp_path):
    record = run([Way("a", FakeLite("a")), Way("b", FakeLite("b"), "quirks")], cases, Ledger())
    text, page = format_record(record), tmp_path / "page.md"
    assert "a, crops" in text and "CT" in text and "3 images of 3 groups" in text
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write_page(record, page)
    mean = record["ways"][1]["mean"]["dice"][0]  # no interval: CT has a single group
    written = page.read_text()
    assert f"| 2 | b, its authors' script | {mean:.3f} |" in written and "| CT |" in written
    assert written.startswith("before\n") and written.endswith("\nafter\n") and "old" not in written
    write_page(record, page)
    assert page.read_text() == written
    page.write_text("no marks")
    with pytest.raises(ValueError, match="must have the lines"):
        write_page(record, page)


def test_quirks_take_boxes_alone():
    with pytest.raises(PromptError, match="boxes alone"):
        QuirksSegmenter(FakeLite()).segment(np.zeros((9, 9), np.uint8), [Prompt(points=[[1, 1]], point_labels=[1])])
    segmenter = QuirksSegmenter(FakeLite(), EncodingCache())
    found = segmenter.segment(np.arange(81, dtype=np.uint8).reshape(9, 9), [Prompt(box=(1, 1, 6, 6))])
    assert len(found) == 1 and found.mask(0).any() and np.isnan(found.scores[0])


@pytest.fixture
def invoke(monkeypatch, cases, tmp_path):
    """`lite-medsam compare` over fakes: every name is a model."""
    monkeypatch.setattr("lite_medsam.model.runtime.open_backend", lambda name, engine, threads: FakeLite(name))
    return lambda *words: CliRunner().invoke(command, ["-i", str(tmp_path / "cases"), "-q", *map(str, words)])


def test_the_command_stops_and_goes_on(invoke, tmp_path):
    words = ["--way", "a", "--way", "b:quirks", "--ledger", tmp_path / "l", "-o", tmp_path / "r.json"]
    stopped = invoke(*words, "--minutes", "1e-9")
    assert stopped.exit_code == 1 and "6 of 6 are left; run the same command again" in stopped.output
    assert not (tmp_path / "r.json").exists()
    done = invoke(*words)
    assert done.exit_code == 0, done.output
    record = json.loads((tmp_path / "r.json").read_text())
    assert record["format"] == module.FORMAT and [way["mode"] for way in record["ways"]] == ["auto", "quirks"]
    assert invoke("--minutes", 1).exit_code == 2  # what was measured would be lost


def test_the_commands_refusals(invoke, tmp_path, cases):
    save_case(tmp_path / "more" / cases[0].name, make_phantom("us", 5, (128, 128)))
    result = invoke("--way", "a", "-i", tmp_path / "more")
    assert isinstance(result.exception, CaseError) and "different file names" in str(result.exception)
    empty = tmp_path / "empty"
    empty.mkdir()
    assert isinstance(CliRunner().invoke(command, ["-i", str(empty), "-q"]).exception, CaseError)
    for path in cases:
        path.unlink()
    save_case(cases[0], Case(image=np.zeros((40, 40), np.uint8), label=np.zeros((40, 40), np.uint8), name="us0"))
    assert isinstance(invoke("--way", "a").exception, CaseError)


def test_models_that_are_not_there_are_named(tmp_path, cases):
    result = CliRunner().invoke(command, ["-i", str(tmp_path / "cases"), "-q"])
    assert isinstance(result.exception, WeightsError) and "weights get litemedsam" in str(result.exception)


RECORD = ROOT / "weights" / "lite-medsam" / "beside-litemedsam.json"


def test_the_page_shows_the_committed_record():
    """What docs/models.md says is what was measured; write_page puts it there."""
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    assert record["format"] == module.FORMAT and "/" not in "".join(way["name"] for way in record["ways"])
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    assert page.partition(BEGIN)[2].partition(END)[0].strip() == format_page(record)
