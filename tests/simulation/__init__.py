"""A whole migration over a store and a database in memory, under faults, crashes and a live application, by seed."""
