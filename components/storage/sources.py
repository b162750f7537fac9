"""Hashes of the project's own source files, by which a cache notices that the code behind its content has changed.

A list of folders would miss files: `embed` also reads `components/dataset/images.py`. So the files are found by
following the import statements, wherever in a module they stand, through all modules of this project.
"""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]  # the folder that holds `components`, `model` and the project's other packages


@cache
def code_key(*modules: str, root: Path = ROOT) -> str:
    """The hash of all source files that the named modules import, directly or through each other.

    Name every module that takes part: one that is started by its name in another process is imported by nobody.
    """
    digest = hashlib.sha256()
    for path in imported_files(*modules, root=root):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def imported_files(*modules: str, root: Path = ROOT) -> list[Path]:
    """The project's source files that are read when the named modules run, in a fixed order."""
    found: set[Path] = set()
    waiting = list(modules)
    for module in modules:
        if _source(module, root) is None:
            raise ValueError(f"{module!r} is no module below {root}: name modules such as 'components.embed.step'")
    while waiting:
        module = waiting.pop()
        path = _source(module, root)
        if path is None or path in found:
            continue
        found.add(path)
        waiting += _imports(path, module)
        waiting += [parent for parent, dot, _ in [module.rpartition(".")] if dot]  # its package is imported first
    return sorted(found)


def _source(module: str, root: Path) -> Path | None:
    """None for modules of other projects, and for names that a module defines."""
    path = root.joinpath(*module.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def _imports(path: Path, module: str) -> Iterator[str]:
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_bytes(), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)  # the name may be a module of the package
