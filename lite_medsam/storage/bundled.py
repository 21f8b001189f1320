"""Where the files lie that come with the package: in a checkout beside it, in an installed wheel inside it."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
_ROOT = _PACKAGE / "_bundled" if (_PACKAGE / "_bundled").is_dir() else _PACKAGE.parent

WEIGHTS_DIR = _ROOT / "weights"
DEFAULT_WEIGHTS = WEIGHTS_DIR / "lite-medsam"
PROMPTS_DIR = _ROOT / "prompts"
DEMO_DIR = _ROOT / "demo"
