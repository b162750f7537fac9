"""What mkdocs.yml calls while it builds the site.

The README, the decisions and the other texts of the repository's root are pages of the site too, and the reference is
generated from the code. Links are written for a reader of the repository; here they are pointed at the site's pages.
A link to a file that is no page, such as a source file, becomes the name of that file.
"""

import os
import re
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from infra.site.reference import PAGES

ROOT = Path(__file__).parents[2]
FROM_THE_ROOT = {
    "README.md": "index.md",
    "benchmarks/README.md": "project/benchmarks.md",
    "DECISIONS.md": "project/decisions.md",
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
}
MARKED = re.compile(r"(?m)^```(\w+) \w+$")
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s#]*)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for source, page in FROM_THE_ROOT.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text()))
    for page, write in PAGES.items():
        files.append(File.generated(config, page, content=write()))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    return with_links_of_the_site(without_marks(markdown), page.file.src_uri)


def without_marks(markdown: str) -> str:
    """Blocks marked `sh cluster` or `sh elsewhere`, for the tests, are `sh`: mkdocs takes no second word for a fence,
    and would then take the block's end for the beginning of another.
    """
    return MARKED.sub(r"```\1", markdown)


def with_links_of_the_site(markdown: str, page: str) -> str:
    """Every relative link of a page, pointed at the site's page or replaced by the name of a file that is none."""
    sources = {site: source for source, site in FROM_THE_ROOT.items()}
    here = PurePosixPath(sources.get(page, f"docs/{page}")).parent

    def pointed(match: re.Match[str]) -> str:
        image, words, target, anchor = match.group(1), match.group(2), match.group(3), match.group(4) or ""
        if not target or ":" in target:
            return match.group(0)
        path = os.path.normpath(here / target)
        if path in FROM_THE_ROOT:
            there = FROM_THE_ROOT[path]
        elif path.startswith("docs/"):
            there = path.removeprefix("docs/")
        elif (ROOT / path).exists():
            return words if "`" in words else f"{words} (`{path}`)"
        else:
            return match.group(0)  # mkdocs refuses it, and names it
        return f"{image}[{words}]({os.path.relpath(there, PurePosixPath(page).parent)}{anchor})"

    return LINK.sub(pointed, markdown)
