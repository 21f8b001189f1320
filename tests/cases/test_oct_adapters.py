"""Adapters of the OCT sets, each on a tree laid out as published; and `datasets check` on the same trees."""

import numpy as np
import oct_files
import pytest
from click.testing import CliRunner
from PIL import Image
from scipy import io

from lite_medsam.cases.adapters import Options, open_adapter
from lite_medsam.cases.adapters.write import check_source, prepare_cases
from lite_medsam.cases.case import load_case
from lite_medsam.cases.recognise import recognise
from lite_medsam.cli.datasets import command
from lite_medsam.errors import CaseError

RNG = np.random.default_rng(3)
SCAN = RNG.integers(30, 220, (40, 60)).astype(np.uint8)


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def bands(*values) -> np.ndarray:
    label = np.zeros((40, 60), np.uint8)
    for k, value in enumerate(values):
        label[5 * k : 5 * k + 5] = value
    return label


def retouch(root):
    volume = RNG.integers(0, 60000, (4, 40, 60)).astype(np.uint16)
    label = np.zeros((4, 40, 60), np.uint8)
    label[1, 5:9, 5:9], label[2, 10:20, 10:20] = 1, 3
    for number in (1, 2):
        folder = root / "RETOUCH-TrainingSet-Spectralis" / f"TRAIN{number:03d}"
        folder.mkdir(parents=True)
        oct_files.write_mhd(folder / "oct.mhd", volume + number, (120.0, 3.87, 11.5))
        oct_files.write_mhd(folder / "reference.mhd", label, (120.0, 3.87, 11.5))
    folder = root / "RETOUCH-TestSet-Cirrus" / "TEST001"
    folder.mkdir(parents=True)
    oct_files.write_mhd(folder / "oct.mhd", volume, (47.0, 1.96, 11.7))


def duke_dme(root):
    root.mkdir(parents=True)
    volume = RNG.integers(30, 220, (5, 40, 60)).astype(np.uint8)
    layers = np.full((8, 60, 5), np.nan)
    for k in range(8):
        layers[k, 10:50, 2] = 5 + 3 * k  # MATLAB's rows, from 1
    fluid = np.zeros((5, 40, 60))
    fluid[2, 10:12, 20:30] = 4
    oct_files.write_dme(root / "Subject_01.mat", volume, fluid, layers)
    return volume


def duke_amd(root):
    root.mkdir(parents=True)
    maps = np.zeros((5, 60, 3))
    maps[3, 5:55] = (6, 20, 25)
    oct_files.write_amd(root / "Farsiu_Ophthalmology_2013_AMD_Subject_1001.mat", np.repeat(SCAN[None], 5, 0), maps)


def umn(root):
    root.mkdir(parents=True)

    def cell(*arrays):
        found = np.empty((1, len(arrays)), object)
        for k, array in enumerate(arrays):
            found[0, k] = array
        return found

    scans = np.repeat(SCAN[..., None], 3, 2)
    wet, dry = np.zeros((40, 60, 3), np.uint8), np.zeros((40, 60, 3), np.uint8)
    wet[4:9, 4:9, 1] = 255
    io.savemat(
        root / "UMN_Dataset.mat",
        {"AllSubjects": cell(scans, scans), "ManualFluid1": cell(wet, dry), "ManualFluid2": cell(dry, dry)},
    )


def halves(root, folder, colours):
    mask = np.zeros((40, 60, 3), np.uint8)
    for k, colour in enumerate(colours):
        mask[5 * k : 5 * k + 5] = colour
    save(root / folder / "1.png", np.concatenate([np.repeat(SCAN[..., None], 3, 2), mask], axis=1))


def oimhs(root):
    halves(root, "Images/7", [(255, 255, 0), (0, 255, 0), (0, 0, 255), (255, 0, 0), (90, 90, 90)])


def amd_sd(root):
    halves(root, "AMD-SD/images/12", [(254, 1, 250), (0, 255, 0), (255, 0, 0), (255, 255, 0), (0, 0, 255)])


def aroi(root):
    for patient in (1, 2):
        base = root / f"24_patient/patient{patient}"
        for number in (3, 4):
            name = f"patient{patient}_raw{number:04d}.png"
            save(base / "raw/labeled" / name, SCAN + number)
            save(base / "mask/number" / name, bands(1, 2, 3, 4, 5, 6, 7))
            save(base / "mask/color" / name, np.repeat(SCAN[..., None], 3, 2))
        save(base / "raw/unlabeled" / f"patient{patient}_raw0009.png", SCAN)


def goals(root):
    save(root / "Train/Image/0001.png", SCAN)
    save(root / "Train/Layer_Masks/0001.png", np.where(bands(1, 1, 2, 2) == 1, 0, 255).astype(np.uint8))
    save(root / "Train/Image/0002.png", SCAN + 1)
    rows = np.repeat(np.array([255, 0, 80, 160], np.uint8), 10)
    save(root / "Train/Layer_Masks/0002.png", np.tile(rows[:, None], (1, 60)))


def oct5k(root):
    for grader in (1, 2):
        save(root / f"Masks/Masks_Manual/Grading_{grader}/AMD Part1/AMD (1).E2E/Image (1).png", bands(1, 2, 3, 4, 5))
    save(root / "Images/Images_Manual/AMD Part1/AMD (1).E2E/Image (1).png", SCAN)
    save(root / "Images/Images_Manual/AMD Part1/AMD (2).E2E/Image (1).png", SCAN)


def nr206(root):
    for part in ("train", "test"):
        save(root / "NR206" / part / "img/a.png", SCAN)
        save(root / "NR206" / part / "mask/a.png", bands(1, 2, 8))


# tree, cases, label values of the first case, dataset id that `check` finds
SETS = {
    "retouch": (retouch, 2, {0, 1, 3}, "retouch"),
    "duke-dme": (duke_dme, 1, {0, 1, 2, 3, 4, 5, 6, 7, 8}, "duke-cyst"),
    "duke-amd": (duke_amd, 1, {0, 1, 2}, "duke-wloa"),
    "umn": (umn, 3, {0}, "umn"),
    "oimhs": (oimhs, 1, {0, 1, 2, 3, 4}, "oimhs"),
    "amd-sd": (amd_sd, 1, {0, 1, 2, 3, 4, 5}, "amd-sd"),
    "aroi": (aroi, 4, {0, 1, 2, 3, 4, 5, 6, 7}, "aroi"),
    "goals": (goals, 2, {0, 1}, "goals"),
    "oct5k": (oct5k, 1, {0, 1, 2, 3, 4, 5}, "oct5k"),
    "nr206": (nr206, 2, {0, 1, 2, 8}, "nr206"),
}


def read(name, root):
    adapter = open_adapter(name, root, Options())
    listing = adapter.find()
    return listing, [adapter.read(item) for item in listing.items]


@pytest.mark.parametrize("name", SETS)
def test_a_tree_as_published_becomes_cases(tmp_path, name):
    make, count, values, dataset = SETS[name]
    root = tmp_path / "raw"
    make(root)
    _, readings = read(name, root)
    assert len(readings) == count
    first = readings[0].case
    assert set(np.unique(first.label).tolist()) == values and first.modality == "OCT"
    assert first.is_volume == (name == "retouch")
    adapter = open_adapter(name, root, Options())
    report = prepare_cases(adapter, adapter.settings, tmp_path / "cases")
    assert report.written >= count - 1 and not report.errors  # a copy in a held-out part may be left out
    assert any(one.dataset.id == dataset and name in one.command for one in recognise(root))
    other = tmp_path / "other"
    save(other / "x/photo.png", SCAN)
    with pytest.raises(CaseError, match="must look like") as raised:
        open_adapter(name, other, Options()).find() if name not in ("oimhs", "amd-sd") else _refused(name, tmp_path)
    assert str(other) in str(raised.value) or "empty" in str(raised.value)


def _refused(name, folder):
    (folder / "empty").mkdir()
    open_adapter(name, folder / "empty", Options()).find()


def test_retouch_keeps_spacing_groups_and_what_has_no_reference(tmp_path):
    retouch(tmp_path)
    listing, readings = read("retouch", tmp_path)
    assert readings[0].case.spacing_mm == pytest.approx((0.12, 0.00387, 0.0115))
    assert [item.group for item in listing.items] == ["spectralis_TRAIN001", "spectralis_TRAIN002"]
    assert [problem.kind for problem in listing.problems] == ["unlabelled-part"]


def test_duke_surfaces_are_matlab_rows(tmp_path):
    volume = duke_dme(tmp_path / "raw")
    (reading,) = read("duke-dme", tmp_path / "raw")[1]
    label = reading.case.label
    assert np.array_equal(reading.case.image, volume[2])
    assert label[4, 12] == 1 and label[3, 12] == 0 and label[6, 12] == 1 and label[7, 12] == 2  # rows 5 to 7 of MATLAB
    assert (label[10:12, 20:30] == 8).all() and (label[:, :10] == 0).all()
    assert reading.case.group == "Subject_01" and reading.case.spacing_mm is None


def test_umn_graders_that_differ_are_counted(tmp_path):
    umn(tmp_path / "raw")
    listing, readings = read("umn", tmp_path / "raw")
    assert [reading.case.label.sum() for reading in readings] == [0, 25, 0]
    assert [problem.kind for reading in readings for problem in reading.problems] == ["label-disagreement"]
    assert len({item.group for item in listing.items}) == 1


def test_aroi_keeps_patients_and_goals_its_values(tmp_path):
    aroi(tmp_path / "a")
    listing, _ = read("aroi", tmp_path / "a")
    assert sorted({item.group for item in listing.items}) == ["patient1", "patient2"]
    assert not [p for p in listing.problems if p.kind == "unpaired-mask"]
    goals(tmp_path / "g")
    _, readings = read("goals", tmp_path / "g")
    assert [readings[1].case.label[10 * k].max() for k in range(4)] == [0, 1, 2, 3]


def test_masks_of_another_kind_are_refused(tmp_path):
    save(tmp_path / "Train/Image/1.png", SCAN)
    save(tmp_path / "Train/Layer_Masks/1.png", bands(0, 7, 80))
    report = check_source(open_adapter("goals", tmp_path, Options()), Options())
    assert [problem.kind for problem in report.errors] == ["unexpected-labels"]
    halves(tmp_path / "o", "Images/3", [(0, 255, 255)] * 4)
    report = check_source(open_adapter("oimhs", tmp_path / "o", Options()), Options())
    assert [problem.kind for problem in report.errors] == ["unexpected-labels"]


def test_the_oct_adapter_takes_files_of_the_clinic(tmp_path):
    pytest.importorskip("eyepy")
    from lite_medsam.phantoms.vendor_files import write_vol

    volume = RNG.integers(0, 255, (4, 40, 60)).astype(np.uint8)
    label = np.zeros((4, 40, 60), np.uint8)
    label[2, 10:20, 10:30] = 1
    (tmp_path / "raw").mkdir()
    write_vol(tmp_path / "raw/P1.vol", volume, (120.0, 3.87, 11.5))
    np.savez_compressed(tmp_path / "raw/P1_label.npz", segs=label)
    oct_files.write_tiff(tmp_path / "raw/P2.tif", volume)
    oct_files.write_tiff(tmp_path / "raw/P2_mask.tif", label)
    write_vol(tmp_path / "raw/P3.vol", volume, (120.0, 3.87, 11.5))
    adapter = open_adapter("oct", tmp_path / "raw", Options(group_regex=r"(P\d)"))
    report = prepare_cases(adapter, adapter.settings, tmp_path / "cases")
    assert report.written == 2 and {p.kind for p in report.all_problems} >= {"unpaired-image", "no-spacing"}
    case = load_case(next((tmp_path / "cases").glob("*P1.npz")))
    assert case.is_volume and case.spacing_mm == pytest.approx((0.12, 0.00387, 0.0115)) and case.group == "P1"
    assert np.array_equal(case.label, label)


def test_cite_and_check_on_the_command_line(tmp_path):
    cited = CliRunner().invoke(command, ["cite", "retouch"])
    assert cited.exit_code == 0 and "Bogunovic" in cited.output and "terms:" in cited.output
    assert CliRunner().invoke(command, ["cite", "no-such-set"]).exit_code == 2
    retouch(tmp_path / "my retouch")
    done = CliRunner().invoke(command, ["check", str(tmp_path / "my retouch")])
    assert done.exit_code == 0 and "RETOUCH" in done.output and "references: 2 of 70" in done.output
    assert f'lite-medsam prepare retouch -i "{tmp_path / "my retouch"}" -o cases' in done.output
    (tmp_path / "x").mkdir()
    (tmp_path / "x/readme.txt").write_text("x")
    assert CliRunner().invoke(command, ["check", str(tmp_path / "x")]).exit_code == 2
    assert CliRunner().invoke(command, ["check", str(tmp_path / "nowhere")]).exit_code != 0
