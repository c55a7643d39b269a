"""The protocol between objects, rows and ledger, explored exhaustively within bounds: see ``model``."""
