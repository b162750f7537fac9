"""Runs the tests of a module against each of its mutants, in processes forked from one that has imported third parties.

A mutant is put into a copy of the tree, so the tree itself is never touched. Its module's own tests run first, then
the tests that import the module, then the rest of its room's with the room's properties, until one fails.
"""

import gc
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from tests.mutants.mutations import NOTHING, Mutation

ROOT = Path(__file__).parents[2]
COPIED = (
    *("model", "components", "studies", "pipelines", "infra", "tests", "benchmarks", "docs", ".dvc"),
    *("Makefile", "README.md", "data.dvc", "pyproject.toml", "requirements.lock", "requirements-dev.lock"),
)
WARM = (
    *("numpy", "scipy.stats", "pandas", "pyarrow.parquet", "torch", "sklearn.metrics", "sklearn.ensemble"),
    *("pytest", "hypothesis", "yaml", "great_expectations", "mlflow", "PIL.Image", "kfp.dsl", "dvc.repo"),
    *("s3fs", "typer"),
)
CPU_SECONDS = 300  # of a run without a mutation; a mutant may use three times what that took, and 20 more
WALL_SECONDS = 900  # a mutant that waits for ever uses no CPU
OPTIONS = (
    *("-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--tb=line", "--hypothesis-seed=0"),
    *("-m", "not integration and not slow and not browser and not containers"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),
)


@dataclass(frozen=True)
class Mutant:
    path: str
    mutation: Mutation

    @property
    def room(self) -> str:
        return str(Path(self.path).parent)

    @property
    def tests(self) -> list[list[str]]:
        """The module's own tests, those that import it, wherever they are, and the rest of its room's."""
        module = Path(self.path)
        folder = Path("tests/unit", *module.parent.parts[module.parts[0] == "components" :])
        room = "model" if module.parts[0] == "model" else module.parts[1]
        unit = sorted((ROOT / folder).glob("test_*.py")) + sorted((ROOT / "tests/properties").glob(f"test_{room}_*.py"))
        own = [path for path in unit if path.stem in (f"test_{module.stem}", f"test_{module.parent.name}")]
        everywhere = sorted((ROOT / "tests/unit").rglob("test_*.py")) + sorted((ROOT / "tests/properties").glob("*.py"))
        dotted = ".".join(module.with_suffix("").parts).encode()
        importing = [path for path in everywhere if dotted in path.read_bytes() and path not in own]
        importing.sort(key=lambda path: path not in unit)  # the room's own first
        rest = [path for path in unit if path not in own + importing]
        return [[str(path.relative_to(ROOT)) for path in paths] for paths in (own, importing, rest) if paths]


@dataclass(frozen=True)
class End:
    mutant: Mutant
    how: str  # killed, survived, or timeout
    cpu_seconds: float
    log: str  # the end of what pytest said


def run(mutants: list[Mutant], jobs: int) -> Iterator[End]:
    for name in WARM:
        __import__(name)
    gc.freeze()
    with tempfile.TemporaryDirectory(prefix="mmctr-mutants-") as scratch:
        free = [_copied_tree(Path(scratch) / f"copy{number}") for number in range(jobs)]
        active: dict[int, tuple[Mutant, Path, bytes]] = {}
        limits: dict[str, int] = {}
        waiting = mutants[::-1]
        while waiting or active:
            while waiting and free:
                mutant, copy = waiting.pop(), free.pop()
                source = (copy / mutant.path).read_bytes()
                (copy / mutant.path).write_bytes(mutant.mutation.apply(source))
                stages = mutant.tests if mutant.mutation != NOTHING else [_all_tests(mutants, mutant.room)]
                active[_started(stages, copy, limits.get(mutant.room, CPU_SECONDS))] = mutant, copy, source
            pid, status, used = os.wait3(0)
            with suppress(ProcessLookupError):  # servers and children that a stopped test left behind
                os.killpg(pid, signal.SIGKILL)
            mutant, copy, source = active.pop(pid)
            (copy / mutant.path).write_bytes(source)
            free.append(copy)
            limits.setdefault(mutant.room, round(3 * used.ru_utime) + 20)
            code = os.waitstatus_to_exitcode(status)
            stopped = code in (-signal.SIGXCPU, -signal.SIGALRM, -signal.SIGKILL)
            how = "survived" if code == 0 else "timeout" if stopped else "killed"
            yield End(mutant, how, used.ru_utime, (copy / "log").read_text(errors="replace")[-2000:])


def _copied_tree(target: Path) -> Path:
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif (ROOT / name).exists():
            shutil.copy(ROOT / name, target / name)
    subprocess.run(["git", "init", "-q"], cwd=target, check=True)  # runs name the commit of code and data
    nobody = ("-c", "user.name=mutants", "-c", "user.email=mutants@example.com")
    subprocess.run(["git", "add", "--all"], cwd=target, check=True)
    subprocess.run(["git", *nobody, "commit", "-q", "-m", "copy"], cwd=target, check=True)
    return target


def _all_tests(mutants: list[Mutant], room: str) -> list[str]:
    """Of a room's mutants together: without a mutation all of them must pass."""
    return sorted({test for mutant in mutants if mutant.room == room for stage in mutant.tests for test in stage})


def _started(stages: list[list[str]], copy: Path, cpu_seconds: int) -> int:
    if pid := os.fork():
        return pid
    code = 70
    try:
        code = _test_in_this_process(stages, copy, cpu_seconds)
    except BaseException:  # noqa: BLE001 - a mutant may raise whatever it likes; this process ends here
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _test_in_this_process(stages: list[list[str]], copy: Path, cpu_seconds: int) -> int:
    import pytest

    os.setsid()
    os.chdir(copy)
    with (copy / "log").open("w") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    signal.alarm(WALL_SECONDS)
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 5))
    os.environ |= {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    sys.dont_write_bytecode = True
    sys.path[:] = [str(copy), *(path for path in sys.path if path not in ("", str(ROOT)))]
    for name in [name for name in sys.modules if name.partition(".")[0] in COPIED]:
        del sys.modules[name]
    sys.modules["__main__"] = ModuleType("__main__")  # commands look there for the name of their program
    for tests in stages:
        code = int(pytest.main([*OPTIONS, *tests]))
        if code not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            return code
    return 0
