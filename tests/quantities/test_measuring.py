"""From files to numbers: cases, masks beside scans, label stacks, tables, the command and what it writes."""

import json
import re

import cv2
import numpy as np
import pytest

from lite_medsam.cases.case import Case, save_case, save_segs
from lite_medsam.cli import main
from lite_medsam.errors import CaseError
from lite_medsam.phantoms import make_phantom, make_phantom_volume
from lite_medsam.quantities.fovea import find_fovea, place_fovea
from lite_medsam.quantities.measure import MeasureOptions, measure_scan
from lite_medsam.quantities.quantity import find
from lite_medsam.quantities.reading import read_labelled, read_labels
from lite_medsam.quantities.run import Input, inputs_from_table, parse_eye

SIZE = (9, 96, 128)


@pytest.fixture
def case():
    return make_phantom_volume("oct-srf", 3, SIZE)


def run(*arguments) -> int:
    with pytest.raises(SystemExit) as done:
        main([str(a) for a in arguments])
    return done.value.code


def read(folder):
    return json.loads((folder / "quantities.json").read_text(encoding="utf-8"))


def number(scan, name, of, where=""):
    return next(
        q for q in scan["quantities"] if (q["quantity"], q["of"], q["where"], q["b_scan"]) == (name, of, where, None)
    )


def test_a_case_gives_its_fluid_in_nanolitres(case, tmp_path, capsys):
    save_case(tmp_path / "scan.npz", case)
    assert (
        run("quantify", "-i", tmp_path / "scan.npz", "--eye", "OS", "--visit", "2024-05-01", "-o", tmp_path / "out")
        == 0
    )
    scan = read(tmp_path / "out")["scans"][0]
    expected = np.count_nonzero(case.label) * np.prod(np.array(case.spacing_mm) * 1000) / 1e6
    found = number(scan, "fluid volume", "SRF")
    assert found["value"] == pytest.approx(expected) and found["unit"] == "nL" and expected > 1
    assert (scan["eye"], scan["visit"]) == ("L", "2024-05-01")
    assert [step["origin"] for step in scan["scale"]] == ["file"] * 3
    assert "fluid volume SRF" in capsys.readouterr().out
    assert "fluid volume" in (tmp_path / "out/quantities.csv").read_text()
    with np.load(tmp_path / "out/scan_maps.npz") as maps:
        assert maps["fluid_um"].sum() == pytest.approx(
            np.count_nonzero(case.label) * case.spacing_mm[1] * 1000, rel=1e-4
        )


def test_the_report_asks_no_host(case, tmp_path):
    save_case(tmp_path / "scan<b>.npz", case)
    assert run("quantify", "-i", tmp_path / "scan<b>.npz", "-o", tmp_path / "out", "-q") == 0
    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert not re.findall(r"(?:src|href)=\"(?!data:)", page) and "url(" not in page
    assert "scan&lt;b&gt;" in page and "scan<b>" not in page
    assert '<td>fluid pockets</td><td>SRF</td><td></td><td class="n">1</td><td>count</td>' in page
    assert page.count("data:image/png") >= 2 and "default-src 'none'" in page


def test_masks_beside_a_scan_and_a_user_s_scale(case, tmp_path):
    save_case(tmp_path / "scan.npz", Case(case.image, name="scan", is_volume=True))
    (tmp_path / "masks").mkdir()
    save_segs(tmp_path / "masks/scan.npz", case.label)
    arguments = ("quantify", "-i", tmp_path / "scan.npz", "--masks", tmp_path / "masks", "--labels", "1=PED", "-q")
    assert run(*arguments, "-o", tmp_path / "px") == 0
    assert number(read(tmp_path / "px")["scans"][0], "fluid volume", "PED")["unit"] == "voxels"
    assert run(*arguments, "--spacing-um", "100,4,12", "-o", tmp_path / "um") == 0
    scan = read(tmp_path / "um")["scans"][0]
    assert number(scan, "fluid volume", "PED")["value"] == pytest.approx(np.count_nonzero(case.label) * 4800 / 1e6)
    assert {step["origin"] for step in scan["scale"]} == {"user"}


def test_a_stack_of_pictures_is_a_volume(case, tmp_path):
    for z, plane in enumerate(case.label):
        cv2.imwrite(str(tmp_path / f"b{z}.png"), plane * 2)
    labels = read_labels(tmp_path)
    assert (labels == 2 * case.label).all()
    found = read_labelled(tmp_path, None, {2: "SRF"})
    assert not found.has_image
    quantity = find(measure_scan(found).quantities, "fluid volume", "SRF")
    assert (quantity.value, quantity.unit) == (np.count_nonzero(case.label), "voxels")


def test_the_record_of_segment_says_the_names(tmp_path):
    labels = np.zeros((40, 50), np.uint8)
    labels[5:9, 5:15] = 1
    save_segs(tmp_path / "scan.npz", labels)
    (tmp_path / "scan.json").write_text(
        json.dumps({"objects": [{"id": 1, "name": "IRF"}], "spacing_mm": [0.004, 0.01]})
    )
    found = measure_scan(read_labelled(tmp_path / "scan.npz"))
    assert find(found.quantities, "fluid area", "IRF").value == pytest.approx(40 * 4 * 10)


def test_layers_of_a_healthy_eye():
    case = make_phantom_volume("oct-healthy", 3, (25, 248, 192))
    rows = {name: case.label == value for value, name in case.label_names.items()}
    retina = ~rows["choroid"] & (case.label > 0)
    thickness = retina.sum(1) * case.spacing_mm[1] * 1000
    # far from a formula: the fovea that the phantom drew is where its RNFL is thinnest
    rnfl = rows["RNFL"].sum(1).astype(float)
    labelled = read_labelled_case(case)
    measured = measure_scan(labelled, MeasureOptions(laterality="R", first_b_scan="superior"))
    z, x = measured.grid.fovea_zx
    assert measured.grid.fovea_origin.startswith("found") and rnfl[round(z), round(x)] <= np.median(rnfl)
    central = find(measured.quantities, "central subfield thickness")
    zz, xx = np.indices(thickness.shape)
    near = np.hypot((zz - z) * case.spacing_mm[0], (xx - x) * case.spacing_mm[2]) <= 0.5
    assert central.value == pytest.approx(thickness[near].mean(), rel=0.02)
    flagged = [q for q in measured.quantities if q.quantity == "retinal thickness" and "covers" in q.note]
    assert any("outer superior" in q.where for q in flagged)
    assert 0 < find(measured.quantities, "choroid vascularity index", "choroid").value < 1


def read_labelled_case(case):
    from lite_medsam.quantities.reading import LabelledScan
    from lite_medsam.scans.geometry import Geometry
    from lite_medsam.scans.scan import Scan

    geometry = Geometry.from_spacing(case.label_shape, case.spacing_mm)
    scan = Scan(case.image, case.spacing_mm, "OCT", geometry, case.name, case.is_volume, label=case.label)
    return LabelledScan(scan, case.label, case.label_names, True)


def test_the_fovea_is_the_middle_of_the_pit():
    z, x = np.indices((41, 300))
    away = np.hypot((z - 15.0) * 0.1, (x - 140.0) * 0.02)
    thickness = 100 - 40 * np.exp(-((away / 0.4) ** 2))
    assert find_fovea(thickness, (100.0, 20.0)) == pytest.approx((15, 140), abs=0.5)
    assert find_fovea(np.where(away < 3, np.nan, thickness), (100.0, 20.0)) is None
    assert find_fovea(x.astype(float), (100.0, 20.0)) is None  # thinner and thinner to one side: no pit
    assert place_fovea((41, 300), (None, None), (3, 4), (5, 6), None) == ((3, 4), "user")
    assert place_fovea((41, 300), (None, None), None, (5, 6), None) == ((5, 6), "file")
    assert place_fovea((41, 300), (None, None), None, None, None)[1].startswith("assumed")


def test_a_table_of_visits(tmp_path):
    for k, seed in enumerate((1, 2)):
        save_case(tmp_path / f"v{k}.npz", make_phantom_volume("oct-cme", seed, SIZE))
    (tmp_path / "table.csv").write_text("File;Group;eye;visit\nv0.npz;P1;OD;2024-01-01\nv1.npz;P1;right;2025-01-01\n")
    assert run("quantify", "--table", tmp_path / "table.csv", "-o", tmp_path / "out", "-q") == 0
    record = read(tmp_path / "out")
    rows = [r for r in record["visits"] if r["quantity"] == "fluid volume" and r["where"] == ""]
    values = [number(scan, "fluid volume", "IRF")["value"] for scan in record["scans"]]
    assert [row["value"] for row in rows] == pytest.approx(values)
    assert rows[1]["change"] == pytest.approx(values[1] - values[0])
    assert rows[0]["per_year"] == pytest.approx((values[1] - values[0]) / 366 * 365.25)
    assert "Over the visits" in (tmp_path / "out/report.html").read_text(encoding="utf-8")
    (tmp_path / "bad.csv").write_text("file,eye\nv0.npz,both\n")
    with pytest.raises(CaseError, match=r"line 2: eye must be R or L"):
        inputs_from_table(tmp_path / "bad.csv", Input(tmp_path))


def test_a_fundus_picture(tmp_path):
    case = make_phantom("fundus", 1)
    save_case(tmp_path / "2D_Fundus.npz", case)
    assert run("quantify", "-i", tmp_path / "2D_Fundus.npz", "-o", tmp_path / "out", "-q") == 0
    scan = read(tmp_path / "out")["scans"][0]
    disc, cup = (np.flatnonzero((case.label >= low) & (case.label <= 2)).size for low in (1, 2))
    assert number(scan, "cup-disc ratio, area", "optic disc")["value"] == pytest.approx(cup / disc)
    lesions = sum(name == "exudate" for name in case.label_names.values())
    assert 0 < number(scan, "lesions", "exudate")["value"] <= lesions


def test_prompts_and_their_spread(tmp_path):
    case = make_phantom("oct-cme", 0)
    largest = int(np.argmax([(case.label == value).sum() for value in case.label_names]))
    save_case(tmp_path / "scan.npz", Case(case.image, name="scan", spacing_mm=case.spacing_mm, modality="OCT"))
    box = [float(v) for v in case.boxes[largest]]
    prompts = {"version": 1, "objects": [{"name": "IRF", "box": box}]}
    (tmp_path / "p.json").write_text(json.dumps(prompts))
    arguments = ("quantify", "-i", tmp_path / "scan.npz", "--prompts", tmp_path / "p.json", "--spread", 3)
    assert run(*arguments, "-o", tmp_path / "out", "-q") == 0
    scan = read(tmp_path / "out")["scans"][0]
    truth = np.count_nonzero(case.label == largest + 1) * np.prod(case.spacing_mm) * 1e6
    assert number(scan, "fluid area", "IRF")["value"] == pytest.approx(truth, rel=0.3)
    spread = next(s for s in scan["spread"] if s["quantity"] == "fluid area" and s["where"] == "")
    assert (
        spread["measured"] == 3
        and 0 < spread["sd"] < spread["mean"]
        and spread["low"] <= spread["mean"] <= spread["high"]
    )
    assert "Spread over 3 sets" in (tmp_path / "out/report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--labels", "IRF"), "labels must be NUMBER=NAME"),
        (("--eye", "third"), "eye must be R or L"),
        (("--visit", "May"), "YYYY-MM-DD"),
        (("--fovea", "3"), "--fovea must be 2 numbers"),
        (("--fovea", "300,3"), "fovea must lie in the scan"),
        (("--spacing-um", "1,2"), "spacing must be 3 numbers"),
        (("--surfaces", "ILM,BM"), "surface must be one of"),
        (("--cvi-window", "x"), "--cvi-window must be"),
        (("--kind", "fundus"), "a volume is no fundus picture"),
        (("--spread", "3", "--masks", "{empty}"), "no such file"),
    ],
)
def test_mistakes_are_one_line(case, tmp_path, capsys, arguments, message):
    save_case(tmp_path / "scan.npz", case)
    (tmp_path / "empty").mkdir()
    arguments = [a.format(empty=tmp_path / "empty") for a in arguments]
    assert run("quantify", "-i", tmp_path / "scan.npz", "-o", tmp_path / "out", *arguments) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error
    assert not (tmp_path / "out").exists()


def test_labels_need_names(tmp_path, capsys):
    save_segs(tmp_path / "scan.npz", np.eye(20, dtype=np.uint8))
    assert run("quantify", "-i", tmp_path / "scan.npz", "-o", tmp_path / "out") == 2
    assert "give --labels 1=IRF,2=SRF" in capsys.readouterr().err
    assert parse_eye("OD") == "R"


def test_a_file_of_the_clinic_and_the_masks_of_segment(tmp_path):
    """From .vol: scale, eye, day and surfaces of the file; the fluid that was drawn, in nL, within 2 %."""
    pytest.importorskip("eyepy")
    from lite_medsam.phantoms.vendor_files import write_vol

    case = make_phantom_volume("oct-srf", 3, (25, 160, 192))
    um = (118.0, 3.9, 46.0)
    top = np.full((25, 192), 30.0)
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write_vol(tmp_path / folder / "exam.vol", case.image, um, "L", {"ILM": top, "BM": top + 70})
    (tmp_path / "masks").mkdir()
    save_segs(tmp_path / "masks/exam.npz", case.label)
    inputs = ("-i", tmp_path / "a/exam.vol", "-i", tmp_path / "b/exam.vol")
    assert (
        run("quantify", *inputs[:2], "--masks", tmp_path / "masks", "--labels", "1=SRF", "-o", tmp_path / "n", "-q")
        == 0
    )
    scan = read(tmp_path / "n")["scans"][0]
    expected = np.count_nonzero(case.label) * np.prod(um) / 1e6
    assert number(scan, "fluid volume", "SRF")["value"] == pytest.approx(expected, rel=0.02)
    assert (scan["scan"], scan["eye"], scan["visit"]) == ("exam", "L", "2026-01-15")
    between = "ILM (of the device) to BM (of the device)"
    assert number(scan, "central subfield thickness", between)["value"] == pytest.approx(70 * 3.9, rel=1e-3)
    assert run("quantify", *inputs, "-o", tmp_path / "two", "-q") == 0
    record = read(tmp_path / "two")
    assert [s["scan"] for s in record["scans"]] == ["a_exam", "b_exam"]
    assert {row["scans"] for row in record["visits"]} == {1}  # two persons, not two scans of one


def test_one_bad_scan_does_not_stop_the_others(case, tmp_path, capsys):
    save_case(tmp_path / "good.npz", case)
    (tmp_path / "bad.npz").write_bytes(b"nothing")
    inputs = ("-i", tmp_path / "bad.npz", "-i", tmp_path / "good.npz")
    assert run("quantify", *inputs, "-o", tmp_path / "out") == 2
    assert [scan["scan"] for scan in read(tmp_path / "out")["scans"]] == ["good"]
    error = capsys.readouterr().err
    assert "bad.npz" in error and "1 of 2 scans failed" in error


@pytest.mark.parametrize("form", ["mhd", "tif", "folder", "nifti"])
def test_labels_of_every_form_give_the_same_volume(case, tmp_path, form):
    um = (118.0, 3.9, 46.0)
    if form == "mhd":
        from oct_files import write_mhd

        path = tmp_path / "labels.mhd"
        write_mhd(path, case.label, um)
    elif form == "tif":
        import tifffile

        path = tmp_path / "labels.tif"
        tifffile.imwrite(path, case.label, photometric="minisblack")
    elif form == "folder":
        path = tmp_path / "labels"
        path.mkdir()
        for z, plane in enumerate(case.label):
            cv2.imwrite(str(path / f"b{z}.png"), plane)
    else:
        pytest.importorskip("nibabel")
        from lite_medsam.scans.geometry import Geometry
        from lite_medsam.scans.reading import save_nifti

        path = tmp_path / "labels.nii.gz"
        save_nifti(path, case.label, Geometry.from_spacing(case.label.shape, tuple(v / 1000 for v in um)))
    given = () if form in ("mhd", "nifti") else ("--spacing-um", ",".join(map(str, um)))
    assert run("quantify", "-i", path, "--labels", "1=SRF", *given, "-o", tmp_path / "out", "-q") == 0
    found = number(read(tmp_path / "out")["scans"][0], "fluid volume", "SRF")
    assert found["unit"] == "nL"
    assert found["value"] == pytest.approx(np.count_nonzero(case.label) * np.prod(um) / 1e6, rel=1e-3)


def test_one_box_on_one_b_scan_is_followed_through_the_volume(tmp_path):
    case = make_phantom_volume("oct-srf", 3, (13, 160, 192))
    z = int(case.label.sum((1, 2)).argmax())
    rows, columns = np.nonzero(case.label[z])
    box = [int(v) for v in (columns.min(), rows.min(), columns.max(), rows.max())]
    prompts = {"version": 1, "volume": True, "objects": [{"name": "SRF", "slices": [{"z": z, "box": box}]}]}
    (tmp_path / "p.json").write_text(json.dumps(prompts))
    save_case(tmp_path / "scan.npz", Case(case.image, name="scan", spacing_mm=case.spacing_mm, is_volume=True))
    arguments = ("quantify", "-i", tmp_path / "scan.npz", "--prompts", tmp_path / "p.json")
    assert run(*arguments, "-o", tmp_path / "out", "-q") == 0
    found = number(read(tmp_path / "out")["scans"][0], "fluid volume", "SRF")
    truth = np.count_nonzero(case.label) * np.prod(np.array(case.spacing_mm) * 1000) / 1e6
    assert found["value"] == pytest.approx(truth, rel=0.4)


def test_all_layers_of_a_volume_at_once(tmp_path):
    case = make_phantom_volume("oct-healthy", 3, (3, 160, 192))
    save_case(tmp_path / "scan.npz", Case(case.image, name="scan", spacing_mm=case.spacing_mm, is_volume=True))
    retina = (case.label[1] > 0) & (case.label[1] < 8)
    rows = np.flatnonzero(retina.any(1))
    box = f"0,{rows[0]},191,{rows[-1]}"
    assert run("quantify", "-i", tmp_path / "scan.npz", "--layers", box, "-o", tmp_path / "out", "-q") == 0
    scan = read(tmp_path / "out")["scans"][0]
    assert any("layers are put in order" in note for note in scan["notes"])
    found = {q["of"]: q["value"] for q in scan["quantities"] if q["quantity"] == "layer thickness" and not q["where"]}
    assert {"RNFL", "GCL+IPL", "ONL"} <= set(found)
    truth = (case.label == 1).sum(1).mean() * case.spacing_mm[1] * 1000
    assert found["RNFL"] == pytest.approx(truth, rel=0.7)  # phantoms are not what the model was trained on


def test_a_stack_means_the_same_on_every_page(tmp_path):
    """One page with 0 and 255 alone beside one with a third number: 255 is the same label on both."""
    pages = np.zeros((2, 20, 30), np.uint8)
    pages[0, 3:6], pages[1, 3:6], pages[1, 10:12] = 255, 255, 170
    for z, plane in enumerate(pages):
        cv2.imwrite(str(tmp_path / f"b{z}.png"), plane)
    assert (read_labels(tmp_path) == pages).all()


def test_labels_with_axes_of_their_own_lie_on_the_voxels_of_the_scan(tmp_path):
    """NIfTI labels of a scan that is shown turned and mirrored: voxel i, j, k is the same in both files."""
    nibabel = pytest.importorskip("nibabel")
    rng = np.random.default_rng(0)
    image, label = rng.integers(0, 200, (12, 7, 9)).astype(np.uint8), np.zeros((12, 7, 9), np.uint8)
    label[2, 3, 4] = 1
    affine = np.array([[0, 0, 0.1, 0], [-0.01, 0, 0, 0], [0, -0.004, 0, 0], [0, 0, 0, 1]])
    nibabel.save(nibabel.Nifti1Image(image, affine), tmp_path / "scan.nii.gz")
    nibabel.save(nibabel.Nifti1Image(label, np.eye(4)), tmp_path / "label.nii.gz")
    found = read_labelled(tmp_path / "scan.nii.gz", tmp_path / "label.nii.gz", {1: "IRF"})
    assert found.label.sum() == 1 and found.scan.values[found.label == 1] == image[2, 3, 4]
