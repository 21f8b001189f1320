"""`lite-medsam prepare`: a data set becomes cases, or is checked."""

import sys
from dataclasses import asdict
from pathlib import Path

import click


def _labels_options(function):
    """What only the image-folder adapter takes."""
    options = [
        click.option("--dataset", help="Name of the data set in the cases' names.  [default: the folder's name]"),
        click.option("--modality", help="CT MR PET XRay US Mammography OCT Endoscopy Fundus Dermoscopy Microscopy."),
        click.option("--images", metavar="FOLDER", help="Where the images are, below RAW or absolute."),
        click.option("--masks", metavar="FOLDER", help="Where the masks are, below RAW or absolute."),
        click.option("--mask-prefix", default="", help="What a mask's name has before its image's."),
        click.option("--mask-suffix", default="", help="What a mask's name has behind its image's, such as _mask."),
        click.option("--image-regex", help="Pattern for the pairing key in an image's name (its group)."),
        click.option("--mask-regex", help="The same for masks."),
        click.option(
            "--labels",
            type=click.Choice(["auto", "binary", "values", "colours"]),
            default="auto",
            show_default=True,
            help="What mask values mean: object or not, label numbers, colours.",
        ),
        click.option(
            "--mask-threshold",
            type=click.IntRange(0),
            metavar="N",
            help="Values above it are the object.  [default: half, where they crowd at 0 and white: JPEG, soft edges]",
        ),
        click.option(
            "--values",
            "order",
            metavar="V=NAME,...",
            help="Mask values from the outside in, the first for the background: 255=ground,128=disc,0=cup.",
        ),
        click.option("--expect", metavar="V,V,...", help="The only label values that may occur."),
        click.option("--ignore-label", type=click.IntRange(1), help="A don't-care value; becomes background, counted."),
        click.option(
            "--colour",
            "colours",
            multiple=True,
            metavar="R,G,B[=NAME]",
            help="Colour of the next label value, from 1. Repeatable.  [default: all, sorted]",
        ),
        click.option("--name", "names", multiple=True, metavar="VALUE=NAME", help="Name of a label value. Repeatable."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


@click.command(
    name="prepare",
    epilog="""\b
Examples:
  lite-medsam prepare image-folder -i raw --check
  lite-medsam prepare image-folder -i raw -o cases --modality OCT --mask-suffix _mask \\
      --group-regex '(P\\d+)_' --instances --split train=0.8,val=0.2
  lite-medsam prepare image-folder -i REFUGE -o cases --modality Fundus --values 255=ground,128=disc,0=cup
  lite-medsam prepare tjdr -i TJDR -o cases --instances --split train=0.9,val=0.1
  lite-medsam prepare medsam-npz -i npz -o npy --as npy
  lite-medsam prepare nifti -i Task09_Spleen -o cases --modality CT --split train=0.8,val=0.2
  lite-medsam prepare dicom -i studies -o cases --write-mapping private/who.csv
""",
)
@click.argument("adapter")
@click.option("-i", "--input", "source", type=click.Path(path_type=Path), required=True, help="RAW, the source folder.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="CASES, the folder to write.")
@click.option("--check", is_flag=True, help="Only report what is wrong, per file; write nothing.")
@click.option("--split", metavar="PART=SHARE,...", help="Write split.json with such shares: train=0.8,val=0.2.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the split.")
@click.option("--as", "layout", type=click.Choice(["npz", "npy"]), default="npz", show_default=True,
              help="npz cases, or the challenge's npy pairs.")  # fmt: skip
@click.option("--group-regex", help="Pattern for the patient in a file's path; the group `group`, or the first.")
@click.option("--unlabelled", is_flag=True, help="Also take images without a label.")
@click.option("--instances", is_flag=True,
              help="Every connected piece (8 neighbours, 26 in a volume) becomes an object of its own.")  # fmt: skip
@click.option("--min-area", "min_area_px", type=click.IntRange(0), default=0, metavar="PX",
              help="Drop smaller objects, and say so.  [default: none]")  # fmt: skip
@click.option("--resize", "resize_px", type=click.IntRange(8), metavar="PX",
              help="Shrink to this longer side; small objects stay, merges are counted.  [default: never]")  # fmt: skip
@_labels_options
@click.option("--annotation", type=click.Choice(["auto", "png", "json"]), default="auto", show_default=True,
              help="tjdr: which kind of label.")  # fmt: skip
@click.option("--attention-threshold", type=float, default=0.5, show_default=True,
              help="lag: where a region begins, as a share of the attention map's maximum.")  # fmt: skip
@click.option("--frame", type=click.IntRange(0), metavar="N",
              help="nifti: which volume of files of several (time, channels), from 0.")  # fmt: skip
@click.option("--write-mapping", "mapping", type=click.Path(path_type=Path), metavar="FILE",
              help="dicom: a CSV of which hash is which patient and series. It names patients: keep it apart from the cases.  "
              "[default: none is written]")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="No progress bar.")
def command(adapter, source, output, check, split, seed, layout, mapping, as_json, quiet, **wishes) -> None:
    """Turn a data set into cases, with the patient kept, or check it.

    ADAPTER is image-folder (any images and masks; nnU-Net, DSB 2018, BUSI, REFUGE, ISIC, CVC-ClinicDB and Kvasir-SEG pair by
    themselves), nifti (NIfTI, NRRD and MetaImage volumes with label maps; nnU-Net and MSD), dicom (series with the DICOM
    segmentations that refer to them; patients become hashes), medsam-npz (the CVPR 2024 challenge's files), cme-oct (cystoid
    macular edema), tjdr (fundus lesions), lag (glaucoma attention), oct (files of OCT scanners with labels beside them), or one of
    the OCT sets: retouch, duke-dme, duke-amd, umn, aroi, oimhs, amd-sd, goals, oct5k, nr206. `lite-medsam datasets` says where they
    come from, `datasets check RAW` which one a folder is.

    Writes one npz per case, manifest.csv, problems.csv, and split.json. A second run does only what is missing or has
    changed. Ends with code 2 when files could not be used; they are listed, and do not stop the others. Code 1: a case could
    not be written.

    Masks are read by their stored numbers, whatever a viewer shows. JPEG masks and soft edges are cut at half where their values
    crowd at 0 and white, and refused otherwise.
    """
    from lite_medsam.cases.adapters import open_adapter
    from lite_medsam.cases.adapters.split import parse_fractions
    from lite_medsam.cases.adapters.write import check_source, prepare_cases
    from lite_medsam.storage.console import print_json

    if check == (output is not None):
        raise click.UsageError("give either -o CASES to write, or --check to only look")
    fractions = parse_fractions(split) if split else None
    opened = open_adapter(adapter, source, _options(**wishes))
    write_mapping = getattr(opened, "write_mapping", None)
    if mapping is not None and write_mapping is None:
        raise click.UsageError(f"--write-mapping is for dicom: {adapter} hides no names")
    if mapping is not None and output is not None and mapping.resolve().is_relative_to(output.resolve()):
        raise click.UsageError("--write-mapping names patients: give a file outside the folder of the cases")
    with _Progress(quiet) as on_item:
        if check:
            report = check_source(opened, opened.settings, on_item)
        else:
            report = prepare_cases(opened, opened.settings, output, fractions, seed, layout, on_item)
    if write_mapping is not None and mapping is not None:
        write_mapping(mapping)
    if as_json:
        print_json(_as_json(report))
    else:
        _print(report, output)
    if report.errors:
        print(f"{len(report.errors)} files could not be used, see above", file=sys.stderr)
        raise click.exceptions.Exit(1 if any(problem.kind == "not-written" for problem in report.errors) else 2)


def _options(expect: str | None, order: str | None, colours: tuple[str, ...], names: tuple[str, ...], **plain):
    from lite_medsam.cases.adapters.source import Options

    return Options(
        expect=_values(expect), order=_order(order), colours=tuple(map(_colour, colours)), names=_names(names), **plain
    )


def _order(text: str | None) -> tuple[tuple[int, str], ...]:
    pairs = [] if text is None else [part.partition("=") for part in text.split(",")]
    order = tuple((value.strip(), name.strip()) for value, _, name in pairs)
    values = [value for value, _ in order]
    if text is not None and (len(order) < 2 or not all(map(str.isdecimal, values)) or len({*values}) < len(values)):
        raise click.UsageError(f"--values must be two values or more such as 255=ground,128=disc,0=cup, got {text!r}")
    return tuple((int(value), name) for value, name in order)


def _values(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise click.UsageError(f"--expect must be label values such as 0,1,2, got {text!r}")
    return tuple(map(int, parts))


def _colour(text: str) -> tuple[tuple[int, int, int], str]:
    numbers, _, name = text.partition("=")
    parts = [part.strip() for part in numbers.split(",")]
    if len(parts) != 3 or not all(part.isdecimal() and int(part) < 256 for part in parts):
        raise click.UsageError(f"--colour must be R,G,B or R,G,B=NAME with numbers up to 255, got {text!r}")
    red, green, blue = map(int, parts)
    return (red, green, blue), name.strip()


def _names(texts: tuple[str, ...]) -> dict[int, str]:
    names = {}
    for text in texts:
        value, _, name = text.partition("=")
        if not (value.strip().isdecimal() and name.strip()):
            raise click.UsageError(f"--name must be VALUE=NAME, got {text!r}")
        names[int(value)] = name.strip()
    return names


class _Progress:
    """A bar whose length is known when the first item is done."""

    def __init__(self, quiet: bool):
        from tqdm import tqdm

        self._bar = tqdm(total=None, unit="image", disable=quiet, leave=False)

    def __enter__(self):
        return self._step

    def _step(self, total: int) -> None:
        if self._bar.total != total:
            self._bar.total = total
        self._bar.update()

    def __exit__(self, *_):
        self._bar.close()


def _print(report, output: Path | None) -> None:
    from lite_medsam.cases.adapters.check import format_report

    print(format_report(report.facts, report.problems, verbose=output is None))
    if output is None:
        return
    kept = f", {report.kept} were there" if report.kept else ""
    print(f"{report.written} cases written{kept}; manifest.csv and problems.csv -> {output}")
    if report.split is not None:
        parts = ", ".join(f"{len(names)} {part}" for part, names in report.split.parts.items())
        left_out = f", {len(report.split.left_out)} left out" if report.split.left_out else ""
        print(f"split: {parts}{left_out} -> {output / 'split.json'} (sha256 {report.split.sha256[:12]})")


def _as_json(report) -> dict:
    return {
        "items": [asdict(facts) | {"usable": facts.is_usable} for facts in report.facts],
        "problems": [problem._asdict() for problem in report.problems],
        "errors": len(report.errors),
        "written": report.written,
        "kept": report.kept,
        "split_sha256": report.split.sha256 if report.split else None,
    }
