"""Segments files through a running demo: python client.py http://127.0.0.1:7860 scan.png 120,80,260,190 [box ...]

It needs gradio_client, which comes with the demo extra. The label map, an overlay and a record are copied beside the file.
"""

import json
import shutil
import sys
from pathlib import Path

from gradio_client import Client, handle_file


def main(address: str, image: str, *boxes: str) -> None:
    """Sends one file with its boxes, and keeps what comes back."""
    prompts = [[float(number) for number in box.split(",")] for box in boxes]
    client = Client(address, verbose=False)
    files, record = client.predict(
        image=handle_file(image), prompts=json.dumps(prompts), model=None, engine=None, api_name="/segment"
    )
    for file in files:
        kind = Path(file).name.split("-")[0]
        target = Path(image).with_name(f"{Path(image).stem}_{kind}{''.join(Path(file).suffixes)}")
        shutil.copy(file, target)
        print(target)
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
