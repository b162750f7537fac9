"""One package a pipeline step: plain functions, paths and a config in, files and a result out.

`ops.py` wraps them for Kubeflow; nothing else here knows that Kubeflow exists.
"""
