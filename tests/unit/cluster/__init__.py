"""Claims about what several processes share."""
