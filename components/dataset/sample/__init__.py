"""A generated data set in the challenge's layout. How it was drawn is known, and so is the best possible score."""

from components.dataset.sample.spec import SIZES, SampleSpec
from components.dataset.sample.write import write_sample

__all__ = ["SIZES", "SampleSpec", "write_sample"]
