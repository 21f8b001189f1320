"""The pictures that may lie beside a card, and what is written under them."""

PICTURES = {
    "training.png": "Training: loss and learning rate over the steps.",
    "curves.png": "Dice against how far every side of the box is moved, and against the number of clicks; the bands are 95 % "
    "intervals over groups.",
    "history.png": "Learning curve: validation Dice of the averaged weights that the run kept along its way.",
    "reliability.png": "Score against measured IoU, before and after calibration, on the groups that it was not fitted on.",
    "failures.png": "The phantoms that it gets most wrong: the truth in green, the answer in magenta, the box in white.",
    "examples.png": "The bundled phantoms (synthetic images) with the boxes that were given and the masks that came back.",
}
NO_PLOT = "*No plot here: drawing one needs the extra `plots`. The tables hold the numbers.*"


def picture(name: str, pictures: set[str]) -> str:
    """A picture with its text below as Markdown, "" where it is not among `pictures`."""
    return f"![{PICTURES[name]}]({name})\n\n{PICTURES[name]}" if name in pictures else ""
