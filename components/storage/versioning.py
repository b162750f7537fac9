"""The only module that uses DVC: where a remote is, how its objects are fetched, and how a folder is added and pushed.

Every kind of remote that DVC knows (a folder, s3://, gs://, ssh://) works, with DVC's own settings (`.dvc/config`,
`.dvc/config.local`, the machine's). Credentials are those that the remote's client finds by itself.
"""

import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from components.errors import StepError, one_line, redacted

# The first two name files in AWS's format, and such a file may say `credential_process = COMMAND`.
_RUN_PROGRAMS = ("configpath", "credentialpath", "bearer_token_command")


@dataclass(frozen=True)
class Remote:
    """A place that holds objects by name: their md5, with `.dir` for the list of a folder's files.

    `inside` is its path in the repository when it is versioned with it."""

    location: str  # as it may be shown: without user, password and query
    inside: PurePosixPath | None
    _filesystem: Any
    _root: str

    def fetch(self, name: str, path: Path, on_bytes: Callable[[int], None]) -> None:
        """Writes one object to `path`. FileNotFoundError: it is not there; any other OSError: it can't be had now."""
        source = self._filesystem.join(self._root, "files", "md5", name[:2], name[2:])
        with _only_os_errors():
            self._filesystem.get_file(source, str(path), callback=_counter(on_bytes))


def _counter(on_bytes: Callable[[int], None]) -> Any:
    """Passes on how many bytes have arrived; after a retry inside the client, some are counted twice."""
    from dvc.fs import Callback

    class Counter(Callback):  # type: ignore[misc]
        def relative_update(self, inc: int = 1) -> None:
            on_bytes(inc)

    return Counter()


@contextmanager
def _only_os_errors() -> Iterator[None]:
    """Turns the errors of DVC's clients into OSError: the fetch is not possible now."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        names = {kind.__name__ for kind in type(error).__mro__}
        if names & {"NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "AuthError"}:
            raise PermissionError(one_line(error)) from error
        raise ConnectionError(one_line(error)) from error


def open_remote(config: str, repository: Path | None, url: str = "") -> Remote:
    """The default remote of a `.dvc/config` given as text, or the one at `url`.

    `repository` is the checkout whose `.dvc/config.local` counts as well, and that relative places are relative to.
    """
    from dvc.config import Config, ConfigError
    from dvc.fs import get_cloud_fs

    with tempfile.TemporaryDirectory(prefix="mmctr-dvc-") as name:
        root = Path(name).resolve() / "repository"
        (root / ".dvc").mkdir(parents=True)
        (root / ".dvc" / "config").write_text(config)
        local = str(repository / ".dvc") if repository else None
        try:
            _refuse_programs(Config.load_file(str(root / ".dvc" / "config"))["remote"])
            settings = Config(str(root / ".dvc"), local_dvc_dir=local)
            if url:
                # What config.local says of the default remote, an endpoint or a profile, holds for the url too.
                chosen = settings["remote"].get(settings["core"].get("remote", ""), {})
                same_kind = urlsplit(str(chosen.get("url", ""))).scheme == urlsplit(url).scheme
                settings["remote"]["asked"] = {**(chosen if same_kind else {}), "url": url}
            name_of_remote = "asked" if url else settings["core"].get("remote")
            if not name_of_remote:
                raise StepError(
                    "the revision's .dvc/config names no default remote: dvc remote add -d NAME URL, then commit it"
                )
            place = _place(settings, name_of_remote, root)
            if place is not None:
                settings["remote"][name_of_remote]["url"] = str((repository or root) / place)
            kind, arguments, path = get_cloud_fs(settings, name=name_of_remote)
        except ConfigError as error:
            raise StepError(f"the revision's .dvc/config can't be used: {one_line(error)}") from None
        except ImportError as error:
            raise StepError(f"the data's remote can't be read here: {one_line(error)}") from None
    location = redacted(str(place) if place is not None else str(settings["remote"][name_of_remote]["url"]))
    return Remote(location, place, kind(**arguments), path)


def _refuse_programs(remotes: dict[str, Any]) -> None:
    """A revision may be somebody else's: it must not decide what runs on this machine. The machine's own config may."""
    for name, settings in remotes.items():
        for key in _RUN_PROGRAMS:
            if key in settings:
                raise StepError(
                    f"the revision's .dvc/config sets remote.{name}.{key}, which can run programs on this machine: "
                    f"if you trust it, set it in your own .dvc/config.local (dvc remote modify --local {name} {key} "
                    "VALUE), and take it out of the revision's"
                )


def _place(settings: Any, name: str, root: Path) -> PurePosixPath | None:
    """The remote's path inside the repository, when `.dvc/config` gives a relative one that stays within."""
    url = str(settings["remote"].get(name, {}).get("url", ""))
    return PurePosixPath(Path(url).relative_to(root)) if Path(url).is_relative_to(root) else None


def add(repository: Path, folder: Path) -> None:
    """`dvc add`: writes `data.dvc` and puts the content into DVC's cache."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with _quiet_dvc(), Repo(str(repository)) as repo:
            repo.add(str(folder))
    except DvcException as error:
        raise StepError(f"dvc add {folder.name} failed: {one_line(error)}") from None


def push(repository: Path, target: Path) -> int:
    """`dvc push` to the default remote; returns how many objects went."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with _quiet_dvc(), Repo(str(repository)) as repo, _only_os_errors_but(DvcException):
            return int(repo.push(str(target)))
    except (DvcException, OSError) as error:
        raise StepError(
            f"dvc push failed: {one_line(error)}; check the remote and its credentials, then dvc push"
        ) from None


@contextmanager
def _only_os_errors_but(kept: type[Exception]) -> Iterator[None]:
    try:
        yield
    except kept:
        raise
    except Exception:
        with _only_os_errors():
            raise


@contextmanager
def _quiet_dvc() -> Iterator[None]:
    """DVC logs each failed object with a traceback; the error that is raised says it once."""
    loggers = [logging.getLogger(name) for name in ("dvc", "dvc_data", "dvc_objects")]
    before = [one.level for one in loggers]
    for one in loggers:
        one.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for one, level in zip(loggers, before, strict=True):
            one.setLevel(level)
