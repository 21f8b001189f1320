"""Finding and loading the demo's folder, in a checkout or in an installed package"""

import importlib
import importlib.util
import sys
from types import ModuleType

from lite_medsam.bundled import DEMO_DIR
from lite_medsam.errors import MissingExtraError

PACKAGE = "lite_medsam_demo"


def load_demo() -> ModuleType:
    """The demo as a package: `load_demo().app`, `.service`.

    Raises:
        MissingExtraError: If gradio is not installed.
    """
    if importlib.util.find_spec("gradio") is None:
        raise MissingExtraError("the demo", "demo", "gradio")
    if PACKAGE not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            PACKAGE, DEMO_DIR / "__init__.py", submodule_search_locations=[str(DEMO_DIR)]
        )
        package = importlib.util.module_from_spec(spec)
        sys.modules[PACKAGE] = package
        spec.loader.exec_module(package)
    for name in ("app", "service"):
        importlib.import_module(f"{PACKAGE}.{name}")
    return sys.modules[PACKAGE]
