"""How long the commands take that people wait for:   uv run python tests/bench/commands.py

Prints the median and spread of several runs, beside that of starting Python, in one run on one machine.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from optuna.distributions import FloatDistribution, distribution_to_json
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.study import StudyDirection
from optuna.trial import TrialState

from sweeps.home import Home
from sweeps.plan import build_plan
from sweeps.spec import load_spec
from sweeps.state import write_spec, write_state

REPETITIONS = 5
GAMMAS = 2000
SPEC = f"""
name: large
data: {{source: digits, imbalance: 20}}
validation: {{unused: 20}}
depth: 8
losses: [{{loss: cefl, gamma: {[round(0.001 * n, 3) for n in range(1, GAMMAS + 1)]}}}]
seeds: 5
"""


def fill(home: Home, spec: Path) -> None:
    """A ledger with every trial of the plan complete, written in one transaction."""
    loaded = load_spec(str(spec))
    home.create()
    plan = build_plan(loaded, home.data)
    storage = RDBStorage(home.optuna_url)
    study = storage.create_new_study([StudyDirection.MAXIMIZE], plan.points[0].study)
    distribution = FloatDistribution(0, 5)
    with storage.scoped_session() as session:
        for number, point in enumerate(plan.points):
            trial = models.TrialModel(number=number, study_id=study, state=TrialState.COMPLETE)
            session.add(trial)
            session.flush()
            attrs = {
                "key": point.key,
                "kind": "point",
                "seed": point.config.seed,
                "attempt": 1,
                "loss": "cefl",
            }
            session.add_all(
                models.TrialUserAttributeModel(
                    trial_id=trial.trial_id, key=name, value_json=json.dumps(value)
                )
                for name, value in attrs.items()
            )
            session.add(
                models.TrialParamModel(
                    trial_id=trial.trial_id, param_name="gamma", param_value=point.config.params["gamma"],
                    distribution_json=distribution_to_json(distribution),
                )
            )  # fmt: skip
        session.commit()
    write_spec(home, plan, loaded)
    write_state(home, plan.name, "done", loaded)
    print(f"a ledger of {len(plan.points):,} trials")


def timed(*command: str) -> list[float]:
    """Seconds of each repetition."""
    seconds = []
    for _ in range(REPETITIONS):
        begin = time.perf_counter()
        subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - begin)
    return seconds


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        spec = Path(folder) / "large.yaml"
        spec.write_text(SPEC)
        home = Home(Path(folder) / "home")
        fill(home, spec)
        at = ("--home", str(home.root))
        for title, command in {
            "python -c pass": ("-c", "pass"),
            "sweeps --help": ("-m", "sweeps", "--help"),
            "sweeps plan, 10,000 trials": ("-m", "sweeps", "plan", str(spec), *at),
            "sweeps status, 10,000 trials": ("-m", "sweeps", "status", "large", *at),
        }.items():
            seconds = timed(*command)
            spread = f"{min(seconds):.2f} to {max(seconds):.2f}"
            print(f"{title:<30} {statistics.median(seconds):6.2f} s   ({spread}, n = {REPETITIONS})")


if __name__ == "__main__":
    main()
