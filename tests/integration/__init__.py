"""Claims about one part against real servers."""
