"""Settles how objects get to production: the rights are tried, then the store, and a transfer is chosen.

That is done once, before the work where a legacy row is in sight. Else it is done with the first object to copy: a run
over finished work has none, and must write nothing.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from sketchmigrate.core.errors import ConditionNotProved
from sketchmigrate.migration.no_clobber import Means, Strategy, choose, for_all
from sketchmigrate.migration.preflight import PATIENCE_SECONDS, check_tagging, check_versions, check_writing
from sketchmigrate.migration.probe_record import recorded_folder, remove_left_behind
from sketchmigrate.migration.store_trial import try_store
from sketchmigrate.migration.transfer import transfer_of
from sketchmigrate.migration.transfer_kind import TransferKind, settle_kind
from sketchmigrate.s3.probe.folder import told

if TYPE_CHECKING:
    from collections.abc import Callable

    from sketchmigrate.core.mapping import Move
    from sketchmigrate.ledger import Ledger, WholeLedger
    from sketchmigrate.migration.site import Site
    from sketchmigrate.migration.transfer import Taken, Transfer
    from sketchmigrate.migration.transfer_kind import SettledKind
    from sketchmigrate.s3 import CopyResult
    from sketchmigrate.s3.probe.folder import ProbeFolder
    from sketchmigrate.settings import Options
    from sketchmigrate.sides import Side

NOT_REMOVED = "what earlier runs left behind could not be removed"

Tell: TypeAlias = "Callable[[str, int], None]"
"""Hears a message for a person, and its level of ``logging``."""


class Settling:
    """How objects get to production in this run: the ``kind`` of the transfer, and how nothing is replaced.

    Both are None until they are settled. ``options`` are those of the run, with what was settled. ``tell`` hears what
    is found.
    """

    def __init__(self, site: Site, options: Options, tell: Tell) -> None:
        self.kind: SettledKind | None = None
        self.strategy: Strategy | None = None
        self.options = options
        self._site, self._tell = site, tell
        self._at_work = asyncio.Lock()
        self._agreed = options.say_yes
        self._refusal: ConditionNotProved | None = None

    @property
    def needs_consent(self) -> bool:
        """Whether it came to check-first, which nobody has asked for."""
        is_check_first = self.strategy is not None and self.strategy.means is Means.CHECK_FIRST
        return is_check_first and self.options.no_clobber != Means.CHECK_FIRST

    @property
    def is_agreed(self) -> bool:
        """Whether nobody has to be asked."""
        return self._agreed or not self.needs_consent

    def agree(self) -> None:
        """Take what is settled by now for agreed to: a person was asked, if there was a reason to."""
        self._agreed = self._agreed or self.strategy is not None

    def noted(self) -> dict[str, str]:
        """Return what the ledger and JSON say of it; nothing of what is not settled."""
        strategy = self.strategy
        return {"no_clobber": strategy.means, "no_clobber_reason": strategy.reason} if strategy else {}

    def kind_noted(self) -> dict[str, str]:
        """Return what they say of the kind of transfer."""
        return {"transfer": self.kind.kind, "transfer_reason": self.kind.reason} if self.kind else {}

    @property
    def is_streamed(self) -> bool:
        """Whether objects pass through this machine."""
        return self.kind is not None and self.kind.kind is TransferKind.STREAMED

    async def settle_kind(self) -> None:
        """Settle whether objects are copied within the store. Writes nothing. Raises what ``transfer_kind`` does."""
        self.kind = await settle_kind(self._site, self.options)
        self.options = replace(self.options, transfer=self.kind.kind.value)
        if not self.kind.is_plain:
            self._say(f"Transfer: {self.kind.kind}, because {self.kind.reason}.")

    def transfer(self, strategy: Strategy, ledger: Ledger | None = None) -> Transfer:
        """Return what brings objects by a strategy, and keeps uploads in parts on record."""
        return transfer_of(self._site.sides, self._site.copying(self.options, ledger), strategy)

    async def try_rights(self, *, with_tags: bool) -> None:
        """Remove what earlier runs left when they were killed, and try the rights to write in production.

        ``with_tags``: those to tags as well, of which it is told what is lacking. Raises ``S3Error``.
        """
        run_dir = self._site.settings.run_dir
        for each in self._site.production_buckets:
            production = each.retrying(PATIENCE_SECONDS)
            if left := await remove_left_behind(production, run_dir):
                self._note(f"{NOT_REMOVED}: {told(left)}")
            async with recorded_folder(production, run_dir) as folder:
                await check_writing(folder, production)
                notes = await self._try_tags(folder) if with_tags else []
            for note in dict.fromkeys(notes):
                self._note(note)

    async def _try_tags(self, folder: ProbeFolder) -> list[str]:
        """Return what is lacking to keep the tags of objects that go into the bucket of the folder."""
        return [
            note
            for sides, specimens in zip(self._site.all_sides, self._site.specimens, strict=True)
            if sides.production.bucket == folder.alone.bucket
            for note in await check_tagging(folder, sides.retrying(PATIENCE_SECONDS), specimens)
        ]

    async def settle(self) -> Strategy:
        """Try the store, once, where the choice depends on it.

        Raises ``ConditionNotProved`` where the means that was asked for is not proved, and ``S3Error``.
        """
        async with self._at_work:
            if self._refusal is not None:
                raise self._refusal  # the objects that waited for it need not try the store again
            if self.strategy is None:
                try:
                    self.strategy = await self._choose()
                except ConditionNotProved as refusal:
                    self._refusal = refusal
                    raise
        return self.strategy

    async def settle_late(self, ledger: WholeLedger) -> Strategy:
        """Settle it in the middle of the work, where nobody can be asked, and note it in the ledger.

        Raises ``ConditionNotProved`` where it would take somebody's consent, too.
        """
        strategy = await self.settle()
        if not self.is_agreed:
            raise ConditionNotProved(
                f"the rows that were found meanwhile were not begun: to replace nothing, {strategy.reason}",
                hint="Migrate them with --no-clobber check-first, which agrees to a look before each copy.",
            )
        await ledger.describe(self.noted())
        return strategy

    async def _choose(self) -> Strategy:
        wanted = self.options.no_clobber
        if wanted == Means.CHECK_FIRST:
            strategy = Strategy(Means.CHECK_FIRST, "it was asked for", is_streamed=self.is_streamed)
        else:
            strategy = for_all([(side.bucket, await self._try(side)) for side in self._site.production_buckets])
        self._say(f"To replace nothing: {strategy.means}, because {strategy.reason}.")
        if strategy.window:
            self._note(
                f"what could be replaced all the same is {strategy.window}. Rows that it changes to the"
                " same key meanwhile are reported as possibly overwritten."
            )
            for side in self._site.production_buckets:
                for note in await check_versions(side):
                    self._note(note)
        return strategy

    async def _try(self, production: Side) -> Strategy:
        report = await try_store(production, self._site.settings.run_dir, tell=self._say)
        if report.left_behind:
            self._note(f"the probe of the store left behind {told(report.left_behind)}")
        return choose(report, self.options.no_clobber, is_streamed=self.is_streamed)

    def _say(self, text: str) -> None:
        self._tell(text, logging.INFO)

    def _note(self, text: str) -> None:
        self._tell(f"Note: {text}", logging.WARNING)


class OnceSettled:
    """The transfer that a ``Settling`` comes to, which is asked for with the first object."""

    def __init__(self, settling: Settling, ledger: WholeLedger) -> None:
        self._settling, self._ledger = settling, ledger
        self._transfer: Transfer | None = None

    async def bring(self, move: Move) -> CopyResult | Taken:
        """Bring one object. Raises what ``settle_late`` raises."""
        return await (self._transfer or await self._settled()).bring(move)

    async def unguarded(self) -> bool:
        """Whether it came to no condition at all. Raises what ``settle_late`` raises."""
        return await (self._transfer or await self._settled()).unguarded()

    async def _settled(self) -> Transfer:
        strategy = await self._settling.settle_late(self._ledger)
        if self._transfer is None:
            self._transfer = self._settling.transfer(strategy, self._ledger)
        return self._transfer
