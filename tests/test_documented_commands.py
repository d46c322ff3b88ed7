"""Every command that README.md and docker/README.md show is one, with its options, and is run by a test."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
import yaml
from commands import sweeps, told
from PIL import Image

from sweeps.cli import app

ROOT = Path(__file__).resolve().parents[1]
FILES = ("README.md", "docker/README.md")
OURS = re.compile(r"(?:uv run (?:--extra \w+ )?)?sweeps\b")

HERE, STACK = "tests/test_documented_commands.py", "tests/cluster/test_stack.py"
README, SERVICES = "tests/test_readme.py", "tests/docker/test_services.py"
BACKUP, NO_ENGINE = "tests/docker/test_backup.py", "not run, for want of a container engine; its services: "
NO_CLUSTER = "not run, for want of a Kubernetes cluster; what it applies: "
QUICKSTART = f"{HERE}::test_the_quickstart_runs_and_ends_as_the_readme_shows"
PHOTOS = f"{HERE}::test_the_commands_for_your_own_data_run_in_their_order"
SENT = f"{STACK}::test_two_sweeps_outlive_their_terminals_and_spread_over_the_nodes"
ANSWERED = f"{STACK}::test_the_head_answers_a_client_as_a_home_of_its_own_would"
BROUGHT = f"{STACK}::test_what_a_verb_writes_comes_to_the_client"
AS_JOBS = f"{STACK}::test_a_confirmation_and_a_retry_run_as_jobs_with_the_code_that_was_submitted"
PLANNED = "tests/sweeps/test_paper_specs.py::test_the_plan_is_the_printed_table_once_a_seed"
BESIDE = "tests/sweeps/test_beside_paper.py::test_the_terminal_shows_the_same"
COMPOSED = f"{SERVICES}::test_a_specification_goes_through_the_whole_stack_by_the_command_of_the_job"
JOINED = f"{SERVICES}::test_ray_answers_whoever_has_the_token"
GPUS = "tests/docker/test_compose.py::test_gpus_are_asked_for_in_their_profile_only"
RESTORED = f"{BACKUP}::test_what_was_backed_up_is_there_again_after_a_restore"
RENDERED = "tests/docker/test_kuberay.py::test_kustomize_renders_both_folders_for_a_registry_of_ones_own"
SECRET = "tests/docker/test_kuberay.py::test_secrets_are_named_and_none_is_written_down"

RUN_BY = {
    "pip install uv": "not run: it installs what runs the tests",
    "uv run sweeps run quickstart": QUICKSTART,
    "uv run pytest": f"{README}::test_the_test_commands_are_told_and_ci_runs_one_of_them",
    "uv run sweeps init folder:photos": PHOTOS,
    "uv run sweeps data show photos": PHOTOS,
    "uv run sweeps plan photos.yaml": PHOTOS,
    "uv run sweeps run photos.yaml": PHOTOS,
    "uv run sweeps best photos": PHOTOS,
    "uv run sweeps report photos": PHOTOS,
    "uv run sweeps ui photos": "tests/e2e/test_pages.py::test_mlflow_shows_what_is_compared",
    "uv run sweeps run paper-table2": f"not run, for a GPU; planned: {PLANNED}",
    "uv run sweeps report paper-table2 --paper table2": BESIDE,
    "export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=token": SENT,
    "uv run sweeps submit photos.yaml --address http://HEAD:8265": SENT,
    "uv run sweeps status photos --address http://HEAD:8265": ANSWERED,
    "uv run sweeps confirm photos --address http://HEAD:8265": AS_JOBS,
    "uv run sweeps logs photos --address http://HEAD:8265 --follow": SENT,
    "uv run sweeps report photos --address http://HEAD:8265": ANSWERED,
    "uv run sweeps export photos --address http://HEAD:8265": BROUGHT,
    "uv run python -m cefl.train --dataset digits --imbalance 20 --loss cefl --gamma 2 --epochs 5":
        f"{README}::test_the_training_command_runs",
    "./make-env": "tests/docker/test_image.py::test_passwords_are_made_once_random_and_for_their_owner_only",
    "docker compose up --build --detach --wait":
        f"{NO_ENGINE}{SERVICES}::test_every_health_check_says_so_and_sees_an_end",
    "docker compose run --rm job quickstart": f"{NO_ENGINE}{COMPOSED}",
    "export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=docker/secrets/ray_token": SENT,
    "uv run --extra cluster sweeps submit mine.yaml --address http://localhost:8265": SENT,
    "docker compose --profile gpu up --build --detach": f"{NO_ENGINE}{GPUS}",
    "export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=/etc/ray_token RAY_memory_monitor_refresh_ms=0": JOINED,
    "ray start --address=HEAD:6379 --block --disable-usage-stats --metrics-export-port=8080": JOINED,
    "SWEEPS_HOME=/shared/sweeps sbatch --nodes=4 --cpus-per-task=16 --gpus-per-node=4 slurm/sweep.sh"
    " /shared/specs/mine.yaml":
        "tests/docker/test_slurm.py::test_a_batch_job_runs_a_sweep_and_a_second_one_trains_nothing_twice",
    "helm install kuberay-operator kuberay/kuberay-operator --version 1.6.2 --namespace kuberay-system"
    " --create-namespace": f"{NO_CLUSTER}another project's",
    "kubectl apply --filename kuberay/cluster/namespace.yaml": f"{NO_CLUSTER}{RENDERED}",
    "kubectl --namespace sweeps create secret generic sweeps-ray-token"
    " --from-file=auth_token=secrets/ray_token": f"{NO_CLUSTER}{SECRET}",
    "kubectl --namespace sweeps create secret generic sweeps-driver --from-env-file=driver.env":
        f"{NO_CLUSTER}{SECRET}",
    "kubectl --namespace sweeps create secret generic sweeps-storage --from-env-file=storage.env":
        f"{NO_CLUSTER}{SECRET}",
    "kubectl apply --kustomize kuberay/cluster": f"{NO_CLUSTER}{RENDERED}",
    "kubectl apply --kustomize kuberay/job": f"{NO_CLUSTER}{RENDERED}",
}  # fmt: skip
"""Which test runs a command, or why none does; those under "Backups" are all typed by one."""


def text_of(file: str) -> str:
    return (ROOT / file).read_text(encoding="utf-8")


def typed(file: str) -> list[str]:
    """What is typed in the blocks of a file, without the remarks behind it."""
    blocks = "\n".join(re.findall(r"```console\n(.*?)```", text_of(file), re.DOTALL))
    return [re.sub(r"\s+#\s.*", "", line).strip() for line in re.findall(r"^\$ (.*)", blocks, re.MULTILINE)]


def mentioned(file: str, behind: str = "") -> list[str]:
    """What stands as code in the sentences and tables of a file, or behind a heading of it."""
    prose = re.sub(r"```.*?```", "", text_of(file)[text_of(file).index(behind) :], flags=re.DOTALL)
    return [" ".join(each.split()) for each in re.findall(r"`([^`]+)`", prose)]


def commands(command: Any = None, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command that does something, behind the words that call it."""
    command = command or typer.main.get_command(app)
    if not hasattr(command, "commands"):
        yield words, command
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, (*words, name))


def understood(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What the command line complains of in the words behind ``sweeps``; no command does anything."""
    group = typer.main.get_command(app)
    for _, command in commands(group):
        command.callback = lambda **_: None
    with pytest.raises(SystemExit) as end:
        group.main(words, prog_name="sweeps")
    told = capsys.readouterr().err
    assert (end.value.code or 0) == (2 if told else 0)
    return told


OPTIONS = {
    words: {name for each in command.params for name in (*each.opts, *each.secondary_opts)}
    for words, command in commands()
}


def options_of(words: list[str]) -> set[str] | None:
    """All options of the command that words begin with, ``None`` where they begin with none."""
    return next(
        (options for called, options in OPTIONS.items() if list(called) == words[: len(called)]), None
    )


@pytest.mark.parametrize("line", [line for file in FILES for line in typed(file) if OURS.match(line)])
def test_a_command_in_a_block_is_understood(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert understood(shlex.split(OURS.sub("", line, count=1)), capsys) == ""


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        ("runn quickstart", "runn"),
        ("run quickstart --epoch 3", "--epoch"),
        ("best", "argument"),
        ("data shew photos", "shew"),
        ("plan a b", "b"),
        ("run a --asks x", "--asks"),
    ],
)
def test_a_wrong_command_would_be_found(words: str, wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert wrong in understood(words.split(), capsys)


@pytest.mark.parametrize("file", FILES)
def test_a_command_in_a_sentence_has_the_options_that_stand_beside_it(file: str) -> None:
    """In a row of a table those of its other cells, too; a word alone is an option of some command."""
    ours = {each: shlex.split(each)[1:] for each in mentioned(file) if each.startswith("sweeps ")}
    assert ours
    for told_as, words in ours.items():
        known = options_of(words)
        assert known is not None, f"{told_as}: no such command"
        assert {each for each in words if each.startswith("--")} <= known, told_as
    for row in re.findall(r"^\| `(sweeps [^`]*)`(.*)", text_of(file), re.MULTILINE):
        known = options_of(row[0].split()[1:])
        assert known is not None, row[0]
        assert set(re.findall(r"`(--[a-z-]+)", row[1])) <= known, row[0]


def test_an_option_that_stands_alone_is_one() -> None:
    """Those of the tests and benchmarks, under "Development", are not of `sweeps`."""
    known = {"--help"}.union(*OPTIONS.values())
    others = set(mentioned("README.md", "## Development"))
    alone = {each.split()[0] for each in mentioned("README.md") if each.startswith("--")} - others
    assert "--fresh" in alone
    assert alone <= known


@pytest.mark.parametrize("file", FILES)
def test_a_command_in_a_block_is_run_by_a_test_that_is_there(file: str) -> None:
    backups = text_of(file).partition("\n## Backups\n")[2].partition("\n## ")[0]
    lines = [line for line in typed(file) if line not in backups]
    assert len(lines) > 10
    assert not set(lines) - RUN_BY.keys(), "say which test runs them, in RUN_BY"
    if backups:
        assert there(RESTORED)
    for line in lines:
        how = RUN_BY[line]
        where = how.rpartition(" ")[2]
        assert how.startswith("not run") or "::" in where
        assert "::" not in where or there(where), f"{line}: there is no {where}"


def there(test: str) -> bool:
    """Whether a test is where it is said to be."""
    file, _, name = test.partition("::")
    return f"\ndef {name}(" in text_of(file)


def test_no_command_that_is_gone_is_accounted_for() -> None:
    assert RUN_BY.keys() <= {line for file in FILES for line in typed(file)}


def block_with(words: str) -> list[str]:
    """The commands of ours in the block that has these words."""
    (block,) = [
        each for each in re.findall(r"```console\n(.*?)```", text_of("README.md"), re.DOTALL) if words in each
    ]
    return re.findall(r"^\$ uv run sweeps (.*?)(?:\s+#.*)?$", block, re.MULTILINE)


@pytest.mark.fuller
def test_the_commands_for_your_own_data_run_in_their_order(
    tmp_path: Path, empty: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the in-process executor, with a shorter specification than the one that is written."""
    shutil.copytree(empty, tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SWEEPS_HOME", raising=False)
    random = np.random.default_rng(0)
    for label, name in enumerate(("agaric", "bolete", "morel")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(30):
            pixels = random.integers(60 * label, 60 * label + 80, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")
    said: dict[str, str] = {}
    for line in block_with("folder:photos"):
        verb, *_ = words = line.split()
        if verb == "ui":  # It serves until it is interrupted; see RUN_BY.
            continue
        assert sweeps(*words, *(["--executor", "inline"] if verb == "run" else [])) == 0, line
        said[verb] = capsys.readouterr().out
        if verb == "init":
            shorten(tmp_path / "photos.yaml")
    assert list(said) == ["init", "data", "plan", "run", "best", "report"]
    assert (tmp_path / said["data"].split()[-1]).exists()
    assert "photos" in said["best"]
    report = tmp_path / "runs" / "sweeps" / "photos" / "report"
    assert {"report.html", "report.md", "results.csv", "best.yaml"} <= {
        path.name for path in report.iterdir()
    }
    assert told(capsys, "status", "photos")["trials"]["complete"] == 2


def shorten(path: Path) -> None:
    """Two losses, one epoch, a small network; nothing is searched or confirmed."""
    written = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert written["data"][0]["source"] == f"folder:{path.with_suffix('')}"
    kept = {name: written[name] for name in ("name", "data", "validation")}
    small = {
        "depth": 8,
        "losses": ["cross_entropy", "cefl"],
        "recipe": {"preset": "digits", "epochs": 1, "batch_size": 16},
    }
    path.write_text(yaml.safe_dump({**kept, **small}), encoding="utf-8")


def test_the_quickstart_trains_as_many_as_the_readme_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = told(capsys, "plan", "quickstart", "--home", tmp_path)
    assert "trains 20 small ResNets, ten of them at gammas that Optuna asks for" in text_of("README.md")
    assert plan["trials"]["total"] == 20
    assert [(cell["points"], cell["asks"]) for cell in plan["cells"]] == [(10, 10)]
    assert (plan["confirm"]["seeds"], plan["confirm"]["cells"][0]["arms"]) == (5, 3)


@pytest.mark.long
def test_the_quickstart_runs_and_ends_as_the_readme_shows(tmp_path: Path) -> None:
    """The numbers apart, which another processor may have otherwise."""
    done = subprocess.run(
        [sys.executable, "-m", "sweeps", "run", "quickstart"], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "UV_RUN_RECURSION_DEPTH": "1"}, check=False, timeout=1200,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    check_answer(done.stdout.replace(f"{tmp_path}/", ""))
    for file in ("report.html", "best.yaml"):
        assert (tmp_path / "runs" / "sweeps" / "quickstart" / "report" / file).exists()


def check_answer(told: str) -> None:
    """The lines that the README shows of an answer stand in it, in their order."""
    (shown,) = re.findall(r"```text\n(.*?)```", text_of("README.md"), re.DOTALL)
    head, columns, row, *rest = (line.rstrip() for line in shown.splitlines() if line.strip())
    said = [line.rstrip() for line in told[told.index(head) :].splitlines()]
    assert said[1].split() == columns.split()
    assert said[2].split()[0] == row.split()[0]
    places = [said.index(line) for line in rest]
    assert places == sorted(places)
