"""What one writes in an afternoon: processes, and in each one row after the other by boto3 and psycopg.

``DATABASE=… python -m benchmarks.contestants.customary_script PROCESSES ENDPOINT LEGACY PRODUCTION``. It is a fair
specimen: kept-alive connections, no look at the legacy object, no retries beyond boto3's own.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from typing import TYPE_CHECKING

import boto3
import psycopg
from botocore.config import Config
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from collections.abc import Sequence


def migrate(rows: Sequence[tuple[int, str]], endpoint_url: str, legacy: str, production: str) -> None:
    """Copy each row's object unless it is there already, and set the row."""
    s3 = boto3.client("s3", endpoint_url=endpoint_url, config=Config(s3={"addressing_style": "path"}))
    with psycopg.connect(os.environ["DATABASE"], autocommit=True) as database:
        for key, path in rows:
            new_path = path.replace("image/", "avatar/", 1)
            try:
                s3.head_object(Bucket=production, Key=new_path)
            except ClientError:
                s3.copy_object(Bucket=production, Key=new_path, CopySource={"Bucket": legacy, "Key": path})
            database.execute("UPDATE avatars SET path = %s WHERE id = %s", (new_path, key))


def main(processes: int, endpoint_url: str, legacy: str, production: str) -> int:
    """Deal the rows out to the processes; return 1 where one of them failed."""
    with psycopg.connect(os.environ["DATABASE"]) as database:
        rows = database.execute("SELECT id, path FROM avatars WHERE path LIKE 'image/%' ORDER BY id").fetchall()
    workers = [
        multiprocessing.Process(target=migrate, args=(rows[first::processes], endpoint_url, legacy, production))
        for first in range(processes)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return int(any(worker.exitcode for worker in workers))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), *sys.argv[2:5]))
