"""What a driver imports sooner or later, for the process that drivers are forked from.

Nothing here starts a thread or opens a file: a fork would share it.
"""

# ruff: noqa: E402, F401
from trackers import connection

connection.load()

import alembic.autogenerate
import alembic.command
import alembic.config
import alembic.op
import mlflow.store.tracking.sqlalchemy_store
import optuna.storages._rdb.storage
import pandas.io.formats.format
import plotly.graph_objs
import plotly.io
import sqlalchemy.dialects.sqlite
import sqlalchemy.orm
import tabulate
import wcwidth

import cefl.trial
import sweeps.cli
import sweeps.display
import sweeps.driver
import sweeps.executors.inline
import sweeps.reporting
import trackers.runs

for kind in ("Figure", "Scatter", "Bar", "Heatmap"):
    getattr(plotly.graph_objs, kind)  # Imported when it is first used.
