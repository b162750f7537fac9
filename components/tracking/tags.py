"""Names that registering, reviewing and serving share: aliases, and the tags of a version."""

import json
from collections.abc import Mapping
from typing import Literal

from components.errors import StepError

CHAMPION, PREVIOUS, CHALLENGER = "champion", "previous_champion", "challenger"  # aliases

STATUS = "validation_status"
Status = Literal["pending", "approved", "rejected", "rolled_back"]

PACKAGE_HASH = "mmctr.package_sha256"
COMPARED_WITH = "mmctr.compared_with"  # the champion's version at the time, or "none"
GATE = "mmctr.gate"
PARENT = "mmctr.parent"  # the version whose weights its training started from, or "none"
CHAIN = "mmctr.chain"  # how many trainings in a row started from a champion, its own included
FACTS = "mmctr.facts"  # all that code and people rarely ask for, as one JSON object
NO_CHAMPION = "none"  # also of PARENT

# Names of facts:
IDENTITY = "identity"  # weights, config and data: what the candidate is, whatever it was compared with
PIPELINE_RUN = "pipeline_run"  # the run that registered the version first

# Of a pipeline run:
MODEL_VERSION = "mmctr.model_version"  # the version that it registered, or found registered already
REGISTERED_NAME = "mmctr.registered_name"  # of the registered model
STARTED_FROM = "mmctr.started_from"  # NAME/VERSION of the champion whose weights its training started from
STANDING = "mmctr.standing"  # what that version is, in words


def facts_of(tags: Mapping[str, str]) -> dict[str, str]:
    """The facts of a version. Versions that were registered before there was one tag for them have a tag for each."""
    try:
        facts = json.loads(tags.get(FACTS, "{}"))
        older = {key.removeprefix("mmctr."): value for key, value in tags.items() if key.startswith("mmctr.")}
        return {**older, **{str(name): str(value) for name, value in facts.items()}}
    except (ValueError, AttributeError):
        raise StepError(
            f"the tag {FACTS} of a version is no JSON object: reject the version, register it again"
        ) from None
