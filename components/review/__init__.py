"""A person decides which version serves, and can return to the previous one. Every decision is kept.

The log in `components/tracking/decisions.py` is the truth, `settle.py` makes aliases and tags agree with it, and
`decide.py` is what the command line calls.
"""
