"""The suite: every rule that a dataset must pass, in one table.

A rule holds a column of a measured table (`measured.py` says which tables there are) between limits. A limit is a
number, or the name of the field of `ValidatePolicy` that holds it. Great Expectations decides each rule
(`expectations.py`); the numbers it decides on come from the modules that tell one story each.

What a failed rule does is its severity:
- stop        nothing that costs money starts;
- quarantine  the rows are moved aside, and the run goes on while they are few (`max_quarantined`);
- warn        the run goes on, and the person who reviews the model reads about it.
"""

from components.validate.suite.drift import DRIFT
from components.validate.suite.features import FEATURES
from components.validate.suite.files import FILES
from components.validate.suite.giveaways import LEAKAGE, SHORTCUTS
from components.validate.suite.items import IMAGES, ITEMS
from components.validate.suite.rows import ROWS
from components.validate.suite.rule import Between, Check, Distinct, Empty, Filled, Rule, Severity
from components.validate.suite.vectors import EMBEDDINGS

RULES: tuple[Rule, ...] = (*FILES, *ROWS, *ITEMS, *FEATURES, *IMAGES, *EMBEDDINGS, *LEAKAGE, *SHORTCUTS, *DRIFT)
BY_NAME = {rule.name: rule for rule in RULES}
ROW_RULES = tuple(rule.name for rule in RULES if rule.table == "rows")

__all__ = ["BY_NAME", "ROW_RULES", "RULES", "Between", "Check", "Distinct", "Empty", "Filled", "Rule", "Severity"]
