"""Scores of a predicted mask against the true one: overlap, distance, lesions, layers, clicks, agreement.

Masks are bool arrays (H, W) or (D, H, W); `review` takes 0/255 masks and label maps too. Empty masks, decided once: both empty
gives NaN (nothing to score: leave it out of means and count it); one empty gives Dice 0, IoU 0, surface Dice 0, distances inf.

- agreement: Agreement of two series of measurements: ICC and Bland-Altman
- biomarkers: What a clinic counts of a mask: thickness, share of vessels, area, volume
- boundary: Boundaries of layers, A-scan by A-scan: where they are, and how far two of them lie apart
- classification: Pixels told apart one by one: accuracy, specificity, AUC, squared and absolute error
- detection: Lesions found and missed: detection, panoptic quality, the error of their number
- interactive: Scores of a dialogue: how good the mask is after each click, and how many clicks a goal takes
- region: Region overlap of two masks: Dice, intersection over union, precision and recall
- registry: Every measure with its name, unit, direction, range, definition and source
- review: The seventeen functions of the retinal-OCT review, for masks as they come
- surface: Distances between the boundaries of two masks: surface Dice, Hausdorff distances, averages
"""

from lite_medsam.evaluation.metrics.agreement import bland_altman, icc
from lite_medsam.evaluation.metrics.biomarkers import (
    relative_size_difference,
    size_difference,
    thickness_difference,
    vascularity_index,
    vascularity_index_difference,
)
from lite_medsam.evaluation.metrics.boundary import boundary_error, boundary_mae, boundary_rmse, layer_boundaries
from lite_medsam.evaluation.metrics.classification import (
    accuracy,
    auc,
    mean_absolute_error,
    mean_squared_error,
    root_mean_squared_error,
    specificity,
)
from lite_medsam.evaluation.metrics.detection import count_error, lesion_detection, panoptic_quality
from lite_medsam.evaluation.metrics.interactive import after_clicks, click_auc, clicks_needed, normalised_click_auc
from lite_medsam.evaluation.metrics.region import as_masks, dice, iou, precision, recall
from lite_medsam.evaluation.metrics.review import review_masks, review_scores
from lite_medsam.evaluation.metrics.surface import (
    average_surface_distance,
    hausdorff,
    hausdorff95,
    mean_absolute_distance,
    surface_dice,
    surface_distances,
)

__all__ = [
    "accuracy",
    "after_clicks",
    "as_masks",
    "auc",
    "average_surface_distance",
    "bland_altman",
    "boundary_error",
    "boundary_mae",
    "boundary_rmse",
    "click_auc",
    "clicks_needed",
    "count_error",
    "dice",
    "hausdorff",
    "hausdorff95",
    "icc",
    "iou",
    "layer_boundaries",
    "lesion_detection",
    "mean_absolute_distance",
    "mean_absolute_error",
    "mean_squared_error",
    "normalised_click_auc",
    "panoptic_quality",
    "precision",
    "recall",
    "relative_size_difference",
    "review_masks",
    "review_scores",
    "root_mean_squared_error",
    "size_difference",
    "specificity",
    "surface_dice",
    "surface_distances",
    "thickness_difference",
    "vascularity_index",
    "vascularity_index_difference",
]
