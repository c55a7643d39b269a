"""Ledgers in the tables of a PostgreSQL database, which workers on several machines reach."""
