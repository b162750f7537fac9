"""A generated data set in the challenge's layout. How it was drawn is known, and so is the best possible score."""

from components.dataset.sample.days import DaysSpec
from components.dataset.sample.spec import SIZES, SampleSpec
from components.dataset.sample.write import write_sample
from components.dataset.sample.write_days import write_days

__all__ = ["SIZES", "DaysSpec", "SampleSpec", "write_days", "write_sample"]
