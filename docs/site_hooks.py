"""Pages that lie elsewhere in the checkout become pages of the site: the card, the rules, the changelog.

In the checkout, docs/models.md links to ../weights/lite-medsam/README.md, which works where the files are read as they
lie. The site has the same file at weights/lite-medsam/README.html; the links in between are rewritten.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parent.parent
PAGES = (
    "CONTRIBUTING.md", "CHANGELOG.md", "demo/README.md", "prompts/README.md", "weights/README.md",
    "weights/recipes/README.md", "weights/lite-medsam/*.md", "weights/lite-medsam/*.png",
)  # fmt: skip


def on_files(files, config):
    """Adds the files of `PAGES` under the paths that they have in the checkout."""
    for pattern in PAGES:
        for path in sorted(ROOT.glob(pattern)):
            files.append(File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown, page, config, files):
    """Links between docs/ and the rest of the checkout, as they are in the site."""
    source = page.file.src_uri
    outside = page.file.generated_by is not None
    folder = posixpath.dirname(source if outside else f"docs/{source}")  # in the checkout
    here = posixpath.dirname(source)  # in the site

    def rewritten(match: re.Match) -> str:
        target, anchor = match[1], match[2] or ""
        if "://" in target or target.startswith(("#", "mailto:")):
            return match[0]
        path = posixpath.normpath(posixpath.join(folder, target))  # in the checkout
        in_site = path.removeprefix("docs/")
        return f"]({posixpath.relpath(in_site, here or '.')}{anchor})"

    return re.sub(r"\]\(([^)#\s]+)(#[^)\s]*)?\)", rewritten, markdown)
