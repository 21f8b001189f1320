"""What each file of a ZIP is, in words."""

from collections.abc import Iterable


def readme_text(files: Iterable[str]) -> str:
    """README.txt of a ZIP: a line for each file that it explains."""
    kinds = (
        ("_label.png", "label map, stored number = number of the object, 0 = background; the palette only shows them"),
        ("_overlay.png", "picture with the objects drawn in"),
        (".npz", "imgs, segs, boxes (x0 y0 x1 y1, or x0 y0 z0 x1 y1 z1), spacing (x, y, z in mm), all as displayed"),
        ("_label.nii.gz", "label map on the voxels of the scan, in the order of its file"),
        ("_coco.json", "COCO annotations with run-length masks"),
        (
            "_polygons.json",
            "outlines along the edges of pixels, GeoJSON-like; the first pixel reaches from -0.5 to 0.5",
        ),
        ("_labelme.json", "annotations for Labelme"),
        ("_yolo.txt", "YOLO segmentation; without holes and without names of single objects"),
        ("_yolo_classes.txt", "names of YOLO's class numbers, from 0"),
        ("prompts.json", "what was asked, in display coordinates: lite-medsam segment -i IMAGE --prompts prompts.json"),
        (
            "_measurements.csv",
            "sizes of the objects as they were segmented, units in the column names; where objects overlap, label_map_px or "
            "label_map_voxels is what the label map holds, and covered_by names the objects that cover the rest",
        ),
    )
    lines = [f"{name}: {text}" for end, text in kinds for name in sorted(files) if name.endswith(end)]
    return (
        "\n".join(["Made with lite-medsam.", "Research use only: not a medical device, not for diagnosis.\n", *lines])
        + "\n"
    )
