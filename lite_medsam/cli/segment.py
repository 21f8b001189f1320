"""`lite-medsam segment`: masks of images, volumes and folders from boxes and points."""

import sys
from contextlib import ExitStack, redirect_stdout
from pathlib import Path

import click

from lite_medsam.cli.options import InputPath, engine_options, open_predictor


@click.command(
    name="segment",
    epilog="""\b
Examples:
  lite-medsam segment -i scan.png --box 120,80,260,190 -o out
  lite-medsam segment -i scan.png --point 180,140,1 --point 60,60,0 -o out
  lite-medsam segment -i scan.png --box 120,80,260,190 --target "optic cup" -o out
  lite-medsam segment -i scan.png --prompts objects.json -o out
  lite-medsam segment -i folder/of/npz -o out --save npz --quiet
  lite-medsam segment --manifest inputs.csv -o out --save parquet --part 3/100
  lite-medsam segment -i ct.nii.gz --box 60,80,3,110,140,17 --window 40,400 -o out
  lite-medsam segment -i study --series 3 --box 60,80,3,110,140,17 -o out --save label,dicom-seg
""",
)
@click.option("-i", "--input", "inputs", type=InputPath(), multiple=True,
              help="Image (png jpg bmp tif), challenge npz, NIfTI, NRRD, MetaImage, DICOM or OCT file, the folder, DICOMDIR or ZIP "
              "of a DICOM series, or a folder of them, also as an address (s3://bucket/scans). Repeatable.")  # fmt: skip
@click.option("--manifest", type=click.Path(path_type=Path),
              help="CSV or Parquet with the columns path, prompts and output, in place of -i: a row for each input.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder for the results.")
@click.option("--box", "boxes", multiple=True, metavar="X0,Y0,X1,Y1",
              help="A box in pixels, last pixel inside; one object each. Volumes: x0,y0,z0,x1,y1,z1, for NIfTI in the "
              "voxel indices of the file (--coordinates). Repeatable.")  # fmt: skip
@click.option("--point", "points", multiple=True, metavar="X,Y,LABEL",
              help="A click: label 1 on the object, 0 on the background. Repeatable; all belong to one object.")  # fmt: skip
@click.option("--prompts", "prompt_path", type=click.Path(path_type=Path),
              help="JSON with the objects, or masks to start from: npz, NIfTI, DICOM-SEG, label PNG or TIFF, COCO, Labelme, "
              "YOLO, polygons, the demo's ZIP. Or a folder with one NAME.json (or masks) per input.")  # fmt: skip
@click.option(
    "--refine-masks",
    is_flag=True,
    help="Let the model refine masks given with --prompts.  [default: taken as they are]",
)
@click.option("--target", metavar="NAME",
              help="What the objects are, for models that know names (lite-medsam info --targets). "
              "With --prompts: those that do not say it themselves.")  # fmt: skip
@click.option("--save", default="npz,label,overlay", show_default=True,
              help="What to write beside the JSON record; also coco, labelme, yolo, polygons, dicom-seg of DICOM, and parquet: "
              "run lengths of all masks in one table.")  # fmt: skip
@click.option("--seg-type", type=click.Choice(["binary", "labelmap"]), default="binary", show_default=True,
              help="How a DICOM segmentation holds its objects: frames of their own, or one label map (new in 2024; few "
              "viewers read it yet).")  # fmt: skip
@click.option("--series", metavar="NUMBER|UID|MODALITY",
              help="Every input is a DICOM study (folder, DICOMDIR, ZIP), and this series of it is the volume. "
              "lite-medsam info FOLDER lists them.")  # fmt: skip
@click.option("--frame", type=click.IntRange(0), metavar="N",
              help="Which volume of a 4D NIfTI, NRRD or MetaImage file, from 0.")  # fmt: skip
@click.option("--overlap", type=click.Choice(["best", "first", "last", "stack"]), default="best", show_default=True,
              help="Who gets a pixel that several objects claim; stack keeps one mask per object (pictures).")  # fmt: skip
@click.option("--window", metavar="CENTRE,WIDTH",
              help="Grey values of NIfTI and DICOM to show.  [default: the file's or 40,400 for CT]")  # fmt: skip
@click.option("--coordinates", type=click.Choice(["voxel", "display", "lps_mm", "ras_mm"]), default="voxel", show_default=True,
              help="What --box, --point and prompt files count in NIfTI and DICOM: voxel, the indices i, j, k of the file as "
              "ITK-SNAP, nibabel and SimpleITK show them; display, columns, rows and slices as they are shown here; lps_mm and "
              "ras_mm, millimetres of the patient. "
              'A prompt file that names its "coordinates" wins.')  # fmt: skip
@click.option("--axis", type=click.Choice(["i", "j", "k"]),
              help="Axis of a NIfTI or DICOM volume that its slices are to lie across; the model sees that plane. "
              "[default: as shown]")  # fmt: skip
@click.option("--max-voxels", type=click.IntRange(1), help="Refuse larger volumes.  [default: what memory allows]")
@click.option("--spacing-um", metavar="B,DEPTH,A",
              help="Voxel size in um that you know, instead of the file's: B-scans, depth, A-scans of OCT; z, y, x of "
              "others.")  # fmt: skip
@click.option("--stack", "as_stack", is_flag=True,
              help="A folder is one scan: B-scans as pictures, a Heyex XML export, or a DICOM series.")  # fmt: skip
@click.option("--reference-quirks", is_flag=True,
              help="Bug for bug as LiteMedSAM's own script, 2D and 3D npz: its converted weights, boxes alone.")  # fmt: skip
@click.option("--read-ahead/--no-read-ahead", default=True, show_default=True,
              help="Read the next input and write the last result while the model computes.")  # fmt: skip
@click.option("--part", metavar="I/N", help="Only every N-th input from the I-th, as one machine of N: 3/100.")
@click.option("--ray", metavar="ADDRESS|local",
              help="Run on a Ray cluster, or on workers of this machine; a worker has --threads CPUs, 1 by default.")  # fmt: skip
@click.option("--workers", type=click.IntRange(1), help="Ray workers.  [default: as many as there are CPUs for]")
@click.option("--overwrite", is_flag=True, help="Do again what is finished.")
@click.option("--json", "as_json", is_flag=True, help="Print the records as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
@engine_options
def command(
    inputs,
    manifest,
    output,
    boxes,
    points,
    prompt_path,
    refine_masks,
    target,
    save,
    seg_type,
    series,
    frame,
    overlap,
    window,
    coordinates,
    axis,
    max_voxels,
    spacing_um,
    as_stack,
    reference_quirks,
    read_ahead,
    part,
    ray,
    workers,
    overwrite,
    as_json,
    quiet,
    **engine,
) -> None:
    """Segment images, volumes, folders or npz cases from boxes and points.

    Results per input NAME: NAME.npz (challenge-style `segs`), NAME_label.png, NAME_overlay.png and NAME.json with area,
    score and box of each object. Finished inputs are skipped when the command runs again. Inputs of one name get results of
    different names: a_png and a_jpg, P1_slice and P2_slice. One bad input does not stop the others; it is listed at the end.

    A folder whose DICOM files are the slices of one series is one volume, called as the folder. DICOM files that are pictures
    (each a series of its own, or X-ray, ultrasound and the like without a place in the patient) are an input each. Slices of
    several series in one folder need --series. A ZIP or DICOMDIR is one study.

    Volumes are followed slice by slice from 3D boxes or prompts on slices. Their labels are NAME_label.nii.gz on the voxels
    of a NIfTI or DICOM file, NAME_label.nrrd or .mha for those formats, NAME_label.tif for npz; the overlay shows the slice
    with the most labelled pixels. NAME_seg.dcm refers to the DICOM images and, as the standard demands, holds their patient
    data; nothing else that is written does.
    Numbers of NIfTI and DICOM files are voxel indices of the file by default, whatever way the slices are shown; the record
    has both, by name (box_voxel, box_display).
    """
    from lite_medsam.cli.segment_report import Report
    from lite_medsam.jobs.batch import SegmentOptions, find_jobs, run_jobs
    from lite_medsam.jobs.manifest import read_manifest
    from lite_medsam.jobs.mask_table import mask_table, mask_table_path
    from lite_medsam.jobs.parts import Part
    from lite_medsam.jobs.ray_batches import run_jobs_on_ray
    from lite_medsam.prompts.vocabulary import check_target

    prompts = objects_from_options(boxes, points, in_space=coordinates.endswith("_mm"))
    if prompts and prompt_path:
        raise click.UsageError("give either --prompts or --box and --point, not both")
    if bool(inputs) == bool(manifest) or (manifest and (prompts or prompt_path)):
        raise click.UsageError("give either -i, with --box, --point or --prompts, or --manifest, whose rows say both")
    if workers and not ray:
        raise click.UsageError("--workers goes with --ray ADDRESS or --ray local")
    names = tuple(name for name in save.split(",") if name)
    values = None
    if window is not None:
        centre, width = _numbers("--window", window, "centre,width")
        values = centre, width
    form = "um,um" if spacing_um is not None and spacing_um.count(",") == 1 else "um,um,um"
    sizes = None if spacing_um is None else tuple(_numbers("--spacing-um", spacing_um, form))
    options = SegmentOptions(
        names,
        overlap,
        overwrite,
        reference_quirks,
        values,
        target,
        coordinates,
        max_voxels,
        sizes,
        refine_masks,
        frame,
        seg_type,
        axis,
    )
    share = None if part is None else Part.parse(part)
    asked = tuple(prompts) or None, prompt_path, as_stack, series
    jobs = read_manifest(manifest, output) if manifest else find_jobs(inputs, output, *asked)
    jobs = jobs if share is None else share.of(jobs)
    if ray:
        engine["threads"] = engine["threads"] or 1
    predictor = open_predictor(**engine)
    if target is not None:
        check_target(target, predictor.spec.targets, predictor.spec.name)
    with ExitStack() as stack:
        table = None
        if "parquet" in names:
            table = stack.enter_context(mask_table(mask_table_path(output, share), output))
        report = stack.enter_context(Report(len(jobs), quiet, as_json, table))
        if ray:
            with redirect_stdout(sys.stderr):  # where Ray tells of dead workers
                run_jobs_on_ray(predictor, jobs, options, report, ray, workers)
        else:
            run_jobs(predictor, jobs, options, report, read_ahead, report.slices)
    if report.failures:
        raise click.exceptions.Exit(2 if any(wrong_input for *_, wrong_input in report.failures) else 1)


def objects_from_options(boxes: tuple[str, ...], points: tuple[str, ...], in_space: bool = False) -> list:
    """--box and --point as prompts: each box an object; points belong to the only box, or are one object together.

    Boxes of six numbers are objects of a volume; in mm they have no slices until the volume is known.
    """
    import numpy as np

    from lite_medsam.prompts.prompt_object import Prompt, corners_of
    from lite_medsam.prompts.spatial_objects import SpatialObject

    corners = [_numbers("--box", text, "x0,y0,x1,y1", "x0,y0,z0,x1,y1,z1") for text in boxes]
    clicks = [_numbers("--point", text, "x,y,label") for text in points]
    if in_space and not clicks and all(len(box) == 6 for box in corners):
        return [SpatialObject(np.array(box)) for box in corners]
    if any(len(box) == 6 for box in corners):
        return _volume_objects(corners, clicks)
    if not clicks:
        return [Prompt(box=corners_of(box)) for box in corners]
    if len(corners) > 1:
        raise click.UsageError(
            "with several --box it is open whose the --point is; write the objects into a --prompts file"
        )
    xy, labels = np.array([click[:2] for click in clicks]), np.array([click[2] for click in clicks])
    return [Prompt(box=corners_of(corners[0]) if corners else None, points=xy, point_labels=labels)]


def _volume_objects(corners: list[list[float]], clicks: list[list[float]]) -> list:
    import numpy as np

    from lite_medsam.prompts.volume_objects import seeds_from_boxes

    if clicks or any(len(box) != 6 for box in corners):
        raise click.UsageError(
            "boxes of a volume x0,y0,z0,x1,y1,z1 go with nothing else; write clicks on slices into a --prompts file"
        )
    return seeds_from_boxes(np.array(corners))


def _numbers(option: str, text: str, *forms: str) -> list[float]:
    parts = text.split(",")
    try:
        if len(parts) not in [form.count(",") + 1 for form in forms]:
            raise ValueError
        return [float(part) for part in parts]
    except ValueError:
        wanted = " or of a volume ".join(forms)
        raise click.UsageError(f"{option} must be {wanted}, got {text!r}") from None
