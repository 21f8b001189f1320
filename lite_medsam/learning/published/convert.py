"""Published checkpoint to model directory, and back to the layout that LiteMedSAM's own code loads."""

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path

import torch

from lite_medsam.errors import WeightsError
from lite_medsam.learning.network.checkpoint import load_model
from lite_medsam.learning.network.export import export_model
from lite_medsam.learning.network.families import PublishedSegmenter, family_spec, get_family
from lite_medsam.learning.published.reading import load_published, published_model, published_state
from lite_medsam.model.spec import ModelSpec, load_spec, sha256_of
from lite_medsam.storage.files import atomic_write

CARD_FILE = "README.md"


@dataclass(frozen=True)
class Conversion:
    """What was converted.

    Attributes:
        family: Key of FAMILIES.
        title: Its name for people.
        why: How it was recognised.
        wrapping: How the state dict lay in the file.
        tensors: How many there were.
        difference: Largest difference between torch and the graphs.
        prompts: Kinds of prompt that the weights were trained on.
        licence: Terms.
    """

    family: str
    title: str
    why: str
    wrapping: str
    tensors: int
    difference: float
    prompts: tuple[str, ...]
    licence: str


def to_directory(
    source: str | os.PathLike,
    out: str | os.PathLike,
    family: str = "auto",
    decoder: str | os.PathLike | None = None,
    name: str | None = None,
    image_size: int | None = None,
    zoom: bool | None = None,
) -> Conversion:
    """Writes a model directory from a published checkpoint: spec, weights, graphs, card.

    Args:
        source: The checkpoint.
        out: The directory.
        family: See `load_published`.
        decoder: See `load_published`.
        name: Name in the spec; the family's by default.
        image_size: See `family_spec`.
        zoom: See `family_spec`.

    Raises:
        WeightsError: If the file can't be read or fits no family, the family does not run at that size, or the graphs
            differ from torch by 1e-3 or more.
    """
    source, out = Path(source), Path(out)
    if out.is_file():
        raise WeightsError(f"--out must be a folder for the model directory, got the file {out}")
    published = load_published(source, family, decoder)
    spec = family_spec(published.family, name, image_size, zoom)
    model = published_model(published, spec)
    difference = export_model(model, out, spec)
    facts = get_family(published.family)
    digest = sha256_of(source)
    with atomic_write(out / CARD_FILE) as path:
        path.write_text(_card(spec, source.name, digest, difference), encoding="utf-8")
    return Conversion(
        published.family, facts.title, published.why, published.wrapping, len(published.state), difference,
        facts.prompts, facts.licence,
    )  # fmt: skip


def to_litemedsam(directory: str | os.PathLike, out: str | os.PathLike) -> int:
    """Writes a bare state dict with LiteMedSAM's names, as its own code loads it.

    Args:
        directory: Model directory of the family "litemedsam".
        out: The .pth file.

    Returns:
        Number of tensors.

    Raises:
        WeightsError: If the model is of another family, or the directory is damaged.
    """
    out = Path(out)
    spec = load_spec(directory)
    if spec.architecture.family != "litemedsam":
        raise WeightsError(
            f"--to litemedsam needs a model with LiteMedSAM's architecture, got {spec.name} "
            f"({spec.architecture.family}); other architectures do not fit its layout"
        )
    if out.is_dir():
        raise WeightsError(f"--out must be a .pth file with --to, got the folder {out}")
    model = load_model(directory)
    assert isinstance(model, PublishedSegmenter)  # as its family says
    state = published_state(model)
    with atomic_write(out) as path:
        torch.save(state, path)
    return len(state)


def _card(spec: ModelSpec, file: str, digest: str, difference: float) -> str:
    facts = get_family(spec.architecture.family)
    settings = dataclasses.asdict(spec.preprocessing) | {"zoom": "on" if spec.zoom.enabled else "off"}
    rows = "\n".join(f"| {key} | {value} |" for key, value in settings.items())
    return f"""# {spec.name}

{facts.title}, converted by lite-medsam from a published checkpoint. The weights are the work of its authors.

- Source: {facts.source}
- File: `{file}`, SHA-256 `{digest}`
- Licence: {facts.licence}
- Training data: {", ".join(facts.training_data)}
- Prompts it was trained on: {", ".join(facts.prompts)}
- Largest difference between the ONNX graphs and torch at conversion: {difference:.1e}

{facts.notes} Not a medical device; accuracy on your images is for you to measure: `lite-medsam evaluate`.

Pre-processing:

| setting | value |
|---|---|
{rows}
"""
