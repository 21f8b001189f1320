"""Others' texts as a part of our messages: one printable line, not too long."""


def one_line(text: object, most: int = 160) -> str:
    """The text on one line, without control characters; what is beyond `most` characters is left out.

    An exception without a text gives the name of its class.
    """
    words = "".join(c if c.isprintable() else " " if c.isspace() else "?" for c in str(text)[: 20 * most]).split()
    line = " ".join(words) or type(text).__name__
    return line if len(line) <= most else line[: most - 3] + "..."
