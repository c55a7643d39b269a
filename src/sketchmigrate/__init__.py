"""Move S3 objects and the PostgreSQL rows that point at them, together, while the application stays live."""

__version__ = "0.1.0"
