"""Registered models: versions, tags and aliases, as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from components.tracking.server import AlreadyThereError, ConflictError, NotThereError, Server, connect

PACKAGE = "artifacts/package"  # below a version's files: where MLflow puts the package of docs/reference/steps.md
_PAGE = 1000


@dataclass(frozen=True)
class Version:
    name: str
    number: int
    tags: Mapping[str, str]
    description: str
    created: int  # milliseconds since 1970
    run_id: str
    source: str  # the address of its files


@dataclass(frozen=True)
class Models:
    """The versions of one registered model."""

    server: Server
    name: str

    def aliases(self) -> dict[str, int]:
        try:
            model = self.server.call("get_registered_model", self.name)
        except NotThereError:
            return {}
        return {alias: int(version) for alias, version in model.aliases.items()}

    def versions(self, **tags: str) -> list[Version]:
        """Oldest first; with tags, those that carry them all."""
        wanted = [f"name = '{self.name}'", *(f"tags.`{key}` = '{value}'" for key, value in tags.items())]
        found, token = [], None
        while True:
            page = self.server.call("search_model_versions", " and ".join(wanted), max_results=_PAGE, page_token=token)
            found += [self._version(version) for version in page]
            token = page.token
            if not token:
                return sorted(found, key=lambda version: version.number)

    def version(self, number: int) -> Version:
        try:
            return self._version(self.server.call("get_model_version", self.name, str(number)))
        except NotThereError:
            have = ", ".join(str(version.number) for version in self.versions()) or "none yet"
            raise NotThereError(f"{self.name} has no version {number}; there is: {have}") from None

    def at(self, alias: str) -> Version | None:
        number = self.aliases().get(alias)
        return None if number is None else self.version(number)

    def ensure(self, description: str) -> None:
        """Makes the registered model if there is none."""
        try:
            self.server.call("create_registered_model", self.name, description=description)
        except AlreadyThereError:
            return

    def create(
        self,
        source: str,
        tags: Mapping[str, str],
        description: str = "",
        run_id: str | None = None,
        model_id: str | None = None,
    ) -> int:
        """A new version. One request creates it with its tags, so no version exists without them.

        The request may be sent twice by a retry and then makes two: callers find their own again by a tag.
        """
        made = self.server.call(
            "create_model_version",
            self.name,
            source,
            run_id=run_id,
            tags=dict(tags),
            description=description,
            model_id=model_id,
            await_creation_for=0,
        )
        return int(made.version)

    def delete(self, number: int) -> None:
        self.server.call("delete_model_version", self.name, str(number))

    def set_tag(self, number: int, key: str, value: str) -> None:
        self._put("set_model_version_tag", self.name, str(number), key, value)

    def set_alias(self, alias: str, number: int) -> None:
        self._put("set_registered_model_alias", self.name, alias, str(number))

    def delete_alias(self, alias: str) -> None:
        self.server.call("delete_registered_model_alias", self.name, alias)

    def download(self, number: int, out: Path) -> Path:
        """Brings all files of a version under `out`, whatever MLflow would load included; returns where they lie."""
        root = self.server.call("get_model_version_download_uri", self.name, str(number))
        return self.server.download(root, out)

    def _put(self, method: str, *args: str) -> None:
        """MLflow looks whether a row is there and then inserts it; two clients at once make one of them fail.

        The second time the row is there, and is updated.
        """
        try:
            self.server.call(method, *args)
        except ConflictError:
            self.server.call(method, *args)

    def _version(self, found: object) -> Version:
        version, tags, created = (getattr(found, name) for name in ("version", "tags", "creation_timestamp"))
        description, run_id, source = (getattr(found, name) or "" for name in ("description", "run_id", "source"))
        return Version(self.name, int(version), dict(tags), description, int(created), run_id, source)


def models(name: str, server: Server | None = None) -> Models:
    return Models(server or connect(), name)
