"""The protocol between objects, rows and ledger, explored exhaustively within bounds: see ``model``.

``python -m tests.exploration`` prints how many states there are within the usual bounds, ``--full`` within all of them.
"""
