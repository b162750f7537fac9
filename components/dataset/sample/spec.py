"""How large the sample is, and where its randomness starts."""

from dataclasses import dataclass
from typing import Literal, get_args

from model.checks import at_least, between, one_of

Content = Literal["images", "columns", "item_info"]


@dataclass(frozen=True)
class SampleSpec:
    """One generated data set."""

    items: int = 300  # in the catalogue
    train_rows: int = 20_000  # rounded down to whole users of four rows, as for the other splits
    valid_rows: int = 2_500  # rows of valid
    test_rows: int = 5_000  # rows of test
    seed: int = 1  # decides everything that is drawn
    content: Content = "images"  # covers in tar shards, or columns of BERT and CLIP vectors, or a finished item_info
    train_pool: float = 0.85  # share of the known items that train's non-clicks are drawn from
    test_pool: float = 0.95  # the same for valid and for test, each with a draw of its own
    pool_popularity: float = 2.0  # power of popularity by which those items are drawn; 0 ignores popularity
    new_items: float = 0.08  # share of the items that appear in test only
    label_test: bool = True  # whether test has labels

    def __post_init__(self) -> None:
        at_least("sample.items", self.items, 30)
        for field in ("train_rows", "valid_rows", "test_rows"):
            at_least(f"sample.{field}", getattr(self, field), 4)
        at_least("sample.seed", self.seed, 0)
        one_of("sample.content", self.content, get_args(Content))
        for field in ("train_pool", "test_pool"):
            between(f"sample.{field}", getattr(self, field), 0.1, 1.0)
        between("sample.pool_popularity", self.pool_popularity, 0.0, 4.0)
        between("sample.new_items", self.new_items, 0.0, 0.5)

    def rows(self, split: str) -> int:
        """A whole number of users: each brings one click and three items left alone."""
        rows: int = getattr(self, f"{split}_rows")
        return rows - rows % 4


SIZES: dict[str, SampleSpec] = {
    "tiny": SampleSpec(items=100, train_rows=1_500, valid_rows=400, test_rows=600),
    "sample": SampleSpec(),
    "challenge": SampleSpec(
        items=91_717,
        train_rows=3_600_000,
        valid_rows=10_000,
        test_rows=379_140,
        content="item_info",
        train_pool=0.15,  # 14,000 items
        pool_popularity=0.0,
    ),
}
