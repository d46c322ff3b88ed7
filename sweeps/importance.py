"""What the parameters of a loss explain, by Optuna's fANOVA, and whether its model explains anything.

Only for losses of which two parameters or more differ: of a single one the share is 1 by definition.
PED-ANOVA, Optuna's default, asks what sets the best tenth of the trials apart, which of 20 trials are two;
fANOVA fits a forest of trees to all of them. Its shares are of the forest's own variation, and a forest that
was fitted to noise has some too: so a second one must predict the scores at settings that it has not seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from trackers.compare import ArmKey, arm_key, counts_as_result, searched
from trackers.shares import Importance
from trackers.table import TrialResult

ENOUGH_TRIALS = 20
ENOUGH_SETTINGS = 10
FOLDS = 5
TREES = 64


def importances(trials: Iterable[TrialResult]) -> tuple[Importance, ...]:
    """One value for every cell and loss with several parameters, in the order of their first trial.

    Args:
        trials: The table; confirmations and what has no result are left out.
    """
    groups: dict[tuple[str, str], list[TrialResult]] = {}
    for trial in searched(trials):
        groups.setdefault((trial.cell, trial.loss), []).append(trial)
    found = []
    for (cell, loss), members in groups.items():
        names = sorted({name for trial in members for name in trial.params})
        names = [name for name in names if len({trial.params.get(name) for trial in members}) > 1]
        if len(names) > 1:
            done = [trial for trial in members if counts_as_result(trial) and set(names) <= set(trial.params)]
            found.append(_importance(cell, loss, names, done))
    return tuple(found)


def _importance(cell: str, loss: str, names: Sequence[str], done: Sequence[TrialResult]) -> Importance:
    settings = len({arm_key(trial) for trial in done})
    scores = [trial.score for trial in done if trial.score is not None]
    if len(done) < ENOUGH_TRIALS or settings < ENOUGH_SETTINGS or len(set(scores)) < 2:
        return Importance(cell, loss, len(done), settings)
    predicted = _predicted(names, done, scores)
    shares = _shares(names, done, scores) if predicted > 0 else {}
    return Importance(cell, loss, len(done), settings, shares, predicted)


def _shares(names: Sequence[str], done: Sequence[TrialResult], scores: Sequence[float]) -> dict[str, float]:
    """Share of the forest's variation by each parameter alone; what is missing to 1 is their interplay."""
    from optuna import create_study, logging
    from optuna.distributions import BaseDistribution, FloatDistribution
    from optuna.importance import FanovaImportanceEvaluator
    from optuna.trial import create_trial

    ranges: dict[str, BaseDistribution] = {}
    for name in names:
        values = [float(trial.params[name]) for trial in done]
        ranges[name] = FloatDistribution(min(values), max(values))
    logging.set_verbosity(logging.WARNING)
    study = create_study(direction="maximize")
    study.add_trials(
        create_trial(params={name: trial.params[name] for name in names}, distributions=ranges, value=score)
        for trial, score in zip(done, scores, strict=True)
    )
    shares = FanovaImportanceEvaluator(n_trees=TREES, seed=0).evaluate(study, params=list(names))
    return {name: float(shares[name]) for name in names}


def _predicted(names: Sequence[str], done: Sequence[TrialResult], scores: Sequence[float]) -> float:
    """R squared over folds, each of which leaves out whole settings with all their seeds."""
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.model_selection import GroupKFold, cross_val_predict

    numbers: dict[ArmKey, int] = {}
    groups = [numbers.setdefault(arm_key(trial), len(numbers)) for trial in done]
    places = np.array([[trial.params[name] for name in names] for trial in done])
    known = np.array(scores)
    guessed = cross_val_predict(
        RandomForestRegressor(n_estimators=TREES, random_state=0), places, known, groups=groups,
        cv=GroupKFold(FOLDS, shuffle=True, random_state=0),
    )  # fmt: skip
    return float(1 - ((known - guessed) ** 2).sum() / ((known - known.mean()) ** 2).sum())
