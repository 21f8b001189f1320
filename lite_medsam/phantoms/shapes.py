"""Organic outlines and the drawing result that every modality returns.

Geometry is drawn first, as exact masks; the modalities then render their image from those masks.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from scipy import ndimage
from scipy.interpolate import CubicSpline

_SUBPIXEL_BITS = 4  # cv2.fillPoly takes fixed-point coordinates


@dataclass(frozen=True, eq=False)
class Drawing:
    """What a modality draws.

    Attributes:
        image: (H, W), (H, W, 3) or (D, H, W) uint8.
        label: (H, W) or (D, H, W) unsigned integers, 0 background.
        names: What each label value is.
        spacing_mm: Pixel size in array order, None where it has no physical size.
    """

    image: np.ndarray
    label: np.ndarray
    names: Mapping[int, str]
    spacing_mm: tuple[float, ...] | None


@dataclass(frozen=True, eq=False)
class Blob:
    """A solid with a low-frequency perturbed elliptic cross-section; one slice of it is a closed outline.

    Attributes:
        centre: (x, y, z); z in the unit of the caller's slice positions.
        radii: (rx, ry, rz), z as above.
        angle: Rotation of the cross-section in radians.
        waves: (K, 4): relative amplitude, frequency, phase and phase change per unit of z.
    """

    centre: tuple[float, float, float]
    radii: tuple[float, float, float]
    angle: float
    waves: np.ndarray

    def outline(self, z: float = 0.0, points: int = 96) -> np.ndarray | None:
        """(points, 2) float64 x, y of the cross-section at `z`; None where `z` is beyond the solid."""
        offset = (z - self.centre[2]) / self.radii[2]
        if abs(offset) >= 1:
            return None
        theta = np.linspace(0, 2 * np.pi, points, endpoint=False)
        amplitude, frequency, phase, drift = (self.waves[:, i, None] for i in range(4))
        bumps = (amplitude * np.cos(frequency * theta + phase + drift * (z - self.centre[2]))).sum(0)
        radius = np.maximum(1 + bumps, 0.3) * np.sqrt(1 - offset**2)
        x, y = radius * self.radii[0] * np.cos(theta), radius * self.radii[1] * np.sin(theta)
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        return np.stack([self.centre[0] + cos * x - sin * y, self.centre[1] + sin * x + cos * y], 1)

    def mask(self, hw: tuple[int, int], z: float = 0.0) -> np.ndarray:
        """(H, W) bool cross-section at `z`, empty beyond the solid."""
        polygon = self.outline(z)
        return np.zeros(hw, bool) if polygon is None else fill(hw, polygon)


def random_blob(
    rng: np.random.Generator,
    centre: tuple[float, ...],
    radii: tuple[float, ...],
    angle: float = 0.0,
    roughness: float = 0.08,
    squareness: float = 0.0,
) -> Blob:
    """A `Blob` with random harmonics 2 .. 7.

    Args:
        rng: Source of randomness.
        centre: (x, y) or (x, y, z).
        radii: (rx, ry) or (rx, ry, rz).
        angle: Rotation in radians.
        roughness: Amplitude of the second harmonic relative to the radius; higher ones fall off.
        squareness: Amplitude of a fixed fourth harmonic that fills the corners; 0.035 looks like a trunk.
    """
    frequency = np.arange(2, 8)
    amplitude = roughness * rng.normal(1, 0.35, 6) * (2 / frequency) ** 0.9
    phase = rng.uniform(0, 2 * np.pi, 6)
    x, y, z = (*centre, 0.0)[:3]
    rx, ry, rz = (*radii, np.inf)[:3]
    drift = rng.normal(0, 0.6, 6) / (rz if np.isfinite(rz) else 1e9)
    waves = np.stack([amplitude, frequency, phase, drift], 1)
    return Blob((x, y, z), (rx, ry, rz), angle, np.vstack([waves, (squareness, 4, np.pi, 0)]))


def spline(points: np.ndarray, samples: int = 160, closed: bool = True) -> np.ndarray:
    """Smooth curve through control points.

    Args:
        points: (K, 2) x, y; K >= 3.
        samples: Number of points returned.
        closed: Joins the last point to the first.

    Returns:
        (samples, 2) float64 x, y.
    """
    knots = np.asarray(points, np.float64)
    if closed:
        knots = np.vstack([knots, knots[:1]])
    # chord-length parameters keep the curve from looping where control points are close
    t = np.r_[0, np.cumsum(np.sqrt(np.linalg.norm(np.diff(knots, axis=0), axis=1)) + 1e-9)]
    curve = CubicSpline(t, knots, bc_type="periodic" if closed else "natural")
    return curve(np.linspace(0, t[-1], samples, endpoint=not closed))


def fill(hw: tuple[int, int], polygon: np.ndarray) -> np.ndarray:
    """(H, W) bool inside of a closed polygon of float x, y; parts outside the picture are cut off."""
    canvas = np.zeros(hw, np.uint8)
    fixed = np.round(np.clip(polygon, -4e4, 4e4) * (1 << _SUBPIXEL_BITS)).astype(np.int32)
    cv2.fillPoly(canvas, [fixed], 1, shift=_SUBPIXEL_BITS)
    return canvas.astype(bool)


def largest_part(mask: np.ndarray) -> np.ndarray:
    """The largest connected part (4- or 6-connected) of a bool mask of any rank; empty stays empty."""
    parts, count = ndimage.label(mask)
    if count <= 1:
        return mask.copy()
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return parts == sizes.argmax()


def dilate(mask: np.ndarray, radius_px: float) -> np.ndarray:
    """(H, W) bool grown by a disc of the given radius."""
    size = 2 * max(1, round(radius_px)) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    return cv2.dilate(mask.astype(np.uint8), disc).astype(bool)


def erode(mask: np.ndarray, radius_px: float) -> np.ndarray:
    """(H, W) bool shrunk by a disc of the given radius; the picture's border counts as inside."""
    return ~dilate(~mask, radius_px)


def depth_inside(mask: np.ndarray) -> np.ndarray:
    """(H, W) float32 Euclidean distance in pixels to the outside of the mask, 0 outside."""
    return cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)


def soften(image: np.ndarray, sigma_px: float) -> np.ndarray:
    """Gaussian blur of an (H, W) or (H, W, C) array, as float32: point spread or partial volume."""
    return cv2.GaussianBlur(np.asarray(image, np.float32), (0, 0), max(sigma_px, 0.1))


def to_grey(values: np.ndarray) -> np.ndarray:
    """0..1 floats to uint8, clipped and rounded."""
    return (np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8)


def boxes_of(label: np.ndarray) -> np.ndarray:
    """Tight boxes of the label values 1 .. max, last pixel inside.

    Args:
        label: (H, W) or (D, H, W) integers; every value 1 .. max occurs.

    Returns:
        (N, 4) float32 x0 y0 x1 y1, or (N, 6) float32 x0 y0 z0 x1 y1 z1.
    """
    found = ndimage.find_objects(label)
    low = [[axis.start for axis in reversed(area)] for area in found]
    high = [[axis.stop - 1 for axis in reversed(area)] for area in found]
    return np.hstack([np.asarray(low, np.float32), np.asarray(high, np.float32)])
