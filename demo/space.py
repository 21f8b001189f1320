"""Starts the demo in a container or a hosted Space: on every address, without a browser, with the limits of its machine."""

import os
import sys

from lite_medsam.cli import main

if __name__ == "__main__":
    port = os.environ.get("PORT", "7860")
    main(["demo", "--host", "0.0.0.0", "--port", port, "--no-browser", *sys.argv[1:]])
