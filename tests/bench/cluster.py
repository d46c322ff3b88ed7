"""A sweep of 1,000 short trials on a cluster:   uv run --all-extras python tests/bench/cluster.py

PostgreSQL, an S3 store, MLflow's server, a Ray head and three Ray nodes, each on a machine of its own as in
`tests/cluster`, all on the processors of this one. A trial "trains" for a second in which it sleeps, so that
what is measured is the work around it: wall time against the ideal, what each service takes, what it keeps.
Then commands with 10,000 trials in a ledger on that PostgreSQL. Needs root, PostgreSQL and iproute2.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from measuring import ROOT, Bench, run, scratch, timed

sys.path.append(str(ROOT / "tests" / "cluster"))

import psutil  # noqa: E402
import psycopg  # noqa: E402
from cluster_stack import Client, Stack, standing  # noqa: E402
from made_home import NAME, make_home  # noqa: E402
from small_data import write_stripes  # noqa: E402

from sweeps.errors import DONE, TRACKING_INCOMPLETE  # noqa: E402
from sweeps.history import read_history  # noqa: E402

SEEDS = 5
BATCHES = 4  # Of an epoch: 70 images in batches of 16.
SAMPLE_SECONDS = 0.5

CODE = """
import time

from torch import nn
from torch.nn.functional import cross_entropy


def waiting(logits, targets, which=0):
    if logits.requires_grad:
        time.sleep({pause})
    return cross_entropy(logits, targets)


def linear(num_classes, channels, image_size):
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * image_size**2, num_classes))
"""

SPECIFICATION = """
name: {name}
data: {{source: "npz:stripes.npz", imbalance: {imbalance}}}
validation: {{unused: 5}}
model: "fake:linear"
losses: [cross_entropy, {{loss: "fake:waiting", which: {which}}}]
seeds: {seeds}
recipe: {{preset: digits, epochs: {epochs}, batch_size: 16, precision: float32}}
resources: {{gpus: 0}}
"""

KINDS = {  # The first that a command line contains.
    "driver": ("sweeps.cluster.head",),
    "trials": ("ray::ImplicitFunc",),
    "PostgreSQL": ("postgres",),
    "MLflow": ("mlflow",),
    "store": ("weed",),
    "Ray": ("ray", "gcs_server", "raylet"),
}


@dataclass
class Usage:
    """What the processes of each kind took: seconds of processors, and the most bytes at a time."""

    seconds: dict[int, tuple[str, float]] = field(default_factory=dict)
    most: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    over: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        """Look at all processes again and again, until it is over."""
        before = {process.pid: cpu(process) for process in psutil.process_iter()}
        while not self.over.wait(SAMPLE_SECONDS):
            now: dict[str, int] = defaultdict(int)
            for process in psutil.process_iter():
                try:
                    kind = kind_of(process)
                    if kind is not None:
                        self.seconds[process.pid] = (kind, cpu(process) - before.get(process.pid, 0.0))
                        now[kind] += process.memory_info().rss
                except psutil.Error:
                    continue
            for kind, size in now.items():
                self.most[kind] = max(self.most[kind], size)

    def of(self, kind: str) -> float:
        return sum(seconds for one, seconds in self.seconds.values() if one == kind)


def cpu(process: psutil.Process) -> float:
    """Seconds of processors so far, 0 of a process that is gone."""
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


def kind_of(process: psutil.Process) -> str | None:
    if process.pid == os.getpid():
        return None
    told = " ".join(process.cmdline())
    return next((kind for kind, texts in KINDS.items() if any(text in told for text in texts)), None)


def main() -> None:
    """Measure and print."""
    bench = Bench(
        "cluster", __doc__, repetitions=3,
        options={"trials": 1000, "epochs": 10, "seconds": 1.0, "nodes": 3, "slots": 2, "ledger": 10_000},
    )  # fmt: skip
    options = bench.options
    if bench.quick:
        options.trials, options.ledger = 10, 20
    with scratch() as folder, standing(folder, nodes=options.nodes, cpus=options.slots) as stack:
        client = stack.client("ann")
        write_specification(client, "warm", SEEDS, options, imbalance=3)
        submitted(client, "warm")  # So that Ray, caches and databases stand as in any later sweep.
        a_sweep(bench, stack, client)
        full_ledger(bench, stack, folder)
    bench.finish()


def write_specification(client: Client, name: str, trials: int, options: object, imbalance: int = 4) -> None:
    """A sweep of that many trials in a client's folder."""
    epochs, seconds = options.epochs, options.seconds  # type: ignore[attr-defined]
    (client.folder / "fake.py").write_text(CODE.format(pause=seconds / epochs / BATCHES))
    write_stripes(client.folder / "stripes.npz")
    which = list(range(max(1, trials // SEEDS - 1)))
    text = SPECIFICATION.format(name=name, which=which, seeds=SEEDS, epochs=epochs, imbalance=imbalance)
    (client.folder / f"{name}.yaml").write_text(text)


def submitted(client: Client, name: str) -> None:
    process = client.start("submit", f"{name}.yaml")
    if process.wait(3000) not in (DONE, TRACKING_INCOMPLETE):
        raise RuntimeError(client.said[-5000:])


def a_sweep(bench: Bench, stack: Stack, client: Client) -> None:
    """The sweep, and what is left of it in the services."""
    options = bench.options
    write_specification(client, "scale", options.trials, options)
    before = {name: size(stack, name) for name in ("ledger", "mlflow")}
    points_before = counted(stack, "metrics")
    finished_before = counted(stack, "runs WHERE status = 'FINISHED'")
    usage = Usage()
    watching = threading.Thread(target=usage.watch)
    watching.start()
    begin = time.time()
    try:
        submitted(client, "scale")
    finally:
        usage.over.set()
        watching.join()
    wall = time.time() - begin
    rows = [
        row
        for trial in client.told("trials", "scale")
        for row in read_history(stack.home / "trials" / trial["key"])
    ]
    trials = len(rows) // options.epochs
    slots = options.nodes * options.slots
    training = sum(row["metrics"]["seconds"] for row in rows)
    start = min(row["timestamp"] / 1000 - row["metrics"]["seconds"] for row in rows) - begin
    end = begin + wall - max(row["timestamp"] for row in rows) / 1000
    bench.note(
        f"  {trials} trials x {options.epochs} epochs on {options.nodes} nodes x {options.slots} slots"
    )
    bench.add("wall time", [wall], "s")
    bench.add("start, until a first epoch begins", [start], "s")
    bench.add("end, after the last epoch: report, tracking", [end], "s")
    bench.add("training of one trial", [training / trials], "s")
    ideal = training / slots
    bench.add("wall time between start and end over the ideal", [(wall - start - end) / ideal], "x")
    bench.add(
        "beyond its training, a trial and slot", [((wall - start - end) * slots - training) / trials], "s"
    )
    for kind in KINDS:
        bench.add(f"processor time of {kind}, a trial", [1000 * usage.of(kind) / trials], "ms")
        bench.add(f"memory of {kind}, at most", [usage.most[kind] / 2**20], "MiB")
    for name, size_before in before.items():
        grown = (size(stack, name) - size_before) / trials / 1000
        bench.add(f"database '{name}' grew, a trial", [grown], "kB")
    waited = trials + 1 - counted(stack, "runs WHERE status = 'FINISHED'") + finished_before
    bench.add("runs that MLflow still waited for", [waited], "")
    points = counted(stack, "metrics") - points_before
    bench.add("points in MLflow, a trial", [points / trials], "")
    home = sum(path.stat().st_size for path in stack.home.rglob("*") if path.is_file())
    bench.add("home on the head, a trial", [home / trials / 1000], "kB")
    for verb in ("status", "report"):
        seconds = timed(lambda: answered(client, verb, "scale"), bench.repetitions)  # noqa: B023
        bench.add(f"{verb} from the client, {trials:,} trials", seconds, "s")


def answered(client: Client, *arguments: str) -> None:
    done = client.run(*arguments)
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])


def full_ledger(bench: Bench, stack: Stack, folder: Path) -> None:
    """Commands with many trials in PostgreSQL, none of them trained."""
    trials = bench.options.ledger
    (made := folder / "large").mkdir()
    os.environ["SWEEPS_LEDGER_URL"] = stack.postgres.new_database("large")
    try:
        home, spec = make_home(made, trials)
        for verb, given in (("plan", spec), ("status", NAME), ("best", NAME)):
            seconds = timed(
                lambda: run("-m", "sweeps", verb, given, "--home", home.root),  # noqa: B023
                bench.repetitions,
            )
            bench.add(f"sweeps {verb}, {trials:,} trials in PostgreSQL", seconds, "s")
    finally:
        del os.environ["SWEEPS_LEDGER_URL"]
    bench.add("database, a trial", [size(stack, "large") / trials / 1000], "kB")


def size(stack: Stack, name: str) -> int:
    """Bytes of a database."""
    with psycopg.connect(stack.postgres.url(name)) as connection:
        row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    assert row is not None
    return int(row[0])


def counted(stack: Stack, rows: str) -> int:
    """How many rows of a table MLflow has."""
    with psycopg.connect(stack.postgres.url("mlflow")) as connection:
        row = connection.execute(f"SELECT count(*) FROM {rows}").fetchone()
    assert row is not None
    return int(row[0])


if __name__ == "__main__":
    main()
