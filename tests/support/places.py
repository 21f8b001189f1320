"""Where the tests find the checkout, and the shared folder beside it, which a plain clone does not have."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
