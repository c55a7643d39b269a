"""Micro-benchmarks, by pytest-benchmark: each says in ``extra_info`` what it measures, and how many make a round."""
