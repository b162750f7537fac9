"""Checks the manifests: would a cluster accept them, and do they keep our own rules?"""
