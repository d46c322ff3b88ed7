"""Homes with as many trials as wanted, none of them trained, for what comes around training.

Histories and results are written by the project's own writers; only the ledger is filled in one transaction,
since thousands of commits would take minutes.
"""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

from optuna.distributions import FloatDistribution, distribution_to_json
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.study import StudyDirection
from optuna.trial import TrialState

from sweeps.history import SPLIT_NAMES, History, write_result
from sweeps.home import Home
from sweeps.ledger import attributes
from sweeps.plan import Plan, PlannedTrial, build_plan
from sweeps.spec import load_spec
from sweeps.state import write_spec, write_state

NAME = "large"
SEEDS = 5
METRICS = ("loss", "accuracy", "balanced_accuracy", "macro_precision", "macro_recall", "macro_f1")
STARTED = 1_764_000_000_000  # ms since 1970.


def write_specification(path: Path, trials: int, epochs: int) -> Path:
    """A specification of one study with that many trials: a few gammas, each with five seeds."""
    gammas = [round(5 * number / trials, 6) for number in range(1, trials // SEEDS + 1)]
    path.write_text(
        f"name: {NAME}\n"
        "data: {source: digits, imbalance: 20}\n"
        "validation: {unused: 20}\n"
        "depth: 8\n"
        f"losses: [cross_entropy, {{loss: cefl, gamma: {gammas}}}]\n"
        f"seeds: {SEEDS}\n"
        f"recipe: {{epochs: {epochs}}}\n"
        "resources: {gpus: 0}\n"
    )
    return path


def make_home(folder: Path, trials: int, epochs: int = 0) -> tuple[Home, Path]:
    """A home in which a sweep of that many trials (and five of cross-entropy) is done.

    Args:
        epochs: Rows that every trial has a history of; 0: the ledger alone.

    Returns:
        The home, and the specification.
    """
    spec = write_specification(folder / "large.yaml", trials, epochs or 20)
    home = Home.at(folder / "home")
    home.create()
    loaded = load_spec(str(spec))
    plan = build_plan(loaded, home.data)
    scores = {point.key: score_of(point) for point in plan.points}
    fill_ledger(home, plan, scores)
    for point in plan.points if epochs else ():
        write_history(home, point, scores[point.key], epochs)
    write_spec(home, plan, loaded)
    write_state(home, plan.name, "done", loaded)
    return home, spec


def score_of(point: PlannedTrial) -> float:
    """A curve over gamma and noise over seeds."""
    gamma = point.config.params.get("gamma", 0.0)
    noise = random.Random(point.key).gauss(0, 0.007)
    return 0.62 + 0.03 * math.exp(-((math.log1p(gamma) - math.log1p(2)) ** 2) / 0.8) + noise


def fill_ledger(home: Home, plan: Plan, scores: dict[str, float]) -> None:
    """Every listed trial of a plan COMPLETE, as `sweeps.ledger.Ledger` would have it."""
    storage = RDBStorage(home.optuna_url)
    studies = {
        name: storage.create_new_study([StudyDirection.MAXIMIZE], name)
        for name in dict.fromkeys(point.study for point in plan.points)
    }
    numbers = dict.fromkeys(studies, 0)
    distribution = distribution_to_json(FloatDistribution(0, 5))
    with storage.scoped_session() as session:
        for point in plan.points:
            config = point.config
            trial = models.TrialModel(
                number=numbers[point.study], study_id=studies[point.study], state=TrialState.COMPLETE
            )
            numbers[point.study] += 1
            session.add(trial)
            session.flush()
            told = attributes(point.key, config.loss, config.params, config.seed, "point", 0)
            session.add_all(
                models.TrialUserAttributeModel(
                    trial_id=trial.trial_id, key=name, value_json=json.dumps(value)
                )
                for name, value in told.items()
            )
            session.add_all(
                models.TrialParamModel(
                    trial_id=trial.trial_id, param_name=name, param_value=value,
                    distribution_json=distribution,
                )
                for name, value in config.params.items()
            )  # fmt: skip
            session.add(
                models.TrialValueModel(
                    trial_id=trial.trial_id, objective=0, value=scores[point.key],
                    value_type=models.TrialValueModel.TrialValueType.FINITE,
                )
            )  # fmt: skip
        session.commit()
    storage.engine.dispose()


def write_history(home: Home, point: PlannedTrial, score: float, epochs: int) -> None:
    """Rows as the training gives them, the last one with what only the last one has."""
    draw = random.Random(point.key)
    classes = [str(number) for number in range(10)]
    history = History(home.trial(point.key))
    for epoch in range(1, epochs + 1):
        row = made_row(epoch, score * (1 - math.exp(-4 * epoch / epochs)) + draw.gauss(0, 0.005), draw)
        if epoch == epochs:
            row["metrics"] = {**row["metrics"], "val/balanced_accuracy": score}
            for split in SPLIT_NAMES.values():
                row["metrics"] |= {f"{split}/{name}": score + draw.gauss(0, 0.003) for name in METRICS[:2]}
                row["metrics"] |= {f"{split}/recall/{name}": draw.random() for name in classes}
            matrix = [[draw.randrange(20) for _ in classes] for _ in classes]
            row["final"] = {
                "confusion": dict.fromkeys(SPLIT_NAMES.values(), matrix), "classes": classes,
                "train_counts": [7 * (number + 1) for number in range(10)], "device": "none",
            }  # fmt: skip
        history.add(row)
    write_result(history.path.parent, point.key, point.config, history.rows, NAME)


def made_row(epoch: int, value: float, draw: random.Random) -> dict[str, Any]:
    """One epoch with eleven metrics."""
    metrics = {"train/loss": 2.3 * (1 - value), "train/accuracy": value, "learning_rate": 0.05}
    metrics |= {"seconds": 0.5 + draw.random(), "images_per_second": 1000 * draw.random()}
    metrics |= {f"val/{name}": value + draw.gauss(0, 0.002) for name in METRICS}
    return {"epoch": epoch, "timestamp": STARTED + 1000 * epoch, "metrics": metrics}
