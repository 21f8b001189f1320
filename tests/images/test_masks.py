"""Masks by their stored numbers: display hints, alpha, palettes, JPEG and softened edges; the same for every user."""

import io
import json

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from lite_medsam.errors import CaseError, PromptError
from lite_medsam.images.masks import MaskError, object_of, read_mask, stored_mask
from lite_medsam.images.softness import half_of_lossy, half_of_soft, resampled_values
from lite_medsam.prompts.prompt_set import load_prompts
from lite_medsam.prompts.volume_prompt_set import load_volume_prompts

Y, X = np.mgrid[:120, :160]


def ellipse(radius, x=80, y=60):
    return ((X - x) / radius) ** 2 + ((Y - y) / (0.7 * radius)) ** 2 <= 1


MASK = ellipse(40)
WHITE = MASK.astype(np.uint8) * 255


def jpeg(array, quality=95, **options):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "JPEG", quality=quality, **options)
    return buffer.getvalue()


def prompt_masks(folder, name):
    """What the mask means in a prompt file of a picture, and of a volume."""
    item = {"mask": name, "final": True}
    (folder / "p.json").write_text(json.dumps({"version": 1, "objects": [item]}))
    slices = [{"z": 0, "mask": name}]
    (folder / "v.json").write_text(json.dumps({"version": 1, "volume": True, "objects": [{"slices": slices}]}))
    return load_prompts(folder / "p.json")[0].mask, load_volume_prompts(folder / "v.json")[0].prompts[0].mask


def rgba(colour, alpha):
    return np.dstack([np.broadcast_to(np.uint8(colour), (*MASK.shape, 3)), alpha])


def palette(values, colours, **options):
    image = Image.fromarray(values.astype(np.uint8), "L")
    image.putpalette([c for colour in colours for c in colour])
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()


def tiff(array, **options):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, **options)
    return buffer.getvalue()


def png(array):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


SOFT_ALPHA = cv2.resize(WHITE, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA).repeat(2, 0).repeat(2, 1)
SAME = {
    "bool as tifffile writes it": tiff(MASK),
    "WhiteIsZero": tiff(WHITE, photometric="miniswhite"),
    "WhiteIsZero, packed": tiff(WHITE, photometric="miniswhite", compression="zlib"),
    "inverting table of ImageJ": tiff(MASK.astype(np.uint16) * 7, photometric="miniswhite"),
    "16 bits": tiff(MASK.astype(np.uint16) * 65535),
    "0 and 1": png(MASK.astype(np.uint8)),
    "1 bit": png(MASK),
    "equal channels": png(np.dstack([WHITE] * 3)),
    "white, transparent outside": png(rgba(255, WHITE)),
    "black, transparent outside": png(rgba(0, WHITE)),
    "red, transparent outside": png(rgba((200, 0, 0), WHITE)),
    "black under transparent": png(np.dstack([WHITE, WHITE, WHITE, WHITE])),
    "opaque": png(np.dstack([WHITE, WHITE, WHITE, np.full_like(WHITE, 255)])),
    "half as strong everywhere": png(rgba((200, 0, 0), WHITE // 2)),
    "grey and alpha": png(np.dstack([np.full_like(WHITE, 255), WHITE])),
    "palette, 0 shown white": palette(MASK, [(255, 255, 255), (0, 0, 0)]),
    "palette, transparent ground": palette(MASK, [(9, 9, 9), (9, 9, 9)], transparency=0),
    "palette, 1 is the transparent ground": palette(~MASK, [(255, 255, 255), (0, 0, 0)], transparency=1),
    "JPEG": jpeg(WHITE),
    "JPEG of poor quality": jpeg(WHITE, 40),
    "JPEG in colour": jpeg(np.dstack([WHITE] * 3)),
    "JPEG of a weak white": jpeg(MASK.astype(np.uint8) * 200),
}


@pytest.mark.parametrize("kind", SAME)
def test_one_mask_in_many_files_is_one_mask_for_everyone(tmp_path, kind):
    (tmp_path / "m").write_bytes(SAME[kind])
    allowed = 0.02 if kind.startswith("JPEG") else 0
    for found in (read_mask(tmp_path / "m") > 0, *prompt_masks(tmp_path, "m")):
        assert found.ndim == 2 or kind.startswith("red"), kind
        assert np.mean(found != MASK) <= allowed


def test_soft_alpha_is_cut_at_half(tmp_path):
    (tmp_path / "m.png").write_bytes(png(rgba(255, SOFT_ALPHA)))
    assert np.array_equal(read_mask(tmp_path / "m.png") > 0, SOFT_ALPHA > 127)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits_are_not_spread_over_255(tmp_path, bits):
    values = (np.arange(160 * 120).reshape(120, 160) % 2**bits).astype(np.uint8)
    image = cv2.imencode(".png", values)[1].tobytes()
    assert np.array_equal(read_small_png(tmp_path, values, bits), values)
    (tmp_path / "8.png").write_bytes(image)
    assert np.array_equal(read_mask(tmp_path / "8.png"), values)


def read_small_png(folder, values, bits):
    import struct
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    places = ((values[..., None] >> np.arange(bits - 1, -1, -1)) & 1).reshape(len(values), -1)
    rows = np.packbits(places.astype(np.uint8), axis=1)
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], bits, 0, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"gAMA", struct.pack(">I", 20000))
    content += chunk(b"tRNS", struct.pack(">H", 1)) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    (folder / "few.png").write_bytes(content)
    return read_mask(folder / "few.png")


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
def test_a_palette_gives_its_indices(tmp_path, suffix):
    values = (X // 50).astype(np.uint8)
    image = Image.fromarray(values, "L")
    image.putpalette([200, 0, 0, 0, 0, 0, 0, 0, 0, 9, 9, 9])
    image.save(tmp_path / f"m.{suffix}")
    assert np.array_equal(read_mask(tmp_path / f"m.{suffix}"), values)


def test_a_damaged_palette_picture_is_refused(tmp_path):
    data = bytearray(palette(X % 4, [(i, i, i + 1) for i in range(4)]))
    data[-20] ^= 255
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(CaseError, match=r"a\.png"):
        read_mask(tmp_path / "a.png")


def test_what_can_not_be_told_is_refused(tmp_path):
    for name, content, message in (
        ("half.png", png(rgba(0, np.full_like(WHITE, 128))), "half-transparent"),
        ("fractions.tif", tiff(np.full((9, 9), 0.5, np.float32)), "whole numbers"),
        ("nan.tif", tiff(np.full((9, 9), np.nan, np.float32)), "NaN"),
        ("colour16.tif", tiff(np.dstack([MASK * 9, MASK * 7, MASK]).astype(np.uint16), photometric="rgb"), "8 bits"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(MaskError, match=message) as caught:
            read_mask(tmp_path / name)
        assert name in str(caught.value) and "\n" not in str(caught.value)
    tifffile.imwrite(tmp_path / "whole.tif", np.full((4, 4), 2, np.float32))
    assert read_mask(tmp_path / "whole.tif").tolist() == [[2] * 4] * 4


# --- JPEG: never by its values ---

SMALL = sum(ellipse(r, x, y) for r, x, y in ((2, 20, 20), (3, 60, 30), (5, 120, 90), (8, 30, 100)))


@pytest.mark.parametrize("quality", [30, 50, 75, 90, 95, 100])
@pytest.mark.parametrize("mask", [MASK, ~MASK, SMALL > 0, ellipse(3)], ids=["one", "inverse", "small", "dot"])
def test_jpeg_masks_are_cut_at_half(tmp_path, mask, quality):
    (tmp_path / "m.jpg").write_bytes(jpeg(mask.astype(np.uint8) * 255, quality))
    found = read_mask(tmp_path / "m.jpg")
    assert set(np.unique(found)) == {0, 255}
    both = np.count_nonzero(mask | (found > 0))
    assert np.count_nonzero(mask & (found > 0)) > 0.95 * both


@pytest.mark.parametrize("quality", [50, 75, 95, 100])
@pytest.mark.parametrize(
    "values",
    [
        np.where(ellipse(20), 0, np.where(MASK, 128, 255)),
        np.where(ellipse(20), 255, np.where(MASK, 30, 0)),
        np.where(ellipse(20), 255, np.where(MASK, 200, 0)),
        np.where(ellipse(20), 2, np.where(MASK, 1, 0)),
        60 + 110 * MASK + np.random.default_rng(0).normal(0, 6, MASK.shape),
        X,
        np.full(MASK.shape, 128),
    ],
    ids=["disc and cup", "a dark class", "a bright class", "numbers", "a picture", "a ramp", "grey"],
)
def test_jpegs_of_anything_else_are_refused_with_advice(tmp_path, values, quality):
    (tmp_path / "m.jpg").write_bytes(jpeg(values.astype(np.uint8), quality))
    with pytest.raises(MaskError, match=r"m\.jpg: the mask is a JPEG.*PNG.*--mask-threshold"):
        read_mask(tmp_path / "m.jpg")
    (tmp_path / "p.json").write_text('{"version": 1, "objects": [{"mask": "m.jpg"}]}')
    with pytest.raises(PromptError, match="JPEG"):
        load_prompts(tmp_path / "p.json")


def test_an_empty_jpeg_is_an_empty_mask(tmp_path):
    (tmp_path / "m.jpg").write_bytes(jpeg(np.zeros((50, 60), np.uint8)))
    assert not read_mask(tmp_path / "m.jpg").any()
    assert half_of_lossy(WHITE) == 127.5


# --- softened edges ---


@pytest.mark.parametrize("how", [cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_AREA, cv2.INTER_LANCZOS4])
@pytest.mark.parametrize("factor", [0.3, 0.5, 0.77, 1.3, 2, 3])
def test_smoothly_resized_masks_are_cut_at_half(factor, how):
    soft = cv2.resize(WHITE, None, fx=factor, fy=factor, interpolation=how)
    if len(np.unique(soft)) > 2:
        assert half_of_soft(soft) == pytest.approx(127.5, abs=3)


@pytest.mark.parametrize("quality", [75, 90, 95])
def test_a_jpeg_that_was_saved_again_is_soft(quality):
    again = np.asarray(Image.open(io.BytesIO(jpeg(WHITE, quality))))
    assert half_of_soft(again) == pytest.approx(127.5, abs=3)
    assert np.array_equal(again > half_of_soft(again), MASK)


def test_white_may_be_254_and_255_and_ones_may_be_fractions(tmp_path):
    assert half_of_soft(np.where(MASK, 254 + X % 2, 0).astype(np.uint8)) == pytest.approx(127.5, abs=1)
    tifffile.imwrite(tmp_path / "m.tif", cv2.GaussianBlur(MASK.astype(np.float32), (5, 5), 1))
    assert np.array_equal(object_of(stored_mask(tmp_path / "m.tif")), cv2.GaussianBlur(MASK * 1.0, (5, 5), 1) > 0.5)


LABELS = {
    "classes": np.where(ellipse(20), 2, np.where(MASK, 1, 0)),
    "classes and don't care": np.where(X < 5, 255, np.where(ellipse(20), 2, np.where(MASK, 1, 0))),
    "disc and cup": np.where(ellipse(20), 0, np.where(MASK, 128, 255)),
    "four greys": np.where(ellipse(15), 85, np.where(ellipse(25), 170, np.where(MASK, 255, 0))),
    "a contour": np.where(ellipse(38), 255, np.where(MASK, 128, 0)),
    "255 cells": np.arange(1, 193).reshape(12, 16).repeat(10, 0).repeat(10, 1) + 63,
    "layers": np.clip((Y - 20) // 2, 0, 40),
    "one odd pixel": np.where((X == 3) & (Y == 3), 7, WHITE),
}


@pytest.mark.parametrize("kind", LABELS)
def test_labels_are_neither_soft_nor_resized(kind):
    label = LABELS[kind].astype(np.uint8)
    assert half_of_soft(label) is None
    assert resampled_values(label) == ()


@pytest.mark.parametrize("factor", [0.5, 0.77, 1.3, 2])
@pytest.mark.parametrize("kind", ["disc and cup", "four greys"])
def test_smooth_resizing_of_classes_is_seen(kind, factor):
    soft = cv2.resize(LABELS[kind].astype(np.uint8), None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    if factor > 1:
        soft = cv2.resize(LABELS[kind].astype(np.uint8), None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    assert half_of_soft(soft) is None
    spurious = set(resampled_values(soft))
    assert len(spurious) >= 3 and not spurious & set(np.unique(LABELS[kind]).tolist())
