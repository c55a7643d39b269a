"""Where a page is put: as a whole, so that nobody loads half of one, and for its owner alone."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING

from sketchmigrate.core.errors import RunDirectoryError

if TYPE_CHECKING:
    from pathlib import Path

PAGE_NAME = "report.html"
COMPARISON_NAME = "comparison.html"
_HINT = "Give -o a file that you may write to, on a disk with room."


def write_page(path: Path, page: str) -> None:
    """Write a page, in the place of one that is there. Raises ``RunDirectoryError``, also where no file can be put.

    What is written first has a name that nobody else has chosen: whoever may write there too cannot lead it elsewhere.
    """
    if path.name == "-" or (path.exists() and not path.is_file()):
        raise RunDirectoryError(f"{path} is no file: a page takes the place of a file, or of nothing", hint=_HINT)
    try:
        handle, unfinished = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    except OSError as error:
        raise _not_written(path, error) from error
    try:
        with open(handle, "w", encoding="utf-8", errors="backslashreplace") as file:  # noqa: PTH123 - it is open already
            file.write(page)
        os.replace(unfinished, path)  # noqa: PTH105 - mkstemp gives a text
    except OSError as error:
        with suppress(OSError):
            os.unlink(unfinished)  # noqa: PTH108 - the same
        raise _not_written(path, error) from error


def _not_written(path: Path, error: OSError) -> RunDirectoryError:
    return RunDirectoryError(f"{path} cannot be written: {error.strerror or error}", hint=_HINT)
