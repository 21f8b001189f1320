"""`lite-medsam info`."""

import json
from pathlib import Path

import click


@click.command(name="info")
@click.option("--weights", type=click.Path(path_type=Path), help="Model directory.  [default: the bundled one]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(weights: Path | None, as_json: bool) -> None:
    """Show versions, engines, the default model and its terms."""
    record = gather(weights)
    if as_json:
        print(json.dumps(record, indent=1, ensure_ascii=False))
        return
    for title, fields in record.items():
        print(title)
        width = max(len(name) for name in fields)
        for name, value in fields.items():
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            print(f"  {name.ljust(width)}  {text}")


def gather(weights: Path | None) -> dict[str, dict]:
    """What `info` prints: software, machine and model."""
    import importlib.metadata
    import importlib.util
    import platform

    from lite_medsam.bundled import DEFAULT_WEIGHTS
    from lite_medsam.runtime import physical_cores
    from lite_medsam.spec import OWN_FAMILY, load_spec

    def version(package: str) -> str:
        try:
            return importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            return "not installed"

    directory = weights or DEFAULT_WEIGHTS
    spec = load_spec(directory)
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
            "default engine": "onnxruntime",
        },
        "model": {
            "name": spec.name,
            "directory": str(directory),
            "size": f"{size / 1e6:.1f} MB",
            "input": f"{spec.preprocessing.image_size} x {spec.preprocessing.image_size}",
            "family": spec.architecture.family,
            **({"backbone": spec.architecture.backbone} if spec.architecture.family == OWN_FAMILY else {}),
            "prompts": list(spec.prompts),
            "licence": spec.licence,
            "trained on": list(spec.training_data),
            "notes": spec.notes,
        },
    }
