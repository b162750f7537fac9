"""The same ranker with more items, or with other features and content of items that it has."""

import dataclasses

import torch
from torch import Tensor

from model.items import ItemTable
from model.ranker import Ranker
from model.untrained import untrained_ids

ID = "item_encoder.id.weight"


def with_items(ranker: Ranker, ids_X: Tensor, rows: ItemTable) -> Ranker:
    """`rows` holds, for each id, what the ranker's table shall say of it; other items stay as they are, bit for bit.

    An item that was not trained gets the id embedding that its content says.
    """
    if "codes" in ranker.config.content:
        raise ValueError("model.content holds 'codes': the codes of new items can't be told without a new training")
    items = max(ranker.vocabulary.items, int(ids_X.max()) + 1 if len(ids_X) else 0)
    vocabulary = dataclasses.replace(ranker.vocabulary, items=items)
    with torch.device("meta"):
        grown = Ranker(ranker.config, vocabulary, ItemTable.blank(vocabulary))
    state = ranker.state_dict()
    for name, column in rows.state_dict().items():
        state[f"table.{name}"] = longer = _longer(state[f"table.{name}"], items)
        if name != "seen_N":  # which items train held does not change
            longer[ids_X] = column
    trained_N, untrained_X = ranker.table.seen_N, ~_longer(ranker.table.seen_N, items)[ids_X]
    weight_NE, content_NC = _longer(state[ID], items), ranker.table.content_NC
    weight_NE[ids_X[untrained_X]] = untrained_ids(
        state[ID][trained_N], content_NC[trained_N], rows.content_NC[untrained_X]
    )
    state[ID] = weight_NE
    grown.load_state_dict(state, assign=True)
    if ranker.calibration is not None:
        grown.calibrate(ranker.calibration.of)
    return grown.eval()


def _longer(column: Tensor, rows: int) -> Tensor:
    longer = column.new_zeros(rows, *column.shape[1:])
    longer[: len(column)] = column
    return longer
