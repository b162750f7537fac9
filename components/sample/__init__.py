"""A made-up data set in the challenge's layout whose truth is known: what the best possible model would score."""

from components.sample.spec import SIZES, SampleSpec
from components.sample.write import write_sample

__all__ = ["SIZES", "SampleSpec", "write_sample"]
