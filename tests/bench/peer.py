"""Our sweep beside one written as the documentation teaches:   uv run python tests/bench/peer.py

`peer_sweep.py` is the peer: Ray Tune with OptunaSearch and MLflowLoggerCallback, a plain PyTorch loop in
float32 with a data loader. Both train the same arms with the same seeds, epochs and images, as many at a
time, and track into an SQLite file. Then both drivers are killed with SIGKILL half way and told to go on: a
run is in a wrong state unless it is FINISHED, has every epoch once, and is the only one of its arm.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import psutil
from measuring import Bench, kill, run, scratch

from sweeps.home import Home
from sweeps.plan import build_plan
from sweeps.spec import load_spec
from trackers import connection

HERE = Path(__file__).parent
METRIC = "val/balanced_accuracy"
LIMIT = 1800
"""Seconds that any one sweep may take."""


@dataclass
class Setting:
    """The same trials for both."""

    folder: Path
    options: Any

    def __post_init__(self) -> None:
        self.spec = self.folder / "ours.yaml"
        options = self.options
        self.gammas = [round(4 * number / options.trials, 3) for number in range(1, options.trials + 1)]
        self.spec.write_text(
            "name: ours\n"
            f"data: {{source: '{options.data}', imbalance: {options.imbalance:g}}}\n"
            f"validation: {{unused: {options.validation}}}\n"
            f"model: {options.model}\n"
            f"losses: [{{loss: cefl, gamma: {self.gammas}}}]\n"
            f"recipe: {{epochs: {options.epochs}}}\n"
            f"resources: {{cpus: {options.threads}, gpus: 0, concurrent: {options.slots}}}\n"
        )
        loaded = load_spec(str(self.spec))
        self.home = Home(self.folder / "home")
        self.home.create()
        plan = build_plan(loaded, self.home.data)  # So that neither prepares data.
        self.base = plan.points[0].config.as_json()

    def ours(self) -> tuple[list[Any], str]:
        """Command, and the database that it tracks into."""
        took = self.folder / "took.json"
        command = [HERE / "driven.py", took, "run", self.spec, "--home", self.home.root]
        return command, self.home.mlflow_uri

    def peer(self, database: bool = False) -> tuple[list[Any], str]:
        """The same of the peer, with its study in memory or in a database."""
        setup = self.folder / "peer.json"
        uri = f"sqlite:///{self.folder / 'peer-mlflow.db'}"
        values = {
            "base": self.base, "gammas": self.gammas, "slots": self.options.slots,
            "threads": self.options.threads, "folder": str(self.folder / "tune"), "mlflow": uri,
            "optuna": f"sqlite:///{self.folder / 'peer-optuna.db'}" if database else None,
            "artifacts": True, "took": str(self.folder / "took.json"),
        }  # fmt: skip
        setup.write_text(json.dumps(values))
        return [HERE / "peer_sweep.py", setup], uri


def main() -> None:
    """Measure and print."""
    bench = Bench(
        "peer", __doc__, repetitions=3,
        options={
            "trials": 20, "epochs": 20, "slots": 2, "threads": 1, "model": "resnet8", "data": "digits",
            "imbalance": 5.0, "validation": 20, "kills": 2, "killed": 8,
        },
    )  # fmt: skip
    options = bench.options
    if bench.quick:
        options.trials, options.epochs, options.kills = 3, 4, 0
    if options.data != "digits":
        options.data = "npz:" + str(Path(options.data.removeprefix("npz:")).resolve())
    bench.note("  " + "; ".join(f"{name} {value}" for name, value in vars(options).items()))
    speed(bench)
    options.trials = options.killed
    for title, peer, database in (
        ("ours", False, False), ("peer, study in memory", True, False), ("peer, study in SQLite", True, True),
    ):  # fmt: skip
        killed(bench, title, peer, database)
    bench.finish()


def speed(bench: Bench) -> None:
    """Wall time and processor time of the driver, by turns."""
    walls: dict[str, list[float]] = {"ours": [], "peer": []}
    drivers: dict[str, list[float]] = {"ours": [], "peer": []}
    for _ in range(bench.repetitions):
        with scratch() as folder:
            setting = Setting(folder, bench.options)
            for title, (command, uri) in {"ours": setting.ours(), "peer": setting.peer()}.items():
                begin = time.perf_counter()
                run(*command, timeout=LIMIT, cwd=folder)
                walls[title].append(time.perf_counter() - begin)
                drivers[title].append(json.loads((folder / "took.json").read_text())["cpu"])
                wrong = wrong_runs(uri, setting)
                if wrong:
                    raise RuntimeError(f"{title}: a sweep that nobody disturbed left {dict(wrong)}")
    for title in walls:
        bench.add(f"{title}: wall time", walls[title], "s")
        bench.add(f"{title}: processor time of the driver", drivers[title], "s")
    ratios = [theirs / mine for mine, theirs in zip(walls["ours"], walls["peer"], strict=True)]
    bench.add("wall time of the peer over ours", ratios, "x", at_least=3)
    ratios = [theirs / mine for mine, theirs in zip(drivers["ours"], drivers["peer"], strict=True)]
    bench.add("driver's processor time of the peer over ours", ratios, "x")


def killed(bench: Bench, title: str, peer: bool, database: bool) -> None:
    """Kill the driver half way, go on, and count what is wrong."""
    runs: list[Counter[str]] = []
    trials: list[Counter[str]] = []
    ends = []
    for _ in range(bench.options.kills):
        with scratch() as folder:
            setting = Setting(folder, bench.options)
            command, uri = setting.peer(database) if peer else setting.ours()
            kill_half_way(command, uri, setting)
            ends.append(go_on(command, folder))
            runs.append(wrong_runs(uri, setting))
            if not peer:
                trials.append(wrong_trials(setting.home.optuna_url, setting))
            elif database:
                trials.append(wrong_trials(f"sqlite:///{folder / 'peer-optuna.db'}", setting))
    if not runs:
        return
    limit = None if peer else 0
    note = f"of {bench.options.trials}; {told(runs)}; going on: {'; '.join(dict.fromkeys(ends))}"
    bench.add(
        f"{title}: MLflow runs in a wrong state", [each.total() for each in runs], "",
        at_most=limit, worst=True, note=note,
    )  # fmt: skip
    if trials:
        bench.add(
            f"{title}: Optuna trials in a wrong state", [each.total() for each in trials], "",
            at_most=limit, worst=True, note=told(trials),
        )  # fmt: skip


def told(counts: list[Counter[str]]) -> str:
    """What was wrong, all together."""
    total = sum(counts, Counter[str]())
    return ", ".join(f"{count} {name}" for name, count in total.items()) or "nothing wrong"


def kill_half_way(command: list[Any], uri: str, setting: Setting) -> None:
    """SIGKILL for the driver, once half of all epochs are tracked; its workers are left to themselves."""
    process = subprocess.Popen(
        [sys.executable, *map(str, command)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True, cwd=setting.folder,
    )  # fmt: skip
    half = setting.options.trials * setting.options.epochs // 2
    family: list[psutil.Process] = []
    try:
        deadline = time.monotonic() + LIMIT
        while tracked(uri) < half:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command}: ended before it could be killed ({process.returncode})")
            time.sleep(0.2)
        family = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        _, alive = psutil.wait_procs(family, timeout=20)
        for each in alive:
            each.kill()
    finally:
        kill(process)


def tracked(uri: str) -> int:
    """Epochs that an MLflow database holds; 0 while there is none."""
    path = uri.removeprefix("sqlite:///")
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)) as database:
            return int(
                database.execute("SELECT COUNT(*) FROM metrics WHERE key = ?", (METRIC,)).fetchone()[0]
            )
    except sqlite3.OperationalError:
        return 0


def go_on(command: list[Any], folder: Path) -> str:
    """Run the same command again; how it ended."""
    try:
        run(*command, timeout=LIMIT, cwd=folder)
    except RuntimeError as error:
        raised = re.findall(r"^(?:\w+\.)*(\w+(?:Error|Exception))\b", str(error), re.MULTILINE)
        return f"died with {raised[-1] if raised else 'an error'}"
    except subprocess.TimeoutExpired:
        return "did not end"
    return "ended"


def wrong_runs(uri: str, setting: Setting) -> Counter[str]:
    """MLflow runs that are not what their arm should have, by what is wrong."""
    client = connection.connect(uri)
    experiments = [each.experiment_id for each in client.search_experiments()]
    found: dict[float, list[Any]] = {gamma: [] for gamma in setting.gammas}
    for each in client.search_runs(experiments, max_results=1000):
        if "gamma" in each.data.params:
            found.setdefault(round(float(each.data.params["gamma"]), 3), []).append(each)
    wrong: Counter[str] = Counter()
    wanted = list(range(1, setting.options.epochs + 1))
    for gamma, runs in found.items():
        if not runs:
            wrong["missing"] += 1
        right = 0
        for each in runs:
            steps = sorted(point.step for point in client.get_metric_history(each.info.run_id, METRIC))
            if each.info.status != "FINISHED":
                wrong[f"left {each.info.status}"] += 1
            elif steps != wanted:
                wrong["with epochs doubled" if len(steps) > len(set(steps)) else "with epochs missing"] += 1
            elif gamma not in setting.gammas:
                wrong["that nobody asked for"] += 1
            else:
                right += 1
        wrong["doubled"] += max(0, right - 1)
    return +wrong


def wrong_trials(url: str, setting: Setting) -> Counter[str]:
    """Optuna trials that are not what their arm should have, by what is wrong."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    by_gamma: dict[float, list[str]] = {gamma: [] for gamma in setting.gammas}
    for name in optuna.get_all_study_names(url):
        for trial in optuna.load_study(study_name=name, storage=url).trials:
            gamma = trial.params.get("gamma", trial.system_attrs.get("fixed_params", {}).get("gamma", -1.0))
            by_gamma.setdefault(round(gamma, 3), []).append(trial.state.name)
    wrong: Counter[str] = Counter()
    for gamma, states in by_gamma.items():
        wrong["missing"] += not states
        wrong.update(f"left {state}" for state in states if state != "COMPLETE")
        complete = states.count("COMPLETE")
        wrong["doubled"] += max(0, complete - 1)
        wrong["that nobody asked for"] += complete if gamma not in setting.gammas else 0
    return +wrong


if __name__ == "__main__":
    main()
