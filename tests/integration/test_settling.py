"""How nothing is replaced is settled once for a run, and what nobody has agreed to stops every object that waits."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
import uvloop

from sketchmigrate.core.errors import ConditionNotProved
from sketchmigrate.core.mapping import Move
from sketchmigrate.core.reference import Reference
from sketchmigrate.migration.no_clobber import Means
from sketchmigrate.migration.settling import OnceSettled, Settling
from sketchmigrate.s3 import CredentialSource, S3Client, S3Config
from sketchmigrate.settings import Options, Settings
from tests.sides import sides_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from tests.servers.stores import Store

OBJECTS = 5


class Notes:
    """Takes what is said of the run, as its ledger does."""

    def __init__(self) -> None:
        self.said: dict[str, str] = {}

    async def describe(self, more: Mapping[str, str]) -> None:
        """Take it."""
        self.said |= more


def run(
    store: Store, run_dir: Path, options: Options, scenario: Callable[[Settling, OnceSettled, Notes], Awaitable[None]]
) -> list[str]:
    """Play a scenario on a store, and return what was told of it."""
    told: list[str] = []
    settings = Settings(run_dir=str(run_dir))

    async def main() -> None:
        source = CredentialSource.static(store.access_key, store.secret_key)
        async with S3Client(S3Config(endpoint_url=store.endpoint_url, retry_seconds=5), source) as client:
            sides = sides_of(client, store.legacy_bucket, store.production_bucket)
            buckets = (sides.production,)
            site = SimpleNamespace(sides=sides, production_buckets=buckets, settings=settings, specimens=None)
            site.copying = lambda _options, _ledger: client
            settling = Settling(cast("Any", site), options, lambda text, _level: told.append(text))
            notes = Notes()
            await scenario(settling, OnceSettled(settling, cast("Any", notes)), notes)

    uvloop.run(main())
    return told


def move_of(store: Store, number: int) -> Move:
    name = f"{number}.png"
    sides = sides_of(cast("S3Client", None), store.legacy_bucket, store.production_bucket)
    key = f"avatar/{name}"
    return Move(Reference(number, f"image/{name}"), key, sides.legacy.at(f"image/{name}"), sides.production.at(key))


async def bring_all(transfer: OnceSettled, store: Store) -> list[object]:
    """Bring some objects at once, as a run has them in flight; return what became of each."""
    return await asyncio.gather(
        *(transfer.bring(move_of(store, number)) for number in range(OBJECTS)), return_exceptions=True
    )


@pytest.fixture
def filled(rclone_store: Store) -> Store:
    """A store that honours no condition, with legacy objects."""
    rclone_store.put_all(rclone_store.legacy_bucket, {f"image/{n}.png": b"picture" for n in range(OBJECTS)})
    return rclone_store


def test_what_nobody_has_agreed_to_brings_no_object(filled: Store, tmp_path: Path) -> None:
    """Neither the object that came to it first, nor those that waited beside it, nor one that comes later."""

    async def scenario(settling: Settling, transfer: OnceSettled, notes: Notes) -> None:
        outcomes = [*await bring_all(transfer, filled), *await bring_all(transfer, filled)]
        assert all(isinstance(each, ConditionNotProved) for each in outcomes), outcomes
        assert settling.strategy is not None
        assert settling.strategy.means is Means.CHECK_FIRST
        assert not notes.said

    told = run(filled, tmp_path, Options(), scenario)
    assert filled.keys(filled.production_bucket) == []
    assert sum(text.startswith("Trying the store") for text in told) == 1


def test_what_was_agreed_to_before_is_done(filled: Store, tmp_path: Path) -> None:
    async def scenario(settling: Settling, transfer: OnceSettled, notes: Notes) -> None:
        await settling.settle()
        assert settling.needs_consent
        assert not settling.is_agreed
        settling.agree()
        outcomes = await bring_all(transfer, filled)
        assert not [each for each in outcomes if isinstance(each, BaseException)], outcomes
        assert notes.said["no_clobber"] == Means.CHECK_FIRST

    told = run(filled, tmp_path, Options(), scenario)
    assert len(filled.keys(filled.production_bucket)) == OBJECTS
    assert sum(text.startswith("Trying the store") for text in told) == 1


def test_to_agree_before_it_is_settled_agrees_to_nothing(filled: Store, tmp_path: Path) -> None:
    async def scenario(settling: Settling, transfer: OnceSettled, notes: Notes) -> None:
        settling.agree()
        assert all(isinstance(each, ConditionNotProved) for each in await bring_all(transfer, filled))
        assert not notes.said

    run(filled, tmp_path, Options(), scenario)
    assert filled.keys(filled.production_bucket) == []


def test_yes_beforehand_agrees_to_whatever_it_comes_to(filled: Store, tmp_path: Path) -> None:
    async def scenario(settling: Settling, transfer: OnceSettled, notes: Notes) -> None:
        outcomes = await bring_all(transfer, filled)
        assert not [each for each in outcomes if isinstance(each, BaseException)], outcomes
        assert settling.needs_consent
        assert notes.said["no_clobber"] == Means.CHECK_FIRST

    run(filled, tmp_path, Options(say_yes=True), scenario)
    assert len(filled.keys(filled.production_bucket)) == OBJECTS


def test_what_is_not_proved_is_tried_once_for_all_that_wait(filled: Store, tmp_path: Path) -> None:
    async def scenario(_: Settling, transfer: OnceSettled, notes: Notes) -> None:
        outcomes = await bring_all(transfer, filled)
        assert all(isinstance(each, ConditionNotProved) for each in outcomes), outcomes
        assert not notes.said

    told = run(filled, tmp_path, Options(no_clobber="conditional-copy", say_yes=True), scenario)
    assert sum(text.startswith("Trying the store") for text in told) == 1
    assert filled.keys(filled.production_bucket) == []
