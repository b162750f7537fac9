"""Registers the candidate: a version that serves, with its lineage in tags, the alias challenger, pending review.

The order makes a kill harmless. Files are uploaded first and belong to no version; one request then creates the version
with all its tags; the alias comes last. A second run finds by the tag `mmctr.key` what the first one finished, and
continues from there. The key names the candidate and the champion it was compared with, not the pipeline run: an
unchanged pipeline finds its version again.
"""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.artifacts import Artifacts
from components.dataset.lineage import Lineage
from components.errors import StepError
from components.packages.format import MANIFEST, METRICS, VERDICT, auc_of, package_hash, weights_hash
from components.register.package import build_package
from components.storage.files import read_json, sha256_json, write_json
from components.tracking import tags as tag
from components.tracking.models import Models, Version
from components.tracking.pyfunc import KEY, upload
from components.tracking.runs import TrackedRun, run_for
from components.tracking.server import NotThereError, RegistryRefusedError

CODE_VARIABLE = "MMCTR_CODE_VERSION"  # the image's digest, set where the pipeline is compiled
_DESCRIPTION = "Click-through-rate rankers. A challenger waits for a person's decision with `mmctr review`."


def register(made: Artifacts, config: Mapping[str, Any], pipeline_run: str, out: Path) -> dict[str, Any]:
    """`config` is the whole config of the run, as JSON holds it: it is part of the package and of its identity."""
    verdict = read_json(made.decision / VERDICT)
    if not verdict["passed"]:
        raise StepError("the candidate did not pass the gate, so it is not registered: see report.html of the gate")
    lineage = Lineage.read(made.lineage)
    hashes = {
        "weights": weights_hash(made.training / "model.safetensors"),
        "config": sha256_json(config),
        "data": lineage.data_md5,
        # Not the manifest itself: it also holds seconds and cache hits, which differ even if nothing has changed.
        "embeddings": str(read_json(made.embeddings / MANIFEST)["item_info_sha256"]),
    }
    identity = sha256_json(hashes)
    compared_with = str(read_json(made.champion / "champion.json")["version"] or tag.NO_CHAMPION)
    tags = {
        **lineage.tags(),
        "mmctr.image": os.environ.get(CODE_VARIABLE, "none: a local run"),
        **{f"mmctr.{name}_sha256": hashes[name] for name in ("weights", "config", "embeddings")},
        tag.IDENTITY: identity,
        tag.COMPARED_WITH: compared_with,
        tag.GATE: "pass",
        tag.PIPELINE_RUN: pipeline_run,
        tag.STATUS: "pending",
        KEY: sha256_json([identity, compared_with]),
    }
    run = run_for(pipeline_run, config["experiment"])
    models = Models(run.server, config["registered_name"])
    version = registered(models, tags[KEY]) or _champion_itself(models, identity)
    if version is None:
        with tempfile.TemporaryDirectory(prefix="mmctr-register-") as scratch:
            package = Path(scratch) / "package"
            build_package(made, config, package)
            version = create(models, run, package, tags)
    if version.tags.get(tag.STATUS) == "pending" and models.aliases().get(tag.CHALLENGER) != version.number:
        models.set_alias(tag.CHALLENGER, version.number)
    run.set_tags({"mmctr.model_version": str(version.number)})
    return _record(models, version, pipeline_run, out)


def registered(models: Models, key: str) -> Version | None:
    """The version with this key. A retried request may have made twins: the first one counts, the others go."""
    found = models.versions(**{KEY: key})
    for twin in found[1:]:
        try:
            models.delete(twin.number)
        except (NotThereError, RegistryRefusedError):  # another step has deleted it, or this account may not delete
            continue
    return found[0] if found else None


def _champion_itself(models: Models, identity: str) -> Version | None:
    """An unchanged pipeline makes the champion again, and compares it with itself: that is no new version."""
    champion = models.at(tag.CHAMPION)
    return champion if champion is not None and champion.tags.get(tag.IDENTITY) == identity else None


def create(models: Models, run: TrackedRun, package: Path, tags: Mapping[str, str]) -> Version:
    whole = package.with_name("model")
    model_id, address = upload(run, models.name, package, tags[KEY], whole)
    tags = {**tags, tag.PACKAGE_HASH: package_hash(whole)}
    models.ensure(_DESCRIPTION)
    number = models.create(address, tags, describe(read_json(package / METRICS), tags), run.run_id, model_id)
    return registered(models, tags[KEY]) or models.version(number)


def describe(metrics: Mapping[str, Any], tags: Mapping[str, str]) -> str:
    compared_with = tags[tag.COMPARED_WITH]
    against = "the first one" if compared_with == tag.NO_CHAMPION else f"compared with version {compared_with}"
    return f"AUC {auc_of(metrics):.4f}, {against}, from {tags[tag.PIPELINE_RUN]}"


def _record(models: Models, version: Version, pipeline_run: str, out: Path) -> dict[str, Any]:
    aliases = models.aliases()
    registration = {
        "new": version.tags.get(tag.PIPELINE_RUN) == pipeline_run,  # otherwise an earlier run made the same
        "name": models.name,
        "version": str(version.number),
        "alias": next((name for name in (tag.CHAMPION, tag.CHALLENGER) if aliases.get(name) == version.number), None),
        "uri": f"models:/{models.name}/{version.number}",
        "validation_status": version.tags.get(tag.STATUS),
        "package_sha256": version.tags.get(tag.PACKAGE_HASH),
    }
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "registration.json", registration)
    return registration
