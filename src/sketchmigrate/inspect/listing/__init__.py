"""Complete listings of a side, in ranges side by side."""
