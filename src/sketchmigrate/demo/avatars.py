"""Sample avatars: small pictures, each different, that can be made again from their number to check a copy."""

from __future__ import annotations

import hashlib
import struct
import zlib

_CELL_PIXELS = 6
_CELLS = 5
_WIDTH_PIXELS = _CELL_PIXELS * (_CELLS + 1)
_PALETTE, _COLOUR_DEPTH_BITS = 3, 1  # two colours, one bit a pixel


def avatar_name(number: int) -> str:
    """Return the file name of an avatar: ``avatar-000123.png``."""
    return f"avatar-{number:06}.png"


def avatar_png(number: int) -> bytes:
    """Draw an avatar: five by five cells, left and right alike, in a colour of its own.

    The format is that of the PNG specification, sections 5 and 11: a signature and five chunks, some 170 bytes. Written
    by hand, as that takes twenty lines: a library would be one more dependency to lock for them.
    """
    dice = hashlib.sha256(str(number).encode()).digest()
    rows = [[dice[3 * row + column] & 1 for column in range(3)] for row in range(_CELLS)]
    margin = _line([0] * _CELLS) * (_CELL_PIXELS // 2)
    pixels = margin + b"".join(_line([*row, row[1], row[0]]) * _CELL_PIXELS for row in rows) + margin
    header = struct.pack("!IIBBBBB", _WIDTH_PIXELS, _WIDTH_PIXELS, _COLOUR_DEPTH_BITS, _PALETTE, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (
            _chunk(b"IHDR", header),
            _chunk(b"PLTE", b"\xf4\xf4\xf4" + dice[-3:]),
            _chunk(b"tEXt", b"Title\0" + avatar_name(number).encode()),  # two may look alike, no two are the same
            _chunk(b"IDAT", zlib.compress(pixels)),
            _chunk(b"IEND", b""),
        )
    )


def _line(cells: list[int]) -> bytes:
    """Return one line of pixels: the number of its filter (none), then its bits, padded to whole bytes."""
    margin = "0" * (_CELL_PIXELS // 2)
    bits = margin + "".join(str(cell) * _CELL_PIXELS for cell in cells) + margin
    size_bytes = -(-_WIDTH_PIXELS // 8)
    return b"\0" + int(bits.ljust(8 * size_bytes, "0"), 2).to_bytes(size_bytes, "big")


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack("!I", len(content)) + kind + content + struct.pack("!I", zlib.crc32(kind + content))
