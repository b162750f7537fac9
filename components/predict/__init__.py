"""Scores with a registered version: whole splits that survive a kill, and one user's candidates at once."""
