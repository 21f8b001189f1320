"""Scores of a predicted mask against the true one: region overlap and boundary distance.

Masks are bool arrays (H, W) or (D, H, W). Empty masks, decided once: both empty gives NaN (nothing to score:
leave it out of means and count it); one empty gives Dice 0, IoU 0, surface Dice 0, distances inf.
"""

from lite_medsam.metrics.challenge import challenge_nsd
from lite_medsam.metrics.region import as_masks, dice, iou
from lite_medsam.metrics.surface import average_surface_distance, hausdorff95, surface_dice, surface_distances

__all__ = [
    "as_masks",
    "average_surface_distance",
    "challenge_nsd",
    "dice",
    "hausdorff95",
    "iou",
    "surface_dice",
    "surface_distances",
]
