"""What each file of a ZIP is, in words."""

from collections.abc import Iterable


def readme_text(files: Iterable[str]) -> str:
    """README.txt of a ZIP: a line for each file that it explains."""
    kinds = (
        ("_label.png", "label map, stored number = number of the object, 0 = background; the palette only shows them"),
        ("_overlay.png", "picture with the objects drawn in"),
        ("_names.png", "the same with the number and the name of each object"),
        ("_classes.png", "label map of classes, stored number = number of the class, see _classes.csv"),
        ("_classes.nii.gz", "label map of classes on the voxels of the scan, see _classes.csv"),
        ("_classes.csv", "what the numbers of the classes mean"),
        ("classes.json", "the class list, as the demo reads it"),
        ("_seg.dcm", "DICOM segmentation that refers to its images; it has the patient and study of these"),
        (".npz", "imgs, segs, boxes (x0 y0 x1 y1, or x0 y0 z0 x1 y1 z1), spacing (x, y, z in mm), all as displayed"),
        ("_label.nii.gz", "label map on the voxels of the scan, in the order of its file"),
        ("_coco.json", "COCO annotations with run-length masks"),
        (
            "_polygons.json",
            "outlines along the edges of pixels, GeoJSON-like; the first pixel reaches from -0.5 to 0.5",
        ),
        ("_labelme.json", "annotations for Labelme; the label is the class where one was given, else the name"),
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
