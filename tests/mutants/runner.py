"""Runs the tests of a module against each of its mutants, in processes forked from one that has imported third parties.

A mutant is put into a copy of the tree, so the tree itself is never touched. Its module's own tests run first, then
the tests that import the module, then the rest of its room's with the room's properties, until one fails. The test that
failed must pass without the mutation.
"""

import gc
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
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
CPU_SECONDS = 240  # the tests of the largest room use half of that
WALL_SECONDS = 900  # a mutant that waits for ever uses no CPU
OPTIONS = (
    *("-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--tb=line", "--hypothesis-seed=0"),
    *("-m", "not integration and not slow and not browser and not containers"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),
)

_FAILED = re.compile(r"^(?:FAILED|ERROR) (?P<test>tests/\S+?\.py(?:::\w+)*)", re.MULTILINE)


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
        while not any((ROOT / folder).glob("test_*.py")):  # the tests of a small room lie in the one around it
            folder = folder.parent
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
    how: str  # killed, survived, timeout, or unsound: the test that failed fails without the mutation too
    cpu_seconds: float


@dataclass(frozen=True)
class _Attempt:
    """The stages of tests to run against a mutant, or without it the one test that failed, which is in doubt then."""

    mutant: Mutant
    stages: list[list[str]]
    doubt: End | None = None


def run(mutants: list[Mutant], jobs: int) -> Iterator[End]:
    for name in WARM:
        __import__(name)
    gc.freeze()
    with tempfile.TemporaryDirectory(prefix="mmctr-mutants-") as scratch:
        free = [_copied_tree(Path(scratch) / f"copy{number}") for number in range(jobs)]
        active: dict[int, tuple[_Attempt, Path, bytes]] = {}
        sound: set[str] = set()  # tests that passed without a mutation
        waiting = [_Attempt(mutant, mutant.tests) for mutant in reversed(mutants)]
        while waiting or active:
            while waiting and free:
                attempt, copy = waiting.pop(), free.pop()
                source = (copy / attempt.mutant.path).read_bytes()
                mutation = NOTHING if attempt.doubt else attempt.mutant.mutation
                (copy / attempt.mutant.path).write_bytes(mutation.apply(source))
                active[_started(attempt.stages, copy)] = attempt, copy, source
            pid, status, used = os.wait3(0)
            with suppress(ProcessLookupError):  # servers and children that a stopped test left behind
                os.killpg(pid, signal.SIGKILL)
            attempt, copy, source = active.pop(pid)
            (copy / attempt.mutant.path).write_bytes(source)
            free.append(copy)
            log = (copy / "log").read_text(errors="replace")
            end = End(attempt.mutant, _how(os.waitstatus_to_exitcode(status)), used.ru_utime)
            if attempt.doubt and end.how == "survived":
                sound.add(attempt.stages[0][0])
                yield attempt.doubt
            elif attempt.doubt:
                yield replace(attempt.doubt, how="unsound")
            elif end.how == "killed" and (failed := _FAILED.search(log)) and failed["test"] not in sound:
                waiting.append(_Attempt(attempt.mutant, [[failed["test"]]], end))
            else:
                yield end


def _how(code: int) -> str:
    stopped = code in (-signal.SIGXCPU, -signal.SIGALRM, -signal.SIGKILL)
    return "survived" if code == 0 else "timeout" if stopped else "killed"


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


def _started(stages: list[list[str]], copy: Path) -> int:
    if pid := os.fork():
        return pid
    code = 70
    try:
        code = _test_in_this_process(stages, copy)
    except BaseException:  # noqa: BLE001 - a mutant may raise whatever it likes; this process ends here
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _test_in_this_process(stages: list[list[str]], copy: Path) -> int:
    import pytest

    os.setsid()
    os.chdir(copy)
    with (copy / "log").open("w") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    signal.alarm(WALL_SECONDS)
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 5))
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
