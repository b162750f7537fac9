"""Decides by a written policy whether a person should be asked to approve a candidate."""
