"""What the server's rows mean: NULL is not visible, and never 0."""

from __future__ import annotations

import pytest

from sketchmigrate.postgres.replicas import replica_parameters
from sketchmigrate.postgres.vitals import Standby, Vitals, read_slots, read_standbys, read_wal, sensors_for
from sketchmigrate.settings import Settings


def test_a_standby_of_which_the_role_sees_only_the_name_is_there_and_its_lag_is_unknown() -> None:
    seen = read_standbys([("standby-2", None, None, None), ("standby-3", "10.0.0.3", "streaming", 42)])
    assert seen == {"standbys": (Standby("standby-2", None), Standby("standby-3", 42))}
    assert Vitals(**seen).hidden_standbys == ("standby-2",)


def test_who_receives_wal_for_a_backup_is_no_standby() -> None:
    assert read_standbys([("pg_basebackup", None, "streaming", None)]) == {"standbys": ()}


def test_unnamed_standbys_are_told_apart_by_address_and_of_one_name_the_last_one_counts() -> None:
    rows = [("walreceiver", "10.0.0.1", "streaming", 5), ("walreceiver", "10.0.0.2", "streaming", 7)]
    assert read_standbys(rows)["standbys"] == (
        Standby("walreceiver at 10.0.0.1", 5),
        Standby("walreceiver at 10.0.0.2", 7),
    )
    same = [("s", None, "streaming", 7), ("s", None, "catchup", 5), ("", None, "streaming", 1)]
    assert read_standbys(same)["standbys"] == (Standby("s", 5), Standby("walreceiver", 1))


def test_what_a_slot_may_keep_is_what_is_kept_in_any_case_or_more_or_all() -> None:
    assert read_wal([(7, -1, 100)]) == {"wal_lsn": 7, "slot_keep_bytes": -1}
    assert read_wal([(7, 50, 100)]) == {"wal_lsn": 7, "slot_keep_bytes": 100}
    assert read_wal([(7, 500, 100)]) == {"wal_lsn": 7, "slot_keep_bytes": 500}


def test_a_lost_slot_is_known_by_its_status() -> None:
    slots = read_slots([("a", 5, 100, "reserved"), ("b", None, None, "lost"), ("c", 5, None, "extended")])["slots"]
    assert [(slot.name, slot.is_lost) for slot in slots] == [("a", False), ("b", True), ("c", False)]


@pytest.mark.parametrize(("version", "view"), [(130000, "pg_stat_bgwriter"), (170000, "pg_stat_checkpointer")])
def test_checkpoints_are_counted_where_the_server_has_them(version: int, view: str) -> None:
    (activity,) = [sensor for sensor in sensors_for(version) if sensor.what == "activity"]
    assert view in activity.statement


def test_a_standbys_password_is_the_environments_and_its_user_the_databases_unless_it_is_given() -> None:
    urls = Settings(replica_urls="postgresql://one/sketch postgresql://ada@two:5433/sketch")
    database = {"SKETCH_DB_USER": "tool", "SKETCH_DB_PASS": "secret"}
    one, two = replica_parameters(urls, database)
    assert (one["host"], one["user"], one["password"]) == ("one", "tool", "secret")
    assert (two["host"], two["port"], two["user"]) == ("two", "5433", "ada")
    assert "password" not in two
    whole = {**database, "SKETCH_REPLICA_URLS": "postgresql://one/sketch postgresql://ada:other@two:5433/sketch"}
    assert replica_parameters(urls, whole)[1]["password"] == "other"
    elsewhere = {"SKETCH_REPLICA_URLS": "postgresql://ada:other@three/sketch"}
    assert "password" not in replica_parameters(urls, elsewhere)[1]


def test_what_a_standbys_url_does_not_say_is_as_for_the_database() -> None:
    settings = Settings(
        replica_urls="postgresql://one postgresql://two/other?sslmode=disable", db_name="app", db_sslmode="verify-full"
    )
    one, two = replica_parameters(settings, {})
    assert (one["dbname"], one["sslmode"]) == ("app", "verify-full")
    assert (two["dbname"], two["sslmode"]) == ("other", "disable")
