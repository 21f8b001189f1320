"""WebP and GIF: the numbers that were saved come back; animations are refused in words."""

import numpy as np
import pytest
from PIL import Image

from lite_medsam.errors import CaseError
from lite_medsam.images.masks import read_mask
from lite_medsam.images.reading import load_image, read_pixels, read_stored

RAMP = np.add.outer(np.arange(20) * 5, np.arange(30) * 4).astype(np.uint8)
COLOURS = np.dstack([RAMP, RAMP.max() - RAMP, np.full_like(RAMP, 90)])


def test_lossless_webp_comes_back_as_it_was(tmp_path):
    Image.fromarray(COLOURS).save(tmp_path / "a.webp", lossless=True)
    assert np.array_equal(load_image(tmp_path / "a.webp"), COLOURS)
    assert not read_stored(tmp_path / "a.webp").is_lossy
    Image.fromarray(COLOURS).save(tmp_path / "b.webp", quality=90)
    assert read_stored(tmp_path / "b.webp").is_lossy
    assert np.abs(load_image(tmp_path / "b.webp").astype(int) - COLOURS).mean() < 12
    clear = np.dstack([COLOURS, np.where(RAMP > 100, 255, 0).astype(np.uint8)])
    Image.fromarray(clear).save(tmp_path / "c.webp", lossless=True, exact=True)
    assert np.array_equal(read_pixels(tmp_path / "c.webp"), clear)


def test_gif_is_read_by_its_palette_and_as_a_mask_by_its_numbers(tmp_path):
    labels = (RAMP // 70).astype(np.uint8)
    picture = Image.fromarray(labels, "P")
    picture.putpalette([0, 0, 0, 200, 10, 10, 10, 200, 10, 10, 10, 200])
    picture.save(tmp_path / "a.gif", optimize=False)
    shown = load_image(tmp_path / "a.gif")
    assert shown[labels == 1].tolist() == [[200, 10, 10]] * int((labels == 1).sum())
    assert np.array_equal(read_mask(tmp_path / "a.gif"), labels)
    Image.fromarray(RAMP).save(tmp_path / "grey.gif")
    grey = load_image(tmp_path / "grey.gif")
    assert np.array_equal(grey if grey.ndim == 2 else grey[..., 0], RAMP)


def test_animations_say_how_many_pictures_they_hold(tmp_path):
    frames = [Image.fromarray(RAMP // k) for k in (1, 2, 3)]
    for name in ("a.gif", "a.webp"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
        with pytest.raises(
            CaseError, match=r"must be one picture, this \w+ holds 3; save the one that is meant as PNG"
        ):
            load_image(tmp_path / name)


def test_a_size_is_refused_by_the_header(tmp_path):
    for name in ("a.gif", "a.webp"):
        Image.fromarray(RAMP).save(tmp_path / name)
        with pytest.raises(CaseError, match="at most 100 pixels"):
            read_pixels(tmp_path / name, 100)
