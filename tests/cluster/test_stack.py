"""A sweep on a cluster, as its user sees it from a machine that shares nothing with it but the network."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cluster_stack import Client, NoServices, Stack, standing, until
from machines import NoMachines
from safetensors.numpy import load_file
from small_data import SMALL, write_stripes

import cefl
from trackers.connection import connect, search

EPOCHS = 500  # Longer than the head takes to answer a request to stop.
LONG = f"recipe: {{preset: digits, epochs: {EPOCHS}, batch_size: 16, precision: float32}}"

MINE = """
from torch.nn.functional import cross_entropy


def tempered(logits, targets, gamma=1.0):
    return cross_entropy(logits / gamma, targets)
"""


@pytest.fixture(scope="module")
def stack(asked_for: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    try:
        with standing(tmp_path_factory.mktemp("stack")) as stack:
            yield stack
    except (NoMachines, NoServices) as missing:
        pytest.skip(str(missing))


def specified(client: Client, name: str, long: bool = False, **losses: Any) -> Path:
    """A small sweep in a client's folder."""
    write_stripes(client.folder / "stripes.npz")
    text = SMALL.replace("name: small", f"name: {name}")
    if long:
        text = text.replace("recipe: {preset: digits, epochs: 2, batch_size: 16, precision: float32}", LONG)
    for old, new in losses.items():
        text = text.replace(old, new)
    path = client.folder / f"{name}.yaml"
    path.write_text(text)
    return path


def runs(stack: Stack, name: str) -> list[Any]:
    """The runs of a sweep on the tracking server, its own last."""
    client = connect(stack.tracking)
    experiment = client.get_experiment_by_name(name)
    assert experiment is not None
    found = list(search(client, [experiment.experiment_id], name))
    return sorted(found, key=lambda run: "mlflow.parentRunId" not in run.data.tags)


def rows(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    text = path.read_text()
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def check_nothing_lost_nothing_double(stack: Stack, name: str, client: Client, trials: int) -> None:
    """Each key COMPLETE once, a run for each, none running, no epoch missing, no point twice."""
    found = client.told("trials", name)
    assert [trial["state"] for trial in found] == ["complete"] * trials
    assert len({trial["key"] for trial in found}) == trials
    *children, parent = runs(stack, name)
    assert sorted(run.info.run_id for run in children) == sorted(trial["run_id"] for trial in found)
    assert {run.info.status for run in (*children, parent)} == {"FINISHED"}
    assert Counter(run.data.tags["sweep.key"] for run in children) == {trial["key"]: 1 for trial in found}
    tracking = connect(stack.tracking)
    for trial in found:
        epochs = list(range(1, trial["epochs"] + 1))
        assert [
            row["epoch"] for row in rows(stack.home / "trials" / trial["key"] / "history.jsonl")
        ] == epochs
        points = tracking.get_metric_history(trial["run_id"], "train/loss")
        assert sorted(point.step for point in points) == epochs


def test_two_sweeps_outlive_their_terminals_and_spread_over_the_nodes(stack: Stack) -> None:
    ann, bob = stack.client("ann"), stack.client("bob")
    specified(ann, "ann", **{"gamma: [1, 2]": "gamma: [1, 2, 3]", "epochs: 2": "epochs: 60"})
    (bob.folder / "mine.py").write_text(MINE)
    specified(bob, "bob", **{"loss: cefl, gamma: [1, 2]": "loss: 'mine:tempered', gamma: [1, 2]"})
    following = ann.start("submit", "ann.yaml")
    ann.until("trials to train")
    following.kill()  # Her terminal is gone.
    following.wait()
    interrupted = bob.start("submit", "bob.yaml")
    bob.until("submitted bob as job bob-1")
    time.sleep(1)
    interrupted.send_signal(signal.SIGINT)
    assert interrupted.wait(timeout=60) == 130, bob.said
    assert "no longer following; bob goes on as job bob-1" in bob.said
    refused = bob.run("submit", specified(bob, "ann").name)
    assert refused.returncode == 6, refused.stderr
    assert "sweep ann is run by job ann-1, submitted by" in refused.stderr
    followed = ann.run("logs", "ann", "--follow")
    assert followed.returncode == 0, followed.stdout + followed.stderr
    assert "4 trials to train, 2 at a time" in followed.stdout
    assert followed.stdout.count("complete: ") == 4
    assert bob.run("logs", "bob", "--follow").returncode == 0
    assert stack.trained_on() == {node.address for node in stack.nodes}
    check_nothing_lost_nothing_double(stack, "ann", ann, 4)
    check_nothing_lost_nothing_double(stack, "bob", bob, 3)


def test_the_head_answers_a_client_as_a_home_of_its_own_would(stack: Stack) -> None:
    asked = {}
    for verb in ("list", "status ann", "best ann"):
        client = stack.client(verb.replace(" ", "-"))
        asked[verb] = client, client.start(*verb.split(), "--json")
    client = stack.client("reader")
    brought = client.run("report", "ann", "--out", "here")
    assert brought.returncode == 0, brought.stderr
    assert "here/report.html" in brought.stdout.split()
    there = stack.home / "sweeps" / "ann" / "report"
    for file in brought.stdout.split():
        assert (client.folder / file).read_bytes() == (there / Path(file).relative_to("here")).read_bytes()
    answers = {}
    for verb, (asking, process) in asked.items():
        assert process.wait(timeout=240) == 0, asking.said
        answers[verb] = json.loads(asking.said)
    assert [sweep["name"] for sweep in answers["list"]] == ["ann", "bob"]
    assert answers["status ann"]["state"] == "done"
    assert answers["status ann"]["trials"]["complete"] == 4
    assert len(answers["best ann"]) == 1
    assert not (client.folder / "runs").exists(), "a client has no home"


@pytest.mark.long
def test_a_confirmation_and_a_retry_run_as_jobs_with_the_code_that_was_submitted(stack: Stack) -> None:
    client = stack.client("carl")
    confirmed = client.run("confirm", "bob", "--top", "1", "--seeds", "2")
    assert confirmed.returncode == 0, confirmed.stdout + confirmed.stderr
    assert "submitted bob as job bob-2" in confirmed.stderr
    assert confirmed.stdout.count("complete: ") == 4, "one arm and cross-entropy, with two seeds"
    assert "mine:tempered" in confirmed.stdout
    check_nothing_lost_nothing_double(stack, "bob", client, 7)
    again = client.run("retry", "bob")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "bob-3" in again.stderr
    assert "trained now    0 trials" in again.stdout
    unknown = client.run("confirm", "nobody")
    assert unknown.returncode == 2
    assert "no such sweep" in unknown.stdout


def test_what_a_verb_writes_comes_to_the_client(stack: Stack) -> None:
    client = stack.client("writer")
    exported = client.run("export", "ann")
    assert exported.returncode == 0, exported.stderr
    (folder,) = client.folder.glob("ann-*")
    assert {"model.safetensors", "model.json", "README.md", "best.yaml"} <= set(os.listdir(folder))
    assert cefl.load(folder).predict(np.zeros((2, 8, 8), np.uint8))
    assert f'cefl.load("{folder.name}")' in exported.stdout
    refused = client.run("export", "ann", "--out", folder.name)
    assert refused.returncode == 2
    assert "is there already" in refused.stderr
    compared = client.told("compare", "ann", "bob")
    drawn = client.told("figures", "ann", "--only", "gamma", "--out", "drawn")
    for file in (*compared["files"], *(each["file"] for each in drawn["figures"])):
        assert (client.folder / file).is_file(), file
    assert {Path(file).parts[0] for file in compared["files"]} == {"ann--bob"}
    assert (client.folder / "drawn" / "index.html").exists()
    assert not (client.folder / "runs").exists(), "a client has no home"


TIDY = """
import sys
from sweeps.cluster.asking import tidy
from sweeps.cluster.jobs import Jobs
tidy(Jobs(sys.argv[1]), seconds=10)
"""


def test_old_answers_go_from_the_list_of_jobs_and_sweeps_stay(stack: Stack) -> None:
    client = stack.client("tidy")
    time.sleep(10)
    sweeps = {job["submission_id"] for job in stack.ask("/api/jobs/") if job["submission_id"]}
    sweeps = {name for name in sweeps if not name.startswith("asked-")}
    assert {"ann-1", "bob-1"} <= sweeps
    assert client.run("list").returncode == 0  # So that the clock of the head is told.
    command = [sys.executable, "-c", TIDY, stack.jobs]
    subprocess.run(command, env=client.environment, check=True, timeout=60)
    time.sleep(3)
    listed = {job["submission_id"] for job in stack.ask("/api/jobs/") if job["submission_id"]}
    assert len([name for name in listed if name.startswith("asked-")]) == 1
    assert sweeps <= listed


def test_artifacts_and_weights_come_through_the_tracking_server(stack: Stack, tmp_path: Path) -> None:
    tracking = connect(stack.tracking)
    weights = []
    for run in runs(stack, "ann")[:-1]:
        assert run.info.artifact_uri.startswith("mlflow-artifacts:")
        names = {file.path for file in tracking.list_artifacts(run.info.run_id)}
        assert {"config.json", "history.jsonl"} <= names
        if "weights.safetensors" in names:
            weights.append(tracking.download_artifacts(run.info.run_id, "weights.safetensors", str(tmp_path)))
    assert len(weights) == 1, "of the cell's best"
    assert load_file(weights[0])


def test_machines_share_no_disk_with_clients_and_know_no_secret_of_theirs(stack: Stack) -> None:
    clients = stack.folder / "clients"
    for machine in (stack.head, *stack.nodes):
        first = machine.inside
        assert (first / "tmp" / "token").exists()
        assert not (first / str(clients).lstrip("/")).exists()
        assert not (first / str(stack.folder).lstrip("/")).exists()
    stranger = stack.client("stranger")
    (stranger.folder / "token").write_text("0" * 64)
    refused = stranger.run("list")
    assert refused.returncode == 7
    assert "does not let us in" in refused.stderr
    told = [json.dumps(stack.ask("/api/jobs/"))]
    logs = [path for machine in (stack.head, *stack.nodes) for path in machine.folder.glob("ray/*/logs/**/*")]
    told += [path.read_text(errors="replace") for path in logs if path.is_file()]
    assert len(told) > 10
    for what, secret in stack.secrets.items():
        assert not any(secret in text for text in told), what


def test_a_killed_node_and_a_killed_head_lose_nothing(stack: Stack) -> None:
    client = stack.client("cleo")
    specified(client, "cleo", long=True)
    following = client.start("submit", "cleo.yaml")
    before = set(stack.home.glob("trials/*"))

    def training() -> list[Path]:
        """Histories of the trials that have begun to grow."""
        new = [path / "history.jsonl" for path in set(stack.home.glob("trials/*")) - before]
        return [path for path in new if len(rows(path)) >= 5]

    until(lambda: len(training()) >= 2, "two trials on two nodes", lambda: client.said)
    stack.nodes[1].kill()
    until(lambda: "process died" in client.said or lost_node(stack), "the loss of a node")
    marks = {path: len(rows(path)) for path in training()}
    until(lambda: any(len(rows(path)) > number for path, number in marks.items()), "the other node")
    assert following.poll() is None, client.said
    kept = {path: path.read_bytes() for path in training()}
    stack.kill_ray()
    stack.start_ray()
    assert following.wait(timeout=120) == 7, client.said
    assert "nothing is lost" in client.said
    assert client.run("submit", "cleo.yaml", "--no-wait").returncode == 0
    until(lambda: any(path.stat().st_size > len(kept[path]) for path in kept), "the sweep goes on")
    stopped = client.run("stop", "cleo")
    assert stopped.returncode == 0, stopped.stderr
    assert "it is interrupted" in stopped.stdout
    done = client.run("submit", "cleo.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    for path, content in kept.items():
        whole = content[: content.rfind(b"\n") + 1]
        assert path.read_bytes().startswith(whole), "no row is rewritten"
    check_nothing_lost_nothing_double(stack, "cleo", client, 3)


def lost_node(stack: Stack) -> bool:
    return stack.nodes[1].address not in stack.alive()
