"""COCO annotations: categories, boxes and run lengths of masks."""

from collections.abc import Iterable, Sequence

import numpy as np

MAX_NAME = 200


def run_lengths(mask: np.ndarray) -> dict:
    """A mask as COCO's uncompressed run lengths: pixels column by column, first a run of background, which may be 0.

    Args:
        mask: (H, W) bool.

    Returns:
        `{"size": [H, W], "counts": [...]}`.
    """
    flat = np.asarray(mask, bool).ravel(order="F")
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flat, [False]]).astype(np.int8)))
    bounds = np.concatenate([[0], edges, [flat.size]])
    counts = np.diff(bounds).tolist()
    if len(counts) > 1 and counts[-1] == 0:  # a mask that ends with the object needs no empty run of background
        counts.pop()
    return {"size": [int(mask.shape[0]), int(mask.shape[1])], "counts": counts}


def coco_document(
    images: Iterable[tuple[str, tuple[int, int], Iterable[tuple[int, np.ndarray]]]],
    names: Sequence[str | None],
    scores: Sequence[float | None] | None = None,
    classes: Sequence[str] | None = None,
    numbers: Sequence[int] | None = None,
    listed: Sequence[str] = (),
) -> dict:
    """A COCO object-detection document.

    Boxes are x, y, width, height of the mask's outer edges, areas are pixels, `iscrowd` is 0. Masks are run lengths: a
    polygon could not say them exactly. Objects of one class share a category; the object that an annotation belongs to is
    its `object_id` (in several images of a volume the same) with its `object_name`, both no part of COCO. Empty masks are
    left out.

    Args:
        images: For each image its file name, (H, W), and its objects as (index into names, (H, W) bool mask).
        names: What each object is called.
        scores: The model's estimate of each object's IoU, written as `score`.
        classes: What each object is; None: its name, "object" without one.
        numbers: The objects' label values, their `object_id`; None: 1, 2, 3 and so on.
        listed: Classes whose categories come first, in this order, whether an object is of them or not.
    """
    called = [(kind or "object")[:MAX_NAME] for kind in (names if classes is None else classes)]
    categories = {name: number for number, name in enumerate(dict.fromkeys([*listed, *called]), start=1)}
    document: dict = {
        "info": {"description": "lite-medsam segmentation", "version": "1.0"},
        "licenses": [],
        "images": [],
        "annotations": [],
        "categories": [{"id": number, "name": name, "supercategory": "object"} for name, number in categories.items()],
    }
    for image_id, (file_name, (height, width), objects) in enumerate(images, start=1):
        document["images"].append({"id": image_id, "file_name": file_name, "width": int(width), "height": int(height)})
        for index, mask in objects:
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            if not len(rows):
                continue
            x, y = int(columns[0]), int(rows[0])
            annotation = {
                "id": len(document["annotations"]) + 1,
                "image_id": image_id,
                "category_id": categories[called[index]],
                "segmentation": run_lengths(mask),
                "area": int(np.count_nonzero(mask)),
                "bbox": [x, y, int(columns[-1]) - x + 1, int(rows[-1]) - y + 1],
                "iscrowd": 0,
                "object_id": index + 1 if numbers is None else numbers[index],
            }
            if names[index] is not None:
                annotation["object_name"] = names[index]
            score = None if scores is None else scores[index]
            if score is not None and np.isfinite(score):
                annotation["score"] = round(float(score), 4)
            document["annotations"].append(annotation)
    return document
