"""The pages that people read, README.md and docs/*.md, and the blocks of code on them.

A block says in its fence how it is tested; a page's readers do not see that:

    ```bash                                  runs in every test
    ```bash {needs="nibabel"}                runs where these modules can be imported (several: "nibabel torch")
    ```bash {slow="trains for a minute"}     runs with -m slow
    ```bash {notest="needs the network"}     does not run, and says why

The same for ```python. The first bash block of a page that runs makes its inputs. Every other block runs in a folder of its own
that begins as the first one left its folder, so no block needs another one but the first.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from places import ROOT

PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
LANGUAGES = ("bash", "python")
FENCE = re.compile(r"^( *)```([\w-]*)(.*)\n((?:.*\n)*?)\1```[ ]*$", re.M)
MARK = re.compile(r'(\w+)="([^"]+)"')


@dataclass(frozen=True)
class Block:
    """A block of code on a page.

    Attributes:
        page: Its file.
        line: Where its fence stands, from 1.
        language: What the fence says.
        marks: needs, slow, notest.
        text: What is to run.
    """

    page: Path
    line: int
    language: str
    marks: dict[str, str]
    text: str

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """The blocks of a page in their order."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in FENCE.finditer(text):
        indent, language, info, body = match.groups()
        marks = dict(MARK.findall(info))
        rest = MARK.sub("", info).strip()
        assert rest in ("", "{}", "{ }") or language not in LANGUAGES, f"{page}: fence {info!r}"
        assert set(marks) <= {"needs", "slow", "notest"}, f"{page}: fence {info!r}"
        lines = [line.removeprefix(indent) for line in body.splitlines()]
        found.append(Block(page, text[: match.start()].count("\n") + 1, language, marks, "\n".join(lines) + "\n"))
    return found
