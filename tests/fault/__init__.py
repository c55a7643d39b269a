"""Claims about what happens when something breaks."""
