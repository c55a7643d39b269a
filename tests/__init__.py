"""Claims about sketch-migrate that can be false."""
