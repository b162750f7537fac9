"""Names that registering, reviewing and serving share: aliases, and the tags of a version."""

from typing import Literal

CHAMPION, PREVIOUS, CHALLENGER = "champion", "previous_champion", "challenger"  # aliases

STATUS = "validation_status"
Status = Literal["pending", "approved", "rejected", "rolled_back"]

IDENTITY = "mmctr.identity"  # weights, config and data: what the candidate is, whatever it was compared with
PACKAGE_HASH = "mmctr.package_sha256"
COMPARED_WITH = "mmctr.compared_with"  # the champion's version at the time, or "none"
GATE = "mmctr.gate"
PIPELINE_RUN = "mmctr.pipeline_run"
NO_CHAMPION = "none"
