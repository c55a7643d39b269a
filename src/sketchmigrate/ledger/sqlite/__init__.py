"""Ledgers in files of SQLite: the run's own in its directory, and those of its worker processes beside it."""
