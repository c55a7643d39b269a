"""Things awaited side by side fail as one of them would."""

from __future__ import annotations

import asyncio

import pytest

from sketchmigrate.core.errors import MigrateError, S3Refused, SettingsError
from sketchmigrate.task_group import all_of, task_group


async def fail(error: Exception, cause: Exception | None = None) -> None:
    raise error from cause


async def test_the_first_error_comes_out_itself_with_its_own_cause() -> None:
    cause = OSError("the disk")
    error = SettingsError("wrong")

    async def within_another_group() -> None:
        async with task_group() as outer, task_group() as inner:
            inner.create_task(fail(error, cause))
            outer.create_task(asyncio.sleep(0))

    with pytest.raises(SettingsError) as failed:
        await within_another_group()
    assert failed.value is error
    assert error.__cause__ is cause


async def test_the_others_are_ended() -> None:
    endless = asyncio.Event()

    async def wait() -> bool:
        return await endless.wait()

    async def fail_at_once() -> bool:
        raise S3Refused("no")

    with pytest.raises(S3Refused):
        async with asyncio.timeout(5):
            await all_of([wait(), fail_at_once(), wait()])


async def test_a_fault_of_our_own_is_never_hidden_behind_an_error() -> None:
    with pytest.raises(ExceptionGroup) as failed:
        await all_of([fail(MigrateError("expected")), fail(ZeroDivisionError())])
    assert failed.group_contains(ZeroDivisionError)


async def test_other_kinds_are_named() -> None:
    with pytest.raises(LookupError):
        async with task_group(LookupError) as group:
            group.create_task(fail(KeyError()))


async def test_results_come_in_the_order_of_the_works() -> None:
    async def after(turns: int) -> int:
        for _ in range(turns):
            await asyncio.sleep(0)
        return turns

    assert await all_of([after(3), after(1), after(2)]) == [3, 1, 2]
