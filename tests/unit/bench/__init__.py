"""What the benchmarks decide without measuring."""
