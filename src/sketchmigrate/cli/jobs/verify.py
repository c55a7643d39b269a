"""``verify``: evidence, judgement, certificate."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING

from sketchmigrate import __version__
from sketchmigrate.cli.inspection import InspectionJob
from sketchmigrate.core.errors import RunDirectoryError
from sketchmigrate.core.exit_codes import ExitCode
from sketchmigrate.core.rule import BOTH_SIDES
from sketchmigrate.inspect.certificate import Certificate, problems_text
from sketchmigrate.inspect.evidence import digest
from sketchmigrate.inspect.problems import PROBLEMS_NAME
from sketchmigrate.inspect.repair import read_recopied
from sketchmigrate.inspect.verify import verify
from sketchmigrate.ledger.disk import disk_hint
from sketchmigrate.migration.recognition import refusal
from sketchmigrate.service.engines import check_dask_for

if TYPE_CHECKING:
    from pathlib import Path

    from sketchmigrate.cli.commands.verify import VerifyArguments
    from sketchmigrate.cli.start import Start
    from sketchmigrate.inspect.discover import Discovery
    from sketchmigrate.report.logs import RunDirectory


class VerifyJob(InspectionJob):
    """One verification."""

    inventoried = BOTH_SIDES
    leaves_page = True

    def __init__(self, arguments: VerifyArguments, start: Start, run: RunDirectory) -> None:
        super().__init__(start, run)
        self._arguments = arguments

    async def prepare(self) -> None:
        """Open the site, and try the right to read in production, which comparing takes."""
        check_dask_for(self.options.cluster)
        await super().prepare()
        await self.check_production_reading()

    async def carry_out(self) -> int:
        """Gather, judge, certify."""
        self.end_at_signals()
        discovery = await self.discover(full=True) if self._arguments.discover else None
        arguments = self._arguments
        certificate, document = await certify(
            self, deep_percent=arguments.deep, metadata_percent=arguments.metadata, discovery=discovery
        )
        return self.conclude(document, ExitCode.finished(left=not certificate.passed))


async def certify(
    job: InspectionJob,
    *,
    deep_percent: float | None,
    metadata_percent: float | None,
    lists: str = PROBLEMS_NAME,
    discovery: Discovery | None = None,
) -> tuple[Certificate, dict[str, object]]:
    """Verify a site and show the certificate; return it, and as what the JSON document says.

    ``lists`` is how the lists of problems are called: those of one run keep their names apart. Raises
    ``NothingRecognised``, and then there is no certificate.
    """
    with ExitStack() as opened:
        async with job.evidence() as evidence:
            recognition = await job.gather(evidence)
            if recognition.is_nothing:
                raise refusal(job.settings, recognition.others)
            ledgers = list(job.past_runs(opened))
            await read_recopied(evidence, job.past_repairs())
            found = await verify(
                evidence,
                job.looker(evidence),
                ledgers,
                deep_percent=deep_percent,
                metadata_percent=metadata_percent,
            )
            written = await job.write_problems(evidence, lists)
    # the file is as it will stay: nothing opens it for writing any more
    certificate = Certificate(job.evidence_site(), found, str(evidence.path), digest(evidence.path), discovery)
    problems_files = [str(path) for path in written]
    document = {**certificate.json(), "problems_files": problems_files, "log_file": str(job.run.log_path)}
    text = certificate.text()
    write(job.run.path / "certificate.txt", text + "\n")
    write(job.run.path / "certificate.json", json.dumps({"version": __version__, **document}, indent=2) + "\n")
    parts = [text, problems_text(found), "\n".join(f"Problems    {path}" for path in problems_files)]
    parts.append(f"Certificate {job.run.path / 'certificate.txt'}\nLog         {job.run.log_path}")
    job.terminal.result("\n\n".join(part for part in parts if part))
    return certificate, document


def write(path: Path, text: str) -> None:
    """Write a file of the run's directory, for its owner alone. Raises ``RunDirectoryError``."""
    try:
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        text = f"{path} cannot be written: {error.strerror or error}"
        raise RunDirectoryError(text, hint=disk_hint(error)) from error
