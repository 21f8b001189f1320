"""Every number has a definition, and the page of documentation holds it."""

import re
from pathlib import Path

from places import ROOT

import lite_medsam.quantities
from lite_medsam.quantities.definitions import DEFINITIONS

FOLDER = Path(lite_medsam.quantities.__file__).parent


def test_every_quantity_is_defined():
    text = "".join(path.read_text(encoding="utf-8") for path in FOLDER.glob("*.py"))
    used = set(re.findall(r"\bQuantity\(\s*\"([^\"]+)\"", text))
    assert len(used) > 20 and used <= set(DEFINITIONS)


def test_the_page_says_the_same():
    page = (ROOT / "docs/quantities.md").read_text(encoding="utf-8")
    for name, (definition, source) in DEFINITIONS.items():
        assert f"| {name} | {definition} | {source} |" in page
