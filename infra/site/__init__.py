"""The documentation site: its generated pages, and the texts of the repository's root that are part of it."""
