"""The report that a person reads before approving: one HTML file, no script, no network."""
