"""Checks a folder by the rules of validation, before it is committed or a run uses it."""

from pathlib import Path
from typing import Any

from components.dataset.footers import check_footers
from components.storage.files import write_json
from components.validate.config import ValidatePolicy


def check_data(folder: Path, policy: ValidatePolicy, out: Path, champion: Path | None = None) -> dict[str, Any]:
    """Writes verdict.json and data_docs.html into `out`, and returns the verdict; StepError if a run would stop.

    Drift is measured against `champion`, a folder with a champion's package, if one is given.
    """
    check_footers(folder)
    from components.validate.step import validate  # loads Great Expectations: after the footers were read

    if champion is None:
        champion = out / "no-champion"
        write_json(champion / "champion.json", {"version": None})
    return validate(folder, champion, policy, out)
