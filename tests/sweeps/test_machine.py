"""What this machine can never give is refused by both executors, before anything is written; and signals."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
from commands import sweeps

from sweeps.executors import EXECUTORS
from sweeps.executors.fitting import asked_of, fit
from sweeps.executors.machine import as_ray_counts, of_this_process
from sweeps.spec.model import Resources


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("cpus: 6400", "CPU 6400"),
        ("gpus: 99", "CPU 1, GPU 99"),
        ("memory: 900000GiB", "CPU 1, memory 900000.0 GiB"),
        ("gpus: 0, accelerator: NONE-SUCH", "CPU 1, NONE-SUCH"),
        ("custom: {licence: 1}", "licence 1"),
    ],
)
def test_a_request_that_can_never_be_met_is_refused_before_anything_is_written(
    asked: str, told: str, executor: str, small_spec: Path, tmp_path: Path, capsys: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("SWEEPS_NOTIFY", f"touch {tmp_path / 'notified'}")
    more = "" if "gpus" in asked or "custom" in asked else ", gpus: 0"
    small_spec.write_text(
        small_spec.read_text().replace("resources: {gpus: 0}", f"resources: {{{asked}{more}}}")
    )
    assert sweeps("run", small_spec, "--home", tmp_path / "home", "--executor", executor) == 7
    said = capsys.readouterr().err
    assert f"{small_spec}: resources: a trial asks for " in said
    assert told in said
    assert "but this machine has CPU " in said
    assert "ask for less" in said
    assert not any((tmp_path / "home" / name).exists() for name in ("sweeps", "trials", "optuna.db"))
    assert not list((tmp_path / "home" / "data").iterdir()), "nor were data prepared"
    assert not (tmp_path / "notified").exists()


def test_what_there_is_is_not_refused() -> None:
    for there in (of_this_process(Resources()), as_ray_counts()):
        assert there["CPU"] >= 1
        every = Resources(cpus=there["CPU"], gpus=there.get("GPU", 0.0), memory=int(there["memory"]))
        assert fit(asked_of(every, [there]), there) == 1


def test_a_ray_that_starts_leaves_a_sigterm_to_who_took_it_before() -> None:
    from sweeps.executors.ray_tune import keeping_sigterm

    first = signal.getsignal(signal.SIGTERM)
    try:
        signal.signal(signal.SIGTERM, ours := lambda *_: None)
        with keeping_sigterm():
            signal.signal(signal.SIGTERM, lambda *_: None)  # As `ray.init` does.
        assert signal.getsignal(signal.SIGTERM) is ours
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        with keeping_sigterm():
            signal.signal(signal.SIGTERM, ours)
        assert signal.getsignal(signal.SIGTERM) is ours, "where nobody took it, Ray cleans up after itself"
    finally:
        signal.signal(signal.SIGTERM, first)
