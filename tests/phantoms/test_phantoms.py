"""Phantoms: the labels are exact, the anatomy is where it belongs, and seeds repeat and differ."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from lite_medsam.cases.case import MODALITIES, load_case, save_case
from lite_medsam.phantoms import (
    KINDS,
    MIN_SIDE_PX,
    VOLUME_KINDS,
    bundled_cases,
    make_phantom,
    make_phantom_volume,
    scene,
)
from lite_medsam.phantoms import oct as oct_phantom
from lite_medsam.phantoms.shapes import boxes_of, fill, largest_part, random_blob, spline
from lite_medsam.phantoms.texture import smooth_noise, smooth_stack, speckle

MANY_PARTS = {"vessels"}  # a class, not one organ


@pytest.fixture(scope="module")
def pictures():
    """One case of every kind at its usual size."""
    return {kind: make_phantom(kind, 1) for kind in KINDS}


@pytest.fixture(scope="module")
def volumes():
    """One volume of every kind, small in the slice and of the usual number of slices."""
    return {kind: make_phantom_volume(kind, 1, (24, 140, 170)) for kind in VOLUME_KINDS}


@pytest.fixture(scope="module")
def bundled():
    return bundled_cases()


def check_contract(case, kind, seed):
    """What every phantom promises, whatever its size."""
    dims = 3 if case.is_volume else 2
    assert case.image.dtype == np.uint8 and np.issubdtype(case.label.dtype, np.unsignedinteger)
    assert case.label.shape == case.image.shape[:dims]
    count = int(case.label.max())
    assert count >= 1
    assert set(np.unique(case.label)) == set(range(count + 1)), "values are consecutive and none is empty"
    assert set(case.label_names) == set(range(1, count + 1))
    assert case.boxes.dtype == np.float32 and case.boxes.shape == (count, 2 * dims)
    touching = np.ones((3,) * dims)
    for value in range(1, count + 1):
        mask = case.label == value
        where = np.argwhere(mask)[:, ::-1]  # x, y(, z)
        np.testing.assert_array_equal(case.boxes[value - 1], np.r_[where.min(0), where.max(0)])
        if case.label_names[value] not in MANY_PARTS:
            assert ndimage.label(mask, touching)[1] == 1, f"{case.label_names[value]} is in pieces"
    assert case.modality in MODALITIES
    assert case.group == f"phantom-{kind}-{seed}"
    assert case.name == f"{dims}D_{case.modality}_{kind}-{seed:04d}"
    assert case.spacing_mm is None or (len(case.spacing_mm) == dims and min(case.spacing_mm) > 0)
    assert case.image.std() > 5, "a picture, not a blank"


def same(first, second):
    return np.array_equal(first.image, second.image) and np.array_equal(first.label, second.label)


def mean_inside(case, name, channel=None):
    """Mean grey (or of one colour channel) over all labels with a name."""
    image = case.image if channel is None else case.image[..., channel]
    values = [value for value, found in case.label_names.items() if found == name]
    return float(image[np.isin(case.label, values)].mean())


@pytest.mark.parametrize("kind", KINDS)
def test_contract(pictures, kind):
    check_contract(pictures[kind], kind, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_odd_size_repeats_and_seed_varies_anatomy(kind):
    first = make_phantom(kind, 7, (333, 517))
    assert first.label.shape == (333, 517)
    check_contract(first, kind, 7)
    np.random.seed(0)  # the global state must not matter
    assert same(first, make_phantom(kind, 7, (333, 517)))
    other = make_phantom(kind, 8, (333, 517))
    a, b = first.label > 0, other.label > 0
    if kind == "oct-healthy":  # the layers and the choroid cover the same band; compare one layer
        a, b = first.label == 3, other.label == 3
    assert (a & b).sum() / (a | b).sum() < 0.93


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    kind=st.sampled_from(KINDS),
    seed=st.integers(0, 2**31),
    height=st.integers(MIN_SIDE_PX, 260),
    width=st.integers(MIN_SIDE_PX, 260),
)
def test_any_seed_and_size(kind, seed, height, width):
    check_contract(make_phantom(kind, seed, (height, width)), kind, seed)


def test_same_in_another_process():
    code = (
        "import hashlib; from lite_medsam.phantoms import make_phantom as m; c = m('pet', 3, (160, 120));"
        "print(hashlib.sha256(c.image.tobytes() + c.label.tobytes()).hexdigest())"
    )
    env_python = [sys.executable, "-X", "utf8", "-c", code]
    case = make_phantom("pet", 3, (160, 120))
    wanted = hashlib.sha256(case.image.tobytes() + case.label.tobytes()).hexdigest()
    found = subprocess.run(env_python, capture_output=True, text=True, check=True).stdout.strip()
    assert found == wanted


def test_bad_arguments_say_what_to_do():
    with pytest.raises(ValueError, match=r"kind must be one of oct-healthy, .*got 'octopus'"):
        make_phantom("octopus")
    with pytest.raises(ValueError, match=r"kind must be one of ct, mr, .*got 'xray'"):
        make_phantom_volume("xray")
    for size in ((50, 512), (512,), (3, 512, 512), "large", 512):
        with pytest.raises(ValueError, match=r"size must be \(H, W\) with sides of at least 96"):
            make_phantom("ct", 0, size)
    with pytest.raises(ValueError, match=r"size must be \(D, H, W\), D at least 3"):
        make_phantom_volume("ct", 0, (2, 128, 128))
    for seed in (-1, 1.5, "0", True):
        with pytest.raises(ValueError, match="seed must be a non-negative integer"):
            make_phantom("ct", seed)


# ---- the truth lies where the picture changes


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("oct-cme", "cyst"), ("oct-srf", "subretinal fluid"), ("ct", "left kidney"), ("us", "lesion"),
        ("mr", "left lateral ventricle"), ("xray", "right lung"), ("dermoscopy", "lesion"),
        ("microscopy", "nucleus"), ("pet", "lesion"), ("mammography", "mass"), ("fundus", "exudate"),
    ],
)  # fmt: skip
def test_outline_is_where_the_contrast_is(pictures, kind, name):
    case = pictures[kind]
    grey = case.image.astype(float) if case.image.ndim == 2 else case.image.astype(float)[..., 1]
    mask = np.isin(case.label, [value for value, found in case.label_names.items() if found == name])

    def contrast(dy, dx):
        moved = np.roll(mask, (dy, dx), (0, 1))
        inner = moved & ~ndimage.binary_erosion(moved, iterations=3)
        outer = ndimage.binary_dilation(moved, iterations=3) & ~moved
        return abs(grey[inner].mean() - grey[outer].mean())

    here = contrast(0, 0)
    assert here > max(contrast(dy, dx) for dy, dx in ((4, 0), (-4, 0), (0, 5), (0, -5)))


# ---- OCT


def test_oct_spacing_is_anisotropic(pictures):
    axial, lateral = pictures["oct-cme"].spacing_mm
    assert axial == pytest.approx(0.0039, abs=0.0001) and lateral == pytest.approx(0.0117, abs=0.0001)
    half = make_phantom("oct-cme", 1, (248, 768))
    assert half.spacing_mm == pytest.approx((2 * axial, lateral)), "the field of view is fixed"


def test_oct_layers_have_the_order_of_brightness_of_a_retina(pictures):
    case = pictures["oct-healthy"]
    level = {name: mean_inside(case, name) for name in case.label_names.values()}
    vitreous = case.image[:20].mean()
    assert level["RPE"] > level["RNFL"] > level["GCL+IPL"] > level["OPL"] - 12
    assert level["GCL+IPL"] > level["INL"] > level["ONL"] > vitreous
    assert level["OPL"] > level["INL"], "the outer plexiform layer stands out between two dark ones"
    assert level["RPE"] > level["choroid"] > vitreous


@pytest.mark.parametrize("seed", range(4))
def test_oct_layers_are_stacked_and_thin_at_the_fovea(seed):
    case = make_phantom("oct-healthy", seed)
    rows = np.arange(case.label.shape[0])[:, None]
    centres = [np.where(case.label == v, rows, 0).sum(0) / (case.label == v).sum(0) for v in range(1, 9)]
    assert (np.diff(centres, axis=0) > 0).all(), "every layer in every column, from RNFL down to the choroid"
    thick_um = ((case.label >= 1) & (case.label <= 7)).sum(0) * case.spacing_mm[0] * 1000
    fovea = int(np.argmin(ndimage.gaussian_filter1d(thick_um, 8)[150:-150])) + 150
    side = round(1.2 / case.spacing_mm[1])
    assert 180 < thick_um[fovea] < 270
    assert thick_um[fovea - side] > thick_um[fovea] + 50 and thick_um[fovea + side] > thick_um[fovea] + 50
    assert max(thick_um) < 420


@pytest.mark.parametrize("seed", range(4))
def test_cysts_lie_inside_inl_and_onl_and_thicken_the_fovea(seed):
    retina = oct_phantom.make_retina("cme", np.random.default_rng(seed), (1, 496, 768))
    surfaces = {name: row[0] for name, row in retina.surfaces.items()}
    for value in range(1, retina.fluid.max() + 1):
        row, column = np.nonzero(retina.fluid[0] == value)
        in_onl = (row >= surfaces["opl_onl"][column]) & (row < surfaces["elm"][column])
        in_inl = (row >= surfaces["ipl_inl"][column]) & (row < surfaces["inl_opl"][column])
        assert in_onl.all() or in_inl.all()
    assert retina.fluid.max() >= 3
    thick_um = (surfaces["bm"] - surfaces["ilm"]) * retina.um_per_px[0]
    assert thick_um[np.argmin(retina.r_mm[0])] > 320, "a normal fovea has about 230 um"


@pytest.mark.parametrize("seed", range(4))
def test_subretinal_fluid_lies_between_photoreceptors_and_rpe(seed):
    retina = oct_phantom.make_retina("srf", np.random.default_rng(seed), (1, 496, 768))
    surfaces = {name: row[0] for name, row in retina.surfaces.items()}
    fluid = retina.fluid[0] > 0
    row, column = np.nonzero(fluid)
    assert (row >= surfaces["os_end"][column]).all() and (row < surfaces["rpe"][column]).all()
    tallest = fluid.sum(0).argmax()
    assert fluid[:, tallest].sum() * retina.um_per_px[0] > 60
    # it fills the whole gap
    gap = surfaces["rpe"][tallest] - surfaces["os_end"][tallest]
    assert fluid[:, tallest].sum() == pytest.approx(gap, abs=1)


def test_surfaces_never_cross():
    for variant in ("healthy", "cme", "srf"):
        retina = oct_phantom.make_retina(variant, np.random.default_rng(5), (3, 200, 300))
        rows = np.stack([retina.surfaces[name] for name in oct_phantom.SURFACES])
        assert (np.diff(rows, axis=0) >= 0).all()
        assert rows.min() >= 0 and retina.surfaces["bm"].max() < 200


# ---- other modalities


def test_ct_organs_are_on_their_side_and_lesions_are_dark(pictures):
    case = pictures["ct"]
    centre = {name: case.boxes[value - 1] for value, name in case.label_names.items()}
    middle = case.label.shape[1] / 2
    assert centre["liver"][[0, 2]].mean() < middle < centre["spleen"][[0, 2]].mean()
    assert centre["right kidney"][[0, 2]].mean() < middle < centre["left kidney"][[0, 2]].mean()
    assert mean_inside(case, "liver lesion") < mean_inside(case, "liver") - 10
    assert mean_inside(case, "gallbladder") < mean_inside(case, "liver") < mean_inside(case, "left kidney")


def test_mr_oedema_surrounds_the_tumour(pictures):
    case = pictures["mr"]
    value = {name: v for v, name in case.label_names.items()}
    tumour = case.label == value["tumour"]
    ring = ndimage.binary_dilation(tumour, iterations=3) & ~tumour
    assert (case.label[ring] == value["oedema"]).mean() > 0.4


def test_xray_lungs_are_dark_and_the_heart_is_left(pictures):
    case = pictures["xray"]
    assert mean_inside(case, "right lung") < mean_inside(case, "heart") - 60
    assert mean_inside(case, "left lung") < mean_inside(case, "heart") - 60
    heart_x = np.nonzero(case.label == 3)[1].mean()
    assert heart_x > case.label.shape[1] / 2, "the patient's left is on the right of the film"


def test_fundus_colours_and_field(pictures):
    case = pictures["fundus"]
    assert mean_inside(case, "optic cup", 1) > mean_inside(case, "optic disc", 1)
    assert mean_inside(case, "exudate", 1) > mean_inside(case, "haemorrhage", 1) + 60
    corners = case.image[:30, :30].max()
    assert corners < 40, "outside the field the picture is black"


def test_fundus_vessels_are_the_same_eye_and_dark(pictures):
    case, vessels = pictures["fundus"], pictures["fundus-vessels"]
    np.testing.assert_array_equal(case.image, vessels.image)
    mask = vessels.label == 1
    beside = ndimage.binary_dilation(mask, iterations=6) & ~ndimage.binary_dilation(mask, iterations=2)
    assert case.image[..., 1][mask].mean() < case.image[..., 1][beside].mean() - 10
    assert not (mask & (case.label > 2)).any(), "a lesion hides the vessel behind it"


@pytest.mark.parametrize("seed", range(3))
def test_nuclei_are_many_and_some_touch(seed):
    case = make_phantom("microscopy", seed)
    assert 40 <= case.label.max() <= 80
    right, below = case.label[:, 1:], case.label[1:]
    touch = ((case.label[:, :-1] != right) & (case.label[:, :-1] > 0) & (right > 0)).any()
    touch |= ((case.label[:-1] != below) & (case.label[:-1] > 0) & (below > 0)).any()
    assert touch


def test_outlines_are_organic_not_ellipses(bundled):
    """The inscribed ellipse of the box, a baseline of the evaluation, must not be the answer."""
    overlap = []
    for case in bundled:
        for value, (x0, y0, x1, y1) in enumerate(case.boxes, 1):
            y, x = np.ogrid[: case.label.shape[0], : case.label.shape[1]]
            rx, ry = (x1 - x0 + 1) / 2, (y1 - y0 + 1) / 2
            ellipse = ((x - (x0 + x1) / 2) / rx) ** 2 + ((y - (y0 + y1) / 2) / ry) ** 2 <= 1
            mask = case.label == value
            overlap.append(2 * (ellipse & mask).sum() / (ellipse.sum() + mask.sum()))
    assert np.mean(overlap) < 0.9


# ---- volumes


@pytest.mark.parametrize("kind", VOLUME_KINDS)
def test_volume_contract(volumes, kind):
    case = volumes[kind]
    assert case.is_volume and case.image.ndim == 3
    check_contract(case, kind, 1)


@pytest.mark.parametrize("kind", VOLUME_KINDS)
def test_volume_changes_smoothly(volumes, kind):
    label = volumes[kind].label > 0
    middle = len(label) // 2
    near = [
        2 * (a & b).sum() / (a.sum() + b.sum())
        for a, b in zip(label[middle - 3 : middle + 3], label[middle - 2 : middle + 4], strict=True)
    ]
    # cysts and tumours are small next to the distance of slices, organs and layers are not
    assert min(near) > {"oct-cme": 0.45, "mr": 0.65}.get(kind, 0.8)
    assert len({plane.tobytes() for plane in volumes[kind].image}) == len(label)


def test_volume_repeats_and_keeps_its_field_of_view():
    first, again = (make_phantom_volume("mr", 2, (5, 130, 111)) for _ in range(2))
    assert same(first, again)
    thin = make_phantom_volume("mr", 2, (10, 130, 111))
    assert thin.spacing_mm[0] == pytest.approx(first.spacing_mm[0] / 2)
    assert not same(first, make_phantom_volume("mr", 3, (5, 130, 111)))


# ---- the bundled set


def test_bundled_cases_cover_every_modality_and_survive_the_disk(bundled, tmp_path):
    cases = bundled
    assert {case.modality for case in cases} == set(MODALITIES)
    assert sum(case.modality == "OCT" for case in cases) == 2 and len(cases) == len(MODALITIES) + 1
    assert len({case.name for case in cases}) == len(cases)
    assert same(cases[0], make_phantom("oct-cme", int(cases[0].group.rsplit("-", 1)[1])))
    save_case(tmp_path / f"{cases[0].name}.npz", cases[0])
    back = load_case(tmp_path / f"{cases[0].name}.npz")
    assert same(back, cases[0]) and dict(back.label_names) == dict(cases[0].label_names)
    np.testing.assert_array_equal(back.boxes, cases[0].boxes)


# ---- the tools


def test_boxes_include_the_last_pixel():
    label = np.zeros((6, 9), np.uint8)
    label[2:4, 3:8] = 1
    label[5, 0] = 2
    np.testing.assert_array_equal(boxes_of(label), [[3, 2, 7, 3], [0, 5, 0, 5]])
    np.testing.assert_array_equal(boxes_of(label[None]), [[3, 2, 0, 7, 3, 0], [0, 5, 0, 0, 5, 0]])


def test_noise_has_unit_spread_and_the_scale_asked_for():
    noise = smooth_noise(np.random.default_rng(0), (400, 500), 8)
    assert noise.shape == (400, 500) and noise.std() == pytest.approx(1, abs=0.1)
    assert abs(np.corrcoef(noise[:, :-1].ravel(), noise[:, 1:].ravel())[0, 1]) > 0.95
    assert abs(np.corrcoef(noise[:, :-40].ravel(), noise[:, 40:].ravel())[0, 1]) < 0.1
    stack = smooth_stack(np.random.default_rng(0), (9, 200, 200), (4, 10, 10))
    assert stack.std(axis=(1, 2)) == pytest.approx(np.ones(9), abs=0.15)
    assert np.corrcoef(stack[0].ravel(), stack[1].ravel())[0, 1] > 0.85
    assert abs(np.corrcoef(stack[0].ravel(), stack[8].ravel())[0, 1]) < 0.2


@pytest.mark.parametrize("looks", [3.0, 16.0])
def test_speckle_has_mean_one_and_the_contrast_of_its_looks(looks):
    grain = speckle(np.random.default_rng(0), (500, 500), looks, (0.8, 1.0))
    assert grain.min() > 0 and grain.mean() == pytest.approx(1, abs=0.02)
    assert grain.var() == pytest.approx(1 / looks, rel=0.1)


def test_blob_ends_at_its_z_radius_and_narrows_towards_it():
    blob = random_blob(np.random.default_rng(0), (50, 50, 0), (20, 15, 10))
    area = [blob.mask((100, 100), z).sum() for z in (0, 6, 9.9, 10, -11)]
    assert area[0] > area[1] > area[2] > 0 and area[3:] == [0, 0]
    # x^2 = 1 - 0.6^2 of the area, up to the drift of the bumps
    assert area[1] / area[0] == pytest.approx(0.64, abs=0.08)


def test_spline_passes_through_its_points_and_fill_matches_its_area():
    corners = np.array([(10.0, 10.0), (60.0, 12.0), (58.0, 50.0), (12.0, 55.0)])
    curve = spline(corners, 4000)
    for corner in corners:
        assert np.linalg.norm(curve - corner, axis=1).min() < 0.1
    x, y = curve.T
    area = abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2
    assert fill((80, 80), curve).sum() == pytest.approx(area, rel=0.05)


def test_largest_part_keeps_one():
    mask = np.zeros((10, 10), bool)
    mask[1:3, 1:3] = mask[5:9, 5:9] = True
    kept = largest_part(mask)
    assert kept.sum() == 16 and kept[6, 6] and not kept[1, 1]
    assert not largest_part(np.zeros((4, 4), bool)).any()


def test_scenes_to_train_on_have_no_modality_and_many_kinds_of_things():
    cases = [make_phantom("scene", seed) for seed in range(30)]
    again = make_phantom("scene", 7)
    assert np.array_equal(again.image, cases[7].image) and np.array_equal(again.label, cases[7].label)
    counts, elongated, full_width, dark, bright = [], 0, 0, 0, 0
    for case in cases:
        assert case.modality is None and "scene" not in KINDS
        values = np.unique(case.label)
        assert values.tolist() == list(range(len(values))) and len(values) > 1
        counts.append(len(values) - 1)
        for value in values[1:]:
            mask = case.label == value
            assert np.count_nonzero(mask) >= scene.MIN_AREA_PX
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            box = (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1)
            elongated += np.count_nonzero(mask) < 0.25 * box
            full_width += columns[-1] - columns[0] + 1 == mask.shape[1]
            near = ndimage.binary_dilation(mask, iterations=6) & (case.label == 0)
            difference = case.image[mask].mean() - case.image[near].mean() if near.any() else 0.0
            dark, bright = dark + (difference < -5), bright + (difference > 5)
    assert min(counts) < 4 and max(counts) > 6
    assert min(elongated, full_width, dark, bright) >= 10
    assert {case.image.ndim for case in cases} == {2, 3}
