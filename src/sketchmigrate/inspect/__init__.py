"""Both sides held against each other: listings and counts."""
