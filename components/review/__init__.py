"""A person decides which version serves, and can go back; every decision is kept.

`log.py` holds the decisions and is the truth, `settle.py` makes aliases and tags agree with it, `decide.py` is what the
command line and the webhook call.
"""
