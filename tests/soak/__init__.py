"""Rounds of kills, faults, held rows and a live application at random, for as long as one likes: ``scripts/soak``."""
