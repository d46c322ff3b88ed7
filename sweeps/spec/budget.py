"""What ends a search before everything that was planned is trained."""

from __future__ import annotations

from pydantic import Field

from sweeps.spec.block import Block


class Patience(Block):
    """Asks of a study end after so many in a row that were no better."""

    trials: int = Field(ge=1, description="asks in a row, stopped and failed ones too")
    by: float = Field(
        0.0,
        ge=0,
        lt=1,
        allow_inf_nan=False,
        description="what is better: more than this, a share; 0.005 is half a point",
    )


class Budget(Block):
    """Limits of a sweep; where one is reached no trial starts any more, and those that run are finished.

    Confirmations, repetitions and trials taken over from another sweep are free.
    """

    trials: int | None = Field(None, ge=1, description="most trials, listed and asked for together")
    epochs: int | None = Field(
        None, ge=1, description="most epochs of all trials; a trial starts only where all of its own fit"
    )
    hours: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="wall-clock time of all runs of the sweep together"
    )
    patience: Patience | None = Field(None, description="ends the asks of a study that finds nothing better")
