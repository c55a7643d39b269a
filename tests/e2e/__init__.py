"""Claims about the installed tool, as a person types it."""
