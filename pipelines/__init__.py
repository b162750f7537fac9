"""Wiring only: the training DAG, the presets, the command line, compilation, submission and schedules."""
