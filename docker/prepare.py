"""What has to be there before the services start, made once and by one process; a second run changes nothing.

python prepare.py stores       the role, its databases, the ledger's tables, the buckets
python prepare.py accounts     MLflow's accounts of the sweeps and of Prometheus; passwords are set anew

Addresses and passwords come from the environment, as libpq, boto3 and MLflow read them.
"""

from __future__ import annotations

import os
import sys

OPTUNA, MLFLOW, MLFLOW_AUTH = "optuna", "mlflow", "mlflow_auth"
BUCKETS = ("mlflow", "sweeps")


def make_databases() -> None:
    """The role of PGUSER with PGPASSWORD, and databases of its own that nobody else can connect to."""
    import psycopg
    from psycopg import sql

    role, password = os.environ["PGUSER"], os.environ["PGPASSWORD"]
    with psycopg.connect(
        dbname="postgres", user="postgres", password=os.environ["POSTGRES_PASSWORD"], autocommit=True
    ) as connection:
        name = sql.Identifier(role)
        if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone():
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(name))
        connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(name, sql.Literal(password)))
        known = {row[0] for row in connection.execute("SELECT datname FROM pg_database")}
        for database in (OPTUNA, MLFLOW, MLFLOW_AUTH):
            if database not in known:
                connection.execute(
                    sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(database), name)
                )
            connection.execute(
                sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(sql.Identifier(database))
            )


def make_ledger() -> None:
    """Optuna's tables, which two processes cannot make at once; MLflow's are made by its one server."""
    import optuna

    optuna.storages.RDBStorage(f"postgresql+psycopg:///{OPTUNA}")


def make_buckets() -> None:
    """Buckets that are not there yet."""
    import boto3

    client = boto3.client("s3")
    known = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
    for name in BUCKETS:
        if name not in known:
            client.create_bucket(Bucket=name)


def make_accounts() -> None:
    """``sweeps``, and ``metrics``: MLflow shows its metrics to administrators only."""
    from mlflow.exceptions import MlflowException
    from mlflow.server import get_app_client

    client = get_app_client("basic-auth", os.environ["MLFLOW_TRACKING_URI"])
    for name, variable, is_admin in (
        ("sweeps", "MLFLOW_PASSWORD", False),
        ("metrics", "METRICS_PASSWORD", True),
    ):
        password = os.environ[variable]
        try:
            client.get_user(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            client.create_user(name, password)
        else:
            client.update_user_password(name, password)
        client.update_user_admin(name, is_admin)


def main(what: str) -> None:
    """Make it, and say so."""
    steps = {"stores": (make_databases, make_ledger, make_buckets), "accounts": (make_accounts,)}
    if what not in steps:
        sys.exit(f"prepare.py: '{what}' is not one of {', '.join(steps)}")
    for step in steps[what]:
        step()
        print(f"{step.__name__.replace('_', ' ')}: done", flush=True)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
