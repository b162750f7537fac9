"""What is done about items that cannot be read: they are counted by cause, and then replaced by the mean, or the run
stops.
"""

from collections import Counter
from typing import Any

from components.embed.config import EmbedConfig
from components.embed.item_inputs import Items
from components.embed.sources import VectorBlock
from components.errors import StepError

EXAMPLES = 20


def account(items: Items, blocks: list[VectorBlock], absent: list[int]) -> dict[str, Any]:
    """Causes with counts and examples. `absent` are ids that rows name and item_feature does not."""
    bad = {block.modality: block.bad for block in blocks}
    unseen = set.intersection(*(set(causes) for causes in bad.values())) if len(blocks) > 1 else set()
    of_items = {
        **items.bad["item"],
        **dict.fromkeys(absent, "not in item_feature"),
        **dict.fromkeys(unseen, "neither text nor image"),
    }
    examples: dict[str, list[int]] = {}
    for kind, causes in (*bad.items(), ("item", of_items)):
        for item, cause in sorted(causes.items()):
            examples.setdefault(f"{kind}: {cause}", []).append(item)
    count = len(set(of_items).union(*bad.values()))
    notes = sum((block.notes for block in blocks), items.notes)
    return {
        "items": count,
        "share": count / (len(items) + len(absent)),
        "causes": {cause: {"count": len(ids), "items": ids[:EXAMPLES]} for cause, ids in sorted(examples.items())},
        "notes": dict(sorted(notes.items())),
    }


def enforce(account: dict[str, Any], config: EmbedConfig) -> None:
    limit = 0.0 if config.bad_input == "fail" else config.bad_input_limit
    if account["share"] <= limit:
        return
    causes = Counter({cause: entry["count"] for cause, entry in account["causes"].items()}).most_common()
    listed = "; ".join(f"{cause} × {count} (item {account['causes'][cause]['items'][0]})" for cause, count in causes)
    raise StepError(
        f"{account['items']} items ({account['share']:.2%}) cannot be embedded as they are, the limit is {limit:.2%}: "
        f"{listed}. Mend them, or raise embed.bad_input_limit (embed.bad_input=impute)"
    )
