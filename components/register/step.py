"""Registers the candidate: a version that serves, with its lineage in tags, the alias challenger, pending review.

The order makes a kill harmless. Files are uploaded first and belong to no version; one request then creates the version
with all its tags; the alias comes last. A second run finds by the tag `mmctr.key` what the first one finished, and
continues from there. The key names the candidate and the champion it was compared with, not the pipeline run: an
unchanged pipeline finds its version again. If two runs register at the same moment, the first version counts: its run
deletes what the other uploaded, and the other finds that version.
"""

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.artifacts import Artifacts
from components.dataset.lineage import Lineage
from components.errors import StepError
from components.packages.format import MANIFEST, METRICS, VERDICT, chain_of, package_hash
from components.register.description import describe
from components.register.package import build_package, weights_hash
from components.storage.files import read_json, sha256_json, write_json
from components.tracking import tags as tag
from components.tracking.models import Models, Version
from components.tracking.pyfunc import KEY, delete_others, upload
from components.tracking.runs import TrackedRun, run_for
from components.tracking.server import NotAcceptedError, NotThereError, RegistryRefusedError
from components.tracking.tags import facts_of
from model import checkpoint

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
    # A training starts from the champion that its run fetched, which is the one that it was compared with.
    chain = chain_of(checkpoint.read_header(made.training / "model.safetensors"))
    facts = {
        **{name.removeprefix("mmctr."): value for name, value in lineage.tags().items()},
        "image": os.environ.get(CODE_VARIABLE, "none: a local run"),
        **{f"{name}_sha256": hashes[name] for name in ("weights", "config", "embeddings")},
        tag.IDENTITY: identity,
        tag.PIPELINE_RUN: pipeline_run,
    }
    tags = {
        tag.COMPARED_WITH: compared_with,
        tag.GATE: "pass",
        tag.PARENT: compared_with if chain else tag.NO_CHAMPION,
        tag.CHAIN: str(chain),
        tag.STATUS: "pending",
        tag.FACTS: json.dumps(facts, sort_keys=True),
        KEY: sha256_json([identity, compared_with]),
    }
    run = run_for(pipeline_run, config["experiment"])
    models = Models(run.server, config["registered_name"])
    version = registered(models, tags[KEY]) or _champion_itself(models, identity)
    if version is None:
        with tempfile.TemporaryDirectory(prefix="mmctr-register-") as scratch:
            package = Path(scratch) / "package"
            build_package(made, config, package)
            text = describe(read_json(package / METRICS), verdict, lineage, run, pipeline_run, chain)
            version = create(models, run, package, tags, text)
    if version.tags.get(tag.STATUS) == "pending" and models.aliases().get(tag.CHALLENGER) != version.number:
        models.set_alias(tag.CHALLENGER, version.number)
    if version.tags.get(KEY) == tags[KEY]:
        delete_others(run, tags[KEY], version.source)
    registration = _registration(models, version, pipeline_run)
    run.set_tags(
        {
            tag.REGISTERED_NAME: models.name,
            tag.MODEL_VERSION: str(version.number),
            tag.STANDING: standing(registration),
        }
    )
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "registration.json", registration)
    return registration


def standing(registration: Mapping[str, Any]) -> str:
    """What became of the candidate, as the end of a run tells it."""
    version, status = f"version {registration['version']}", registration["validation_status"]
    if registration["new"] and status == "pending":
        return f"{version} passed the gate and waits for review"
    known = {
        tag.CHAMPION: f"{version}, which is the champion",
        tag.CHALLENGER: f"{version}, which waits for review",
    }.get(registration["alias"], f"{version}, which is {status}")
    return f"the run made {known}, again; nothing new was registered"


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
    return champion if champion is not None and facts_of(champion.tags).get(tag.IDENTITY) == identity else None


def create(models: Models, run: TrackedRun, package: Path, tags: Mapping[str, str], description: str) -> Version:
    whole = package.with_name("model")
    try:
        model_id, address = upload(run, models.name, package, tags[KEY], whole)
        tags = {**tags, tag.PACKAGE_HASH: package_hash(whole)}
        models.ensure(_DESCRIPTION)
        number = models.create(address, tags, description, run.run_id, model_id)
    except (NotThereError, NotAcceptedError):
        if winner := registered(models, tags[KEY]):
            return winner  # another run of the same was faster, and deleted what this one was uploading
        raise
    return registered(models, tags[KEY]) or models.version(number)


def _registration(models: Models, version: Version, pipeline_run: str) -> dict[str, Any]:
    aliases = models.aliases()
    return {
        "new": facts_of(version.tags).get(tag.PIPELINE_RUN) == pipeline_run,  # otherwise an earlier run made the same
        "name": models.name,
        "version": str(version.number),
        "alias": next((name for name in (tag.CHAMPION, tag.CHALLENGER) if aliases.get(name) == version.number), None),
        "uri": f"models:/{models.name}/{version.number}",
        "validation_status": version.tags.get(tag.STATUS),
        "package_sha256": version.tags.get(tag.PACKAGE_HASH),
    }
