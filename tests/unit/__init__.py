"""Claims about one part at a time, without a server."""
