"""The list of measures: the page, the command's columns and the functions agree."""

import math

import numpy as np
import pytest
from places import ROOT

from lite_medsam.cases.case import Case, save_segs
from lite_medsam.evaluation import columns as more
from lite_medsam.evaluation import metrics
from lite_medsam.evaluation.evaluate import evaluate, evaluate_predictions
from lite_medsam.evaluation.metrics import registry
from lite_medsam.images.png_writing import png_bytes
from lite_medsam.prompts.prompt_set import load_protocol

PAGE = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")
BASE = [metric for metric in registry.METRICS if not metric.extra]


@pytest.fixture
def needs_extra():
    pytest.importorskip("panoptica", reason="needs the metrics extra")


def test_the_page_has_the_tables():
    assert registry.metrics_table() in PAGE and registry.series_table() in PAGE


def test_names_and_directions():
    names = [metric.name for metric in (*registry.METRICS, *registry.CLICK_METRICS, *registry.SERIES_METRICS)]
    assert len(set(names)) == len(names)
    assert {metric.better for metric in registry.METRICS} == {"higher", "lower", "zero"}
    assert all(hasattr(metrics, metric.name) for metric in registry.SERIES_METRICS)
    # the review's sensitivity is recall, and its precision stands twice
    assert sum(metric.of_review for metric in registry.METRICS) == len(metrics.review.FUNCTIONS) - 1


def masks():
    rows, columns = np.ogrid[:40, :60]
    return [(rows - 20) ** 2 + (columns - x) ** 2 <= 100 for x in (30, 33)]


@pytest.mark.parametrize("metric", registry.METRICS, ids=lambda metric: metric.name)
def test_direction_range_and_empty_rule(metric, request):
    if metric.extra:
        request.getfixturevalue("needs_extra")
    truth, prediction = masks()
    nothing = np.zeros_like(truth)

    def measure(first, second):
        return metric.measure(first, second, None, 2.0)

    same, other, worst = measure(truth, truth), measure(truth, prediction), measure(truth, nothing)
    if metric.better == "higher":
        assert same == 1 and 0 <= other <= 1 and 0 <= worst <= 1
        assert worst < other or metric.name == "specificity"  # an empty mask leaves all of the background alone
    elif metric.better == "lower":
        assert same == 0 and 0 <= other <= worst
    else:
        assert same == 0 and worst < 0
    both = metric.empty.split(";")[0]
    assert math.isnan(measure(nothing, nothing)) == (both == "NaN")
    if metric.empty.endswith(("; 0", "; inf")):
        one = float(metric.empty.split("; ")[1])
        assert measure(truth, nothing) == measure(nothing, truth) == one


def test_lengths_have_the_unit_of_the_spacing():
    truth, prediction = masks()
    plain, scaled = (registry.measure_all(truth, prediction, spacing, metrics=BASE) for spacing in (None, (4.0, 4.0)))
    for metric in BASE:
        if metric.name == "surface_dice":  # its tolerance is in the unit as well
            continue
        factor = {"length": 4.0, "size": 16.0}.get(metric.unit, 1.0)
        assert scaled[metric.name] == pytest.approx(factor * plain[metric.name])


def case_of(spacing_mm, modality):
    truth, prediction = masks()
    image = np.zeros(truth.shape, np.uint8)
    name = f"2D_{modality}_set_{spacing_mm is None}"
    return Case(image, truth.astype(np.uint8), spacing_mm=spacing_mm, name=name, modality=modality), prediction


def test_columns_carry_their_unit(tmp_path):
    cases = []
    for spacing_mm, modality in (((0.004, 0.012), "OCT"), (None, "OCT"), ((0.5, 0.5), "US")):
        case, prediction = case_of(spacing_mm, modality)
        cases.append(case)
        save_segs(tmp_path / f"{case.name}.npz", prediction.astype(np.uint8))
    result = evaluate_predictions(cases, tmp_path, columns=more.measure_columns(2.0))
    scan, unknown, ultrasound = result.rows
    # moved by 3 columns of 12 um; the bottom of the disk is one row lower at most
    assert scan["hausdorff_um"] == pytest.approx(36) and unknown["hausdorff_px"] == 3
    assert ultrasound["hausdorff_mm"] == pytest.approx(1.5)
    assert scan["size_true_mm2"] == pytest.approx(scan["area_px"] * 0.004 * 0.012)
    assert unknown["size_true_px"] == unknown["area_px"]
    table = more.measures_table(result.rows)
    assert {(line["measure"], line["unit"]) for line in table if line["measure"] == "HD95"} == {
        ("HD95", "px"), ("HD95", "um"), ("HD95", "mm"),
    }  # fmt: skip
    assert all(line["objects"] + line["undefined"] in (1, 2, 3) for line in table)
    named = {line["measure"] for line in table}
    assert {metric.title for metric in BASE} <= named
    assert [line["size in"] for line in more.size_agreement(result.rows)] == ["px", "mm2"]


def test_an_infinite_value_has_no_mean_but_a_median(tmp_path):
    case, prediction = case_of(None, "OCT")
    for name, mask in (("a", prediction), ("b", prediction), ("c", prediction & False)):
        save_segs(tmp_path / f"{name}.npz", mask.astype(np.uint8))
    cases = [Case(case.image, case.label, name=name, modality="OCT") for name in "abc"]
    rows = evaluate_predictions(cases, tmp_path, columns=more.measure_columns(2.0)).rows
    line = next(line for line in more.measures_table(rows) if line["measure"] == "Hausdorff distance")
    assert math.isnan(line["mean"]) and line["median"] == 3 and line["infinite"] == 1
    dice = next(line for line in more.measures_table(rows) if line["measure"] == "Dice")
    assert dice["mean"] == pytest.approx(2 * rows[0]["dice"] / 3)


@pytest.mark.parametrize("ending", ["_label.png", ".png", ".tif", "_label.nii.gz", ".nii"])
@pytest.mark.parametrize("value", [1, 255])
def test_label_files_as_predictions(tmp_path, ending, value):
    case, prediction = case_of(None, "OCT")
    path = tmp_path / (case.name + ending)
    pixels = prediction.astype(np.uint8) * np.uint8(value)
    if ending.endswith(".png"):
        path.write_bytes(png_bytes(pixels))
    elif ending.endswith(".tif"):
        import tifffile

        tifffile.imwrite(path, pixels)
    else:
        nibabel = pytest.importorskip("nibabel", reason="needs the medical extra")
        # columns run to the patient's left, rows to the back: a slice as radiology shows it
        pixels = pixels.astype(np.float32)  # as some programs store labels
        nibabel.save(nibabel.Nifti1Image(pixels.T[:, :, None], np.diag([-1.0, -1, 1, 1])), path)
    result = evaluate_predictions([case], tmp_path)
    assert not result.skipped
    assert [row["label"] for row in result.rows] == [1]
    assert result.rows[0]["dice"] == pytest.approx(metrics.dice(*masks()))


class Growing:
    """Answers with the truth's columns up to a limit that grows with each click."""

    def __init__(self, truth, step):
        self.truth, self.step = truth, step

    def segment(self, image, prompts):
        self.stack = []
        for prompt in prompts:
            mask = self.truth.copy()
            mask[:, 24 + self.step * len(prompt.points) :] = False
            self.stack.append(mask)
        return self

    scores = (0.5,)

    def __len__(self):
        return len(self.stack)

    def mask(self, index):
        return self.stack[index]


def test_clicks_to_a_goal():
    import dataclasses

    case, _ = case_of(None, "OCT")
    truth = masks()[0]
    protocol = dataclasses.replace(load_protocol("box+clicks"), clicks=20)
    result = evaluate(Growing(truth, 2), [case], protocol, columns=more.click_columns(2.0))
    more.add_click_scores(result.rows)
    (row,) = result.rows
    series = [row[f"dice_{click}"] for click in range(21)]
    assert series[0] < series[5] < series[9] == series[20] == 1
    assert row["dsc_auc"] == pytest.approx(sum((series[k] + series[k + 1]) / 2 for k in range(1, 5)))
    assert row["dsc_final"] == series[5] and row["dsc_auc_normalised"] == row["dsc_auc"] / 4
    assert row["noc90_dice"] == next(k for k, value in enumerate(series) if value >= 0.9)
    assert row["reached90_dice"] == 1
    assert {line["measure"] for line in more.click_table(result.rows)} == {m.name for m in registry.CLICK_METRICS}
    assert all(metric.name in row for metric in registry.CLICK_METRICS)


def test_the_command(tmp_path, capsys):
    from lite_medsam.cases.case import save_case
    from lite_medsam.cli import main

    case, prediction = case_of((0.004, 0.012), "OCT")
    save_case(tmp_path / "cases" / f"{case.name}.npz", case)
    save_segs(tmp_path / "out" / f"{case.name}.npz", prediction.astype(np.uint8))

    def run(*words):
        with pytest.raises(SystemExit) as ended:
            main(["evaluate", "-i", str(tmp_path / "cases"), "-q", *map(str, words)])
        return ended.value.code, capsys.readouterr()

    target, report = tmp_path / "measures.csv", tmp_path / "measures.md"
    code, shown = run("--predictions", tmp_path / "out", "--metrics", "review", "-o", target, "--report", report)
    assert code == 0 and "Hausdorff distance" in shown.out and "mm2" in shown.out
    assert "boundary_mae_um" in target.read_text().splitlines()[0]
    assert "| Boundary MAE" in report.read_text()
    code, shown = run("--metrics", "clicks", "--baseline", "ellipse")
    assert code == 2 and "--protocol clicks or box+clicks" in shown.err
    code, shown = run("--metrics", "clicks", "--predictions", tmp_path / "out")
    assert code == 2 and "leave --predictions out" in shown.err
    code, shown = run("--metrics", "clicks", "--protocol", "box+clicks", "--baseline", "ellipse", "--json")
    assert code == 0 and '"dsc_auc"' in shown.out


def test_all_at_once_is_each_alone():
    truth, prediction = masks()
    for first, second in ((truth, prediction), (truth, truth & False), (truth & False, truth & False)):
        together = registry.measure_all(first, second, (3.9, 11.5), 20.0, BASE)
        for metric in BASE:
            alone = metric.measure(first, second, (3.9, 11.5), 20.0)
            assert together[metric.name] == pytest.approx(alone, nan_ok=True), metric.name
