"""Measures the tool beside its peers, on the same servers and the same objects: ``scripts/bench``."""
