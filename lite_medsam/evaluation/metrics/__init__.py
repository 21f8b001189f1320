"""Scores of a predicted mask against the true one: region overlap and boundary distance.

Masks are bool arrays (H, W) or (D, H, W). Empty masks, decided once: both empty gives NaN (nothing to score:
leave it out of means and count it); one empty gives Dice 0, IoU 0, surface Dice 0, distances inf.

- region: Region overlap of two masks: Dice and intersection over union
- surface: Distances between the boundaries of two masks: surface Dice (NSD), HD95 and the average surface distance
"""

from lite_medsam.evaluation.metrics.region import as_masks, dice, iou
from lite_medsam.evaluation.metrics.surface import (
    average_surface_distance,
    hausdorff95,
    surface_dice,
    surface_distances,
)

__all__ = [
    "as_masks",
    "average_surface_distance",
    "dice",
    "hausdorff95",
    "iou",
    "surface_dice",
    "surface_distances",
]
