"""What `submit` and commands that a cluster shall answer refuse before they send anything."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from mlflow_server import free_port
from typer.testing import CliRunner

from sweeps.cli import app, main
from sweeps.cli.cluster import after_flag, for_the_head
from sweeps.errors import InputError


def refused(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["sweeps", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        main()
    return int(str(end.value.code))


def test_only_what_matters_there_is_sent_to_the_head() -> None:
    sent = for_the_head(["report", "a", "--address", "http://h:1", "--home=/x", "--out=b", "--json"])
    assert sent == ["report", "a", "--home=/x", "--json"]
    assert for_the_head([]) == []
    for out in (["-oout"], ["-o", "out"], ["-o=out"]):
        assert for_the_head(["report", *out, "a"]) == ["report", "a"]
    assert for_the_head(["best", "a", "--offline"]) == ["best", "a", "--offline"]
    assert for_the_head(["stop", "--address=http://h:1", "a", "--wait", "3"]) == ["stop", "a", "--wait", "3"]


@pytest.mark.parametrize(
    "home",
    [
        ["--home", "s3://me:secret@x/y"],
        ["--home=s3://me:secret@x/y"],
        ["--home=s3://x/y?secret_key=secret"],
        ["--home=S3://x/y?access%4bey=secret"],
        ["--home=/x", "--home", "s3://me:se/secret@x/y"],
        ["--home", "s3://me:secret@x/y", "--home=/x"],
    ],
)
def test_no_secret_goes_on_a_command_line_of_the_cluster(
    home: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError, match="credentials") as found:
        for_the_head(["status", "a", *home])
    assert "secret" not in str(found.value).replace("SECRET", "")
    if home[-1] != "--home=/x":  # Of several the last one counts.
        assert refused(monkeypatch, "submit", "quickstart", "--address", "http://127.0.0.1:1", *home) == 2
        assert "credentials" in capsys.readouterr().err


def test_of_several_values_of_an_option_the_last_one_counts() -> None:
    assert after_flag("--home", ["a", "--home", "b", "--home=c=d"]) == "c=d"
    assert after_flag("--home", ["--homes", "b"]) is None


@pytest.mark.parametrize(
    "address", ["head:8265", "ray://head:10001", "http://", "http://me:secret@head:8265"]
)
def test_what_is_no_address_of_jobs_is_refused(
    address: str, small_spec: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(monkeypatch, "submit", small_spec, "--address", address) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: --address: ")
    assert "secret" not in told


def test_a_wrong_specification_is_refused_here(
    small_spec: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small_spec.write_text(small_spec.read_text().replace("losses", "looses"))
    assert refused(monkeypatch, "submit", small_spec, "--address", "http://127.0.0.1:1") == 2
    assert "did you mean 'losses'" in capsys.readouterr().err


def test_a_cluster_that_does_not_answer_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:1")  # Which Ray itself would take instead.
    address = f"http://127.0.0.1:{free_port()}"
    assert refused(monkeypatch, "status", "small", "--address", address) == 7
    assert f"the cluster at {address} does not answer" in capsys.readouterr().err


def test_out_is_for_a_cluster_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert refused(monkeypatch, "report", "small", "--out", tmp_path / "x", "--home", tmp_path) == 2


@pytest.mark.parametrize("verb", ["confirm", "retry"])
@pytest.mark.parametrize("option", ["--executor=inline", "--notify=https://hook", "--json"])
def test_a_job_takes_no_option_that_has_no_meaning_there(
    verb: str, option: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(monkeypatch, verb, "small", "--address", "http://127.0.0.1:1", option) == 2
    assert f"{option.partition('=')[0]}: is not for a job" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command", ["confirm a", "retry a", "export a", "compare a b", "figures a", "report a", "sync a", "list"]
)
def test_whatever_a_cluster_answers_says_when_it_does_not(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    assert refused(monkeypatch, *command.split(), "--address", address) == 7
    assert f"the cluster at {address} does not answer" in capsys.readouterr().err


def test_submit_asks_for_an_address() -> None:
    told = CliRunner().invoke(app, ["submit", "quickstart"], prog_name="sweeps")
    assert told.exit_code == 2
    assert "--address" in told.output
