"""Moto's server as it is; but it looks once, and not for each request, which of its services there are on the disk.

Started as a script, with moto's own arguments. That look is a third of the time that it takes to answer.
"""

from __future__ import annotations

import sys

from moto import backends
from moto.server import main

if __name__ == "__main__":
    services = frozenset(backends.list_of_moto_modules())
    backends.list_of_moto_modules = lambda: services
    main(sys.argv[1:])
