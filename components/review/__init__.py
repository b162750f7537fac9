"""A person decides which version serves, and can go back; every decision is kept.

The log in `components/tracking/decisions.py` is the truth, `settle.py` makes aliases and tags agree with it, and
`decide.py` is what the command line calls.
"""
