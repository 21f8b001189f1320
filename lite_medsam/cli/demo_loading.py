"""Finding and loading the demo's folder, in a checkout or in an installed package."""

import importlib
import importlib.util
import sys
from types import ModuleType

from lite_medsam.errors import MissingExtraError
from lite_medsam.storage.bundled import DEMO_DIR

PACKAGE = "lite_medsam_demo"


def load_demo(module: str = "service") -> ModuleType:
    """A module of the demo: "service" and "app" need gradio, "actions" and what it imports do not.

    Raises:
        MissingExtraError: If gradio is needed and not installed.
    """
    if PACKAGE not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            PACKAGE, DEMO_DIR / "__init__.py", submodule_search_locations=[str(DEMO_DIR)]
        )
        assert spec is not None and spec.loader is not None  # for a file that exists there is always one
        package = importlib.util.module_from_spec(spec)
        sys.modules[PACKAGE] = package
        spec.loader.exec_module(package)
    try:
        return importlib.import_module(f"{PACKAGE}.{module}")
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.split(".")[0] in ("gradio", "starlette"):
            raise MissingExtraError("the demo", "demo", "gradio") from None
        raise
