"""Folders of images and masks as labs keep them, and what `prepare image-folder` makes of them."""

import numpy as np
from PIL import Image

from lite_medsam.cases.adapters import Options, open_adapter
from lite_medsam.cases.adapters.write import check_source

LABEL = np.zeros((20, 30), np.uint8)
LABEL[2:6, 3:9] = 1
LABEL[10:15, 20:26] = 1


def write(path, array, palette=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(array))
    if palette is not None:
        image = image.convert("P") if image.mode != "L" else image
        image = Image.fromarray(np.asarray(image), "L")
        image.putpalette(palette)
    image.save(path)


def picture(seed=0, shape=(20, 30)):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def cases(root, **options):
    adapter = open_adapter("image-folder", root, Options(**options))
    listing = adapter.find()
    return {item.name: adapter.read(item).case for item in listing.items}, listing


def report(root, **options):
    adapter = open_adapter("image-folder", root, Options(**options))
    return check_source(adapter, adapter.settings)


def kinds(found):
    return sorted((p.kind, p.path) for p in found.all_problems)
