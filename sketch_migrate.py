#!/usr/bin/env python3
"""Run sketch-migrate from a checkout: ``./sketch_migrate.py -h``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "src"))

try:
    from sketchmigrate.cli.early_signals import end_at_ctrl_c, ignore_requests_for_the_status
    from sketchmigrate.garbage import collect_garbage_seldom

    if __name__ == "__main__":
        end_at_ctrl_c()
        ignore_requests_for_the_status()
        collect_garbage_seldom()
    from sketchmigrate.cli.main import main
except ModuleNotFoundError as missing:
    if (missing.name or "").startswith("sketchmigrate"):
        raise
    sys.exit(
        f"error: the Python package {missing.name} is not installed for {sys.executable}\n"
        "hint:  python3 -m venv .venv && .venv/bin/pip install -e . && .venv/bin/python sketch_migrate.py -h"
    )

if __name__ == "__main__":
    sys.exit(main(config_folder=Path(__file__).resolve().parent / "lib"))
