"""A made-up data set in the challenge's layout whose truth is known: what the best possible model would score."""

from components.dataset.sample.spec import SIZES, SampleSpec
from components.dataset.sample.write import write_sample

__all__ = ["SIZES", "SampleSpec", "write_sample"]
