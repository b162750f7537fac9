"""Recurring runs as files: read, checked, explained, compared with the cluster, and made so."""
