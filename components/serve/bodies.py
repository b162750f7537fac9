"""What is asked and answered, with ranges and examples. The OpenAPI page at /docs is made of it.

The features are fields that these models do not name: the version that answers says which ones it reads, and checks
them. Until a version is loaded, the examples are those of the public challenge.
"""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from components.dataset.layout import ITEM
from components.schema.encoder import Encoder, ItemIds
from components.tracking.pyfunc import example_columns

MOST = 2000  # candidates or rows in one request
LONGEST = 10_000  # items of a history; the ranker reads the newest of them
# An id is a number of the data set or an own id of the team, which the version that answers knows. It checks them.
Item = Annotated[Any, WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string"}]})]
Clicked = Annotated[Any, WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string"}]})]
History = Annotated[list[Clicked], Field(max_length=LONGEST, description="Clicked items, oldest first; 0 is left out.")]


class RankRequest(BaseModel):
    """One user and the candidates to rank. Each feature of a row is a list with a value for each candidate, each
    feature of a user is one value.
    """

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [{"item_seq": [31, 7, 12], "item_id": [5, 9], "likes_level": [4, 0], "views_level": [7, 0]}]
        },
    )
    item_seq: History
    item_id: list[Item] = Field(min_length=1, max_length=MOST)


class Row(BaseModel):
    """An item that is shown to a user, with a value for each feature."""

    model_config = ConfigDict(extra="allow")
    item_seq: History
    item_id: Item


class ScoreRequest(BaseModel):
    """Rows of any users."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"rows": [{"item_seq": [31, 7, 12], "item_id": 5, "likes_level": 4, "views_level": 7}]}]
        },
    )
    rows: list[Row] = Field(min_length=1, max_length=MOST)


class Scored(BaseModel):
    """Scores in the order of the request."""

    model: str
    version: int = Field(description="The registered version that computed all of this answer.")
    item_table: str = Field(description="A hash of the item table that it read.")
    scores: list[float] = Field(description="Click probabilities.")
    known: list[bool] = Field(
        description="False: the version has never seen the item, and scored the history and the features of the row."
    )


class Ranked(Scored):
    order: list[int] = Field(description="Positions of the candidates in the request, best first.")


def examples(features: Encoder, ids: ItemIds) -> dict[str, dict[str, Any]]:
    """A request for each of the two bodies, with the items and the features that a version reads."""
    columns = example_columns(features, ids)
    first = {name: values[0] for name, values in columns.items()}
    of_row = [ITEM, *(feature.name for feature in features.row if feature.of == "row")]
    return {
        RankRequest.__name__: {**first, **{name: columns[name] for name in of_row}},
        ScoreRequest.__name__: {"rows": [first]},
    }


class Problem(BaseModel):
    error: str = Field(examples=["likes_level.3: must be a whole number from 0 to 10 (given: 11)"])
