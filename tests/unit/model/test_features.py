"""Features of each kind reach the logit, a missing number has a vector of its own, and the padding item has none."""

from dataclasses import replace

import pytest
import torch

from model.config import Feature, Vocabulary
from model.features import NumberEmbedding
from model.items import ItemTable, distinct_items
from model.ranker import Events, Ranker
from tests.unit.model.builders import BASE, histories

ROW = (
    Feature("device", codes=5),
    Feature("price", bins=3),
    Feature("colours", codes=6, width=2),
    Feature("look", width=2),
    Feature("rating"),
)
ITEM = (Feature("brand", codes=4), Feature("weight", place="target"), Feature("level", codes=3, place=None))


EVENT = (Feature("action", codes=4), Feature("gap", bins=2), Feature("seconds"))


def model_of(**changes: object) -> Ranker:
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    codes_NX = torch.stack([torch.randint(1, size, (40,), generator=generator) for size in (4, 3)], dim=1)
    numbers_NX, content_NC = torch.randn(40, 1, generator=generator), torch.randn(40, 8, generator=generator)
    for block in (codes_NX, numbers_NX, content_NC):
        block[0] = 0
    table = ItemTable.from_arrays(codes_NX.numpy(), content_NC.numpy(), numbers_NX.numpy())
    return Ranker(replace(BASE, **changes), Vocabulary(40, 8, ITEM, ROW, EVENT), table).eval()  # type: ignore[arg-type]


def inputs() -> list[torch.Tensor]:
    codes_BX = torch.tensor([[1, 2, 3], [4, 5, 0]])
    return [
        histories([3, 2], 4),
        torch.tensor([5, 6]),
        codes_BX,
        torch.tensor([[0.5, -1.0, 0.2, 0.4], [2.5, 0.3, 0.1, -0.7]]),
    ]


@pytest.mark.parametrize(("block", "column"), [(2, 0), (2, 1), (2, 2), (3, 0), (3, 1), (3, 2), (3, 3)])
def test_every_feature_of_a_row_moves_its_logit_and_no_other(block: int, column: int) -> None:
    model, changed = model_of(), inputs()
    before_B = model(*inputs())
    changed[block][0, column] = 2 if block == 2 and column != 1 else 1
    moved_B = model(*changed) != before_B
    assert moved_B.tolist() == [True, False]


def test_a_feature_that_is_left_out_moves_nothing() -> None:
    model, changed = model_of(left_out=("device", "rating", "gap", "brand")), inputs()
    changed[2][:, 0], changed[3][:, 3] = 3, 5.0
    of_events = events()
    later = of_events[0], of_events[1].clone()
    later[1][..., 0] += 1
    before_B = model(*inputs(), of_events)
    assert torch.equal(model(*changed, later), before_B)
    assert model.encode(torch.arange(3)).items_UD.shape[1] == BASE.embedding_dim * 2 + BASE.content_dim


def test_a_missing_number_has_a_vector_of_its_own() -> None:
    for bins in (0, 3):
        number = NumberEmbedding(bins, 1, 4)
        zero, missing, half = number(torch.tensor([[0.0], [float("nan")], [0.5]]))
        assert torch.equal(zero, torch.zeros(4))
        assert torch.equal(missing, number.map.weight[:, -1])
        torch.testing.assert_close(half, 0.5 * number.map.weight[:, 0])


def test_a_vector_with_a_missing_number_is_missing() -> None:
    vector = NumberEmbedding(0, 2, 4)
    missing, given = vector(torch.tensor([[float("nan"), 1.0], [1.0, -2.0]]))
    assert torch.equal(missing, vector.map.weight[:, -1])
    torch.testing.assert_close(given, vector.map.weight[:, 0] - 2 * vector.map.weight[:, 1])


def test_a_number_beyond_the_edges_is_that_of_the_edge() -> None:
    number = NumberEmbedding(3, 1, 4)
    low, high = number(torch.tensor([[-7.0], [9.0]]))
    assert torch.equal(low, torch.zeros(4))
    torch.testing.assert_close(high, number.map.weight[:, :3].sum(1))


def test_an_item_carries_its_features_where_their_place_says() -> None:
    width = BASE.embedding_dim
    for level, features in (("none", 2), ("both", 3)):
        model = model_of(item_levels=level)
        items_UD = model.encode(torch.arange(3)).items_UD
        assert items_UD.shape[1] == width * (1 + features) + BASE.content_dim
        assert not items_UD[0].any()
        number_D = slice(2 * width, 3 * width)
        assert not model.item_encoder.as_history(items_UD)[:, number_D].any()
        assert torch.equal(model.item_encoder.as_target(items_UD), items_UD)


INTERESTS: tuple[dict[str, str], ...] = (
    {},
    {"interest": "din", "target_attention": "relu"},
    {"interest": "recency"},
)


def events() -> Events:
    """Of `inputs`: rows with histories of 3 and 2 items, padded to 4."""
    codes_BLX, numbers_BLX = torch.tensor([[0, 1, 2, 3], [0, 0, 3, 1]])[..., None], torch.rand(2, 4, 2)
    return codes_BLX, numbers_BLX * (codes_BLX != 0)


@pytest.mark.parametrize("changes", INTERESTS, ids=str)
@pytest.mark.parametrize(("block", "column"), [(0, 0), (1, 0), (1, 1)])
def test_every_feature_of_an_event_moves_the_logit_of_its_row(changes: dict[str, str], block: int, column: int) -> None:
    model, (history_BL, item_B, codes_BX, numbers_BX), changed = model_of(**changes), inputs(), events()
    before_B = model(history_BL, item_B, codes_BX, numbers_BX, changed)
    changed[block][0, 2, column] += 1
    assert (model(history_BL, item_B, codes_BX, numbers_BX, changed) != before_B).tolist() == [True, False]


@pytest.mark.parametrize("changes", [*INTERESTS, {"mask": "inverted"}], ids=str)
def test_all_ways_to_score_read_the_events(changes: dict[str, str]) -> None:
    model, (history_BL, item_B, codes_BX, numbers_BX), (codes, numbers) = model_of(**changes), inputs(), events()
    plain_B = model(history_BL, item_B, codes_BX, numbers_BX, (codes, numbers))
    ids_U, history_BL, item_B = distinct_items(history_BL, item_B)
    encoded = model.encode(ids_U)
    found_B = model.score_encoded(encoded, history_BL, item_B, codes_BX, numbers_BX, (codes, numbers))
    torch.testing.assert_close(found_B, plain_B)
    if "inverted" not in changes.values() and "din" not in changes.values():  # these are scored in one group
        groups = [history_BL[:1, -3:], history_BL[1:, -2:]]
        cut = [(codes[:1, -3:], numbers[:1, -3:]), (codes[1:, -2:], numbers[1:, -2:])]
        found_B = model.score_groups(encoded, groups, item_B, codes_BX, numbers_BX, events=cut)
        torch.testing.assert_close(found_B, plain_B)
