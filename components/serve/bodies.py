"""What is asked and answered, with ranges and examples. The OpenAPI page at /docs is made of it."""

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

MOST = 2000  # candidates or rows in one request
HIGHEST_ID = 2**63 - 1
Item = Annotated[int, Field(strict=True, ge=1, le=HIGHEST_ID)]
Clicked = Annotated[int, Field(strict=True, ge=0, le=HIGHEST_ID)]
Level = Annotated[int, Field(strict=True, ge=0, le=10)]
History = Annotated[list[Clicked], Field(max_length=10_000, description="Clicked items, oldest first; 0 is left out.")]


def _example(value: dict[str, Any]) -> ConfigDict:
    return ConfigDict(extra="forbid", json_schema_extra={"examples": [value]})


class RankRequest(BaseModel):
    """One user and the candidates to rank: three lists of the same length."""

    model_config = _example({"item_seq": [31, 7, 12], "item_id": [5, 9], "likes_level": [4, 0], "views_level": [7, 0]})
    item_seq: History
    item_id: list[Item] = Field(min_length=1, max_length=MOST)
    likes_level: list[Level] = Field(max_length=MOST, description="0 is unknown, 1 to 10 are deciles.")
    views_level: list[Level] = Field(max_length=MOST, description="0 is unknown, 1 to 10 are deciles.")

    @model_validator(mode="after")
    def _same_length(self) -> Self:
        sizes = {name: len(getattr(self, name)) for name in ("item_id", "likes_level", "views_level")}
        if len(set(sizes.values())) > 1:
            raise ValueError(f"the lists must be of one length, and are {sizes}")
        return self


class Row(BaseModel):
    model_config = ConfigDict(extra="forbid")
    item_seq: History
    item_id: Item
    likes_level: Level
    views_level: Level


class ScoreRequest(BaseModel):
    """Rows of any users."""

    model_config = _example({"rows": [{"item_seq": [31, 7, 12], "item_id": 5, "likes_level": 4, "views_level": 7}]})
    rows: list[Row] = Field(min_length=1, max_length=MOST)


class Scored(BaseModel):
    """Scores in the order of the request."""

    model: str
    version: int = Field(description="The registered version that computed all of this answer.")
    item_table: str = Field(description="A hash of the item table that it read.")
    scores: list[float] = Field(description="Click probabilities.")
    known: list[bool] = Field(description="False: the version has never seen the item, and scored the user and levels.")


class Ranked(Scored):
    order: list[int] = Field(description="Positions of the candidates in the request, best first.")


class Problem(BaseModel):
    error: str = Field(examples=["likes_level.3: Input should be less than or equal to 10 (given: 11)"])
