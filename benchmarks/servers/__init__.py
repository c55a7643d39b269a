"""The servers that are measured against: stores, a responder that keeps nothing, and the table."""
