"""What the names of labels mean: kinds of fluid, layers of the retina, parts of an eye's lesions."""

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from lite_medsam.errors import CaseError
from lite_medsam.results.measurements import is_fluid

FLUIDS = ("IRF", "SRF", "PED", "fluid")
LAYERS = ("RNFL", "GCL+IPL", "INL", "OPL", "ONL", "EZ", "OS-RPE", "RPE", "choroid")
"""From top to bottom. OS-RPE: outer segments to retinal pigment epithelium, one layer in the Duke DME set."""

_MEANINGS = (
    # names of what is missing come first: "EZ loss" is no EZ
    ("hypertransmission", r"hyper-?\s?transmission"),
    ("RPE loss", r"\brpe\b.*(loss|attenuation|disruption|atrophy)|pigment epithelium (loss|attenuation)"),
    ("EZ loss", r"(\bez\b|ellipsoid|photoreceptor).*(loss|disruption|absen)"),
    ("DRIL", r"\bdril\b|disorgani[sz]ation of .*inner"),
    ("GA", r"geographic atrophy|^ga$|\bc?rora\b"),
    ("PED", r"\bped\b|pigment epithelial? detachment"),
    ("SRF", r"\bsrf\b|subretinal fluid|sub-retinal fluid"),
    ("IRF", r"\birf\b|intra-?retinal (cyst|fluid)|\bcysts?\b|cystoid"),
    ("fluid", r"fluid"),
    ("choroidal lumen", r"(choroid\w*|luminal).*(vessel|lumen|lumina|area)|^lumen$"),
    ("choroid", r"^choroid(al)?( layer)?$"),
    ("retina and choroid", r"retina and choroid"),
    ("RNFL", r"\brnfl\b|nerve fib(re|er)"),
    ("GCL+IPL", r"\bgcl\b|\bgcipl\b|\bipl\b|ganglion"),
    ("INL", r"\binl\b|inner nuclear"),
    ("OPL", r"\bopl\b|outer plexiform"),
    ("ONL", r"\bonl\b|outer nuclear"),
    ("EZ", r"\bez\b|ellipsoid|photoreceptors?$|inner segments?$"),
    ("OS-RPE", r"outer segments? to"),
    ("RPE", r"\brpe\b|pigment epithelium"),
    ("retina", r"^(total |neurosensory )?retina$"),
    ("optic cup", r"\bcup\b"),
    ("optic disc", r"\b(disc|disk|onh)\b|optic nerve head"),
    ("vessels", r"vessel|arter(y|ies)|veins?\b"),
    ("fovea", r"\bfovea|\bmacula\b"),
)


def meaning(name: str) -> str:
    """What a label is, as the names here; its own name where none of them fits.

    Example:
        >>> meaning("cyst"), meaning("retinal nerve fibre layer"), meaning("exudate")
        ('IRF', 'RNFL', 'exudate')
    """
    text = " ".join(name.strip().lower().replace("_", " ").split())
    found = next((kind for kind, pattern in _MEANINGS if re.search(pattern, text)), None)
    return found or ("fluid" if is_fluid(text) else name.strip())


def parse_names(text: str) -> dict[int, str]:
    """Names of label values from `1=IRF,2=SRF`.

    Raises:
        CaseError: If it is not of that form, a number is not above 0 or comes twice.
    """
    names: dict[int, str] = {}
    for part in text.split(","):
        number, sign, name = part.partition("=")
        if not sign or not number.strip().isdecimal() or int(number) == 0 or not name.strip() or int(number) in names:
            raise CaseError(
                f"labels must be NUMBER=NAME,..., each number above 0 and once, got {text!r}; such as 1=IRF,2=SRF"
            )
        names[int(number)] = name.strip()
    return names


def structures(label: np.ndarray, names: Mapping[int, str]) -> tuple[dict[str, np.ndarray], list[int]]:
    """A label map as one mask per structure; values whose names mean the same are together.

    Args:
        label: (D, H, W) integers, 0 background.
        names: Of its values.

    Returns:
        Masks by `meaning`, and the values in the map that have no name.
    """
    present = [value for value in np.unique(label).tolist() if value]
    masks: dict[str, np.ndarray] = {}
    by_meaning: dict[str, list[int]] = {}
    for value, name in names.items():
        by_meaning.setdefault(meaning(name), []).append(value)
    for kind, values in by_meaning.items():
        masks[kind] = np.isin(label, values)
    return masks, [value for value in present if value not in names]


def in_order(kinds: Iterable[str], order: Sequence[str]) -> list[str]:
    """Those of `order` that are there, in its order."""
    there = set(kinds)
    return [kind for kind in order if kind in there]
