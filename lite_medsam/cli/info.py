"""`lite-medsam info`: versions, engines, the default model and its terms; what a medical file says; the series of a study."""

from pathlib import Path

import click

from lite_medsam.cli.options import WeightsPath


@click.command(
    name="info",
    epilog="""\b
Examples:
  lite-medsam info
  lite-medsam info scan.vol
  lite-medsam info exam.e2e --json
  lite-medsam info study
""",
)
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--weights", type=WeightsPath(), metavar="PATH|NAME", help="Model directory.  [default: the bundled one]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--targets", is_flag=True, help="List the names of objects that the model knows, and nothing else.")
@click.option("--trial", is_flag=True, help="Measure the engines; --engine auto follows the result on this machine.")
@click.option("--int8", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="With --trial: an int8 version of the model that takes part.")  # fmt: skip
@click.option(
    "--threads",
    type=click.IntRange(1),
    help="With --trial: CPU threads.  [default: physical cores, in a container its share]",
)
def command(
    file: Path | None,
    weights: Path | None,
    as_json: bool,
    targets: bool,
    trial: bool,
    int8: Path | None,
    threads: int | None,
) -> None:
    """Show versions, engines, the default model and its terms.

    With FILE (or the folder of a scan), show what that says of itself instead: size, scale and where each number of it comes from,
    eye, device, day, surfaces, the picture beside it; nothing of the patient.

    With a DICOM study (a folder with its subfolders, a DICOMDIR, a ZIP), list its series as segment --series takes them.

    --engine auto is ONNX Runtime until --trial has found something faster on this machine for this model.
    """
    from lite_medsam.storage.console import print_json

    if file is not None:
        if weights or targets or trial or int8 or threads:
            raise click.UsageError("FILE goes with --json only")
        show_path(file, as_json)
        return
    if (int8 or threads) and not trial:
        raise click.UsageError("--int8 and --threads go with --trial")
    measured = measure(weights, int8, threads) if trial else {}
    record = gather(weights) | measured
    names = record["model"]["targets"]
    if targets:
        if as_json:
            print_json(names)
        else:
            for name in names:
                print(name)
        return
    if as_json:
        print_json(record)
        return
    record["model"]["targets"] = f"{len(names)} names; --targets lists them" if names else "knows no names"
    for title, fields in record.items():
        print(title)
        width = max(len(name) for name in fields)
        for name, value in fields.items():
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            print(f"  {name.ljust(width)}  {text}")


def show_path(path: Path, as_json: bool) -> None:
    """Prints the series of a DICOM study, or what a scan's file says of itself."""
    from lite_medsam.scans.dicom_study import is_study, study_files

    if is_study(path):
        with study_files(path) as (files, others):
            if files or not path.is_dir():
                _show_series(path, files, others, as_json)
                return
    show_file(path, as_json)


def show_file(path: Path, as_json: bool) -> None:
    """Prints what a scan's file says of itself."""
    from lite_medsam.scans.oct.words import file_facts, file_lines
    from lite_medsam.scans.reading import load_volume
    from lite_medsam.storage.console import print_json
    from lite_medsam.storage.json_text import recorded_name

    scan = load_volume(path)
    if as_json:
        print_json({"file": recorded_name(path)} | file_facts(scan))
    else:
        print("\n".join(file_lines(scan)))


def _show_series(study: Path, files: list[Path], others: int, as_json: bool) -> None:
    from lite_medsam.errors import CaseError
    from lite_medsam.scans.dicom_study import find_series
    from lite_medsam.storage.console import print_json
    from lite_medsam.storage.paths import shown_path

    series, unread = find_series(files)
    if not series:
        raise CaseError(f"{shown_path(study)}: must hold DICOM files, holds none that can be read")
    rows = [
        {
            "number": s.number,
            "modality": s.modality or None,
            "files": len(s.files),
            "images": s.frames if s.size else 0,
            "rows": s.size[0] if s.size else None,
            "columns": s.size[1] if s.size else None,
            "is_volume": s.is_stack or (s.is_image and s.frames > 1 and len(s.files) == 1),
            "uid": s.uid,
        }
        for s in series
    ]
    if as_json:
        print_json({"series": rows, "unreadable_files": len(unread), "other_files": others})
        return
    print(f"{'number':>6}  {'modality':8}  {'files':>5}  {'images':>6}  {'size':11}  {'volume':6}  UID")
    for row in rows:
        number = "-" if row["number"] is None else row["number"]
        size = f"{row['rows']} x {row['columns']}" if row["rows"] else "-"
        volume = "yes" if row["is_volume"] else "no"
        counts = f"{row['files']:>5}  {row['images']:>6}"
        print(f"{number:>6}  {row['modality'] or '-':8}  {counts}  {size:11}  {volume:6}  {row['uid']}")
    for count, what in ((len(unread), "could not be read as DICOM"), (others, "are not DICOM")):
        if count:
            print(f"{count} files {what}")


def measure(weights: Path | None, int8: Path | None, threads: int | None) -> dict[str, dict]:
    """Runs the trial of the engines; milliseconds by candidate."""
    from lite_medsam.model.trial import run_trial
    from lite_medsam.storage.bundled import DEFAULT_WEIGHTS

    choice, timings = run_trial(weights or DEFAULT_WEIGHTS, int8, threads)
    rows = {
        t.engine + (" int8" if t.is_int8 else ""): f"open {1e3 * t.open_seconds:.0f} ms, "
        f"encode {1e3 * t.encode_seconds:.1f} ms, decode one box {1e3 * t.decode_seconds:.1f} ms"
        for t in timings
    }
    return {"trial": rows | {"auto is now": choice.engine + (f" with {choice.directory}" if choice.directory else "")}}


def gather(weights: Path | None) -> dict[str, dict]:
    """What `info` prints: software, machine and model."""
    import importlib.metadata
    import importlib.util
    import platform

    from lite_medsam.model.engine_choice import recall_choice
    from lite_medsam.model.spec import OWN_FAMILY, load_spec
    from lite_medsam.storage.bundled import DEFAULT_WEIGHTS
    from lite_medsam.storage.machine import cache_folder, physical_cores

    def version(package: str) -> str:
        try:
            return importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            return "not installed"

    directory = weights or DEFAULT_WEIGHTS
    spec = load_spec(directory)
    choice = recall_choice(spec, physical_cores())
    engines = {"onnxruntime": "onnxruntime", "openvino": "openvino", "torch": "torch"}
    size = sum(path.stat().st_size for path in Path(directory).iterdir() if path.is_file())
    return {
        "software": {
            "lite-medsam": version("lite-medsam"),
            "python": platform.python_version(),
            **{p: version(p) for p in ("numpy", "opencv-python-headless", "onnxruntime", "openvino", "torch")},
        },
        "machine": {
            "system": f"{platform.system()} {platform.machine()}",
            "threads": physical_cores(),
            "engines": [name for name, module in engines.items() if importlib.util.find_spec(module)],
            "auto engine": f"{choice.engine}{' int8' if choice.directory else ''} "
            f"({'measured here' if choice.measured else 'default; measure with --trial'})",
            "caches": str(cache_folder()),
        },
        "model": {
            "name": spec.name,
            "directory": str(directory),
            "size": f"{size / 1e6:.1f} MB",
            "input": f"{spec.preprocessing.image_size} x {spec.preprocessing.image_size}",
            "family": spec.architecture.family,
            **({"backbone": spec.architecture.backbone} if spec.architecture.family == OWN_FAMILY else {}),
            **(
                {"int8 of": f"{spec.int8.source} ({spec.int8.dice_change_points:+.2f} Dice points)"}
                if spec.int8.source
                else {}
            ),
            "prompts": list(spec.prompts),
            "targets": list(spec.targets),
            "licence": spec.licence,
            "trained on": list(spec.training_data),
            "notes": spec.notes,
        },
    }
