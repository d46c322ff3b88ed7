"""The PostgreSQL of the tests is a real one, and asks who comes."""

from __future__ import annotations

import psycopg
import pytest
from postgres import Postgres


def test_the_server_asks_for_its_password_and_keeps_what_was_committed_before_it_was_killed(
    postgres: Postgres,
) -> None:
    url = postgres.new_database("kept")
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE t (n int)")
    for wrong in (url.replace(postgres.password, "wrong"), url.replace(f":{postgres.password}", "")):
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(wrong)
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(host=str(postgres.folder), port=postgres.port, user=postgres.user, dbname="kept")
    postgres.kill()
    postgres.start()
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (0,)
