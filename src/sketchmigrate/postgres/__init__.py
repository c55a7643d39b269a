"""PostgreSQL: connections that wait for a database that is away, pages of references, the flip."""
