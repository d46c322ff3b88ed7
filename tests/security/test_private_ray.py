"""The Ray of a sweep is its user's alone: token, folder and addresses."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from sweeps.executors.private_ray import (
    bare,
    make_folder,
    make_private_token,
    on_loopback,
    remove_folder,
    require_token,
)

VARIABLES = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user who has never had a Ray."""
    for name in VARIABLES:
        monkeypatch.setenv(name, "")  # So that what a test sets is undone.
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def mode(path: Path | str) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


def test_a_token_is_made_for_its_owner_alone_and_kept(user: Path) -> None:
    require_token()
    token = user / ".ray" / "auth_token"
    assert mode(token) == 0o600
    assert mode(token.parent) == 0o700
    first = token.read_text()
    assert len(first) == 64
    assert [each.name for each in token.parent.iterdir()] == ["auth_token"], "nothing is left beside it"
    require_token()
    assert token.read_text() == first
    assert "RAY_AUTH_TOKEN" not in os.environ


def test_a_token_that_ray_wrote_for_all_to_read_is_closed(user: Path) -> None:
    token = user / "auth_token"
    token.write_text("there")
    token.chmod(0o644)
    make_private_token(token)
    assert mode(token) == 0o600
    assert token.read_text() == "there"


def test_without_a_home_to_write_to_the_token_is_in_the_environment_alone(user: Path) -> None:
    (user / ".ray").write_text("no folder")
    require_token()
    assert len(os.environ["RAY_AUTH_TOKEN"]) == 64


def test_a_token_cannot_be_switched_off_and_one_of_the_users_own_counts(
    user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "mine")
    require_token()
    assert "RAY_AUTH_MODE" not in os.environ, "Ray asks for the token by itself"
    assert os.environ["RAY_AUTH_TOKEN"] == "mine"
    assert not (user / ".ray").exists()


def test_sockets_and_logs_are_nobody_elses_and_go_with_ray() -> None:
    folder = make_folder()
    assert mode(Path(folder).parent) == 0o700
    session = "session_2026-11-24_11-19-53_361531_4194304/sockets/plasma_store.sock.12"
    assert len(f"{folder}/{session}") < 104, "the path of a socket has at most 103 characters on macOS"
    remove_folder(folder)
    assert not Path(folder).parent.exists()


def test_rays_own_switch_makes_this_machine_the_loopback() -> None:
    from ray._private import services
    from ray._private.ray_constants import ENABLE_RAY_CLUSTER

    with on_loopback():
        assert services.get_node_ip_address() == "127.0.0.1"
    from ray._private.ray_constants import ENABLE_RAY_CLUSTER as AFTER

    assert AFTER == ENABLE_RAY_CLUSTER


def test_what_only_a_cluster_needs_is_not_started_and_the_agent_takes_a_free_port() -> None:
    from ray._private import parameter
    from ray._private.ray_constants import DEFAULT_DASHBOARD_AGENT_LISTEN_PORT

    with bare():
        params = parameter.RayParams(num_cpus=1)
    assert params.num_cpus == 1
    assert params.no_monitor
    assert not params.include_log_monitor
    assert params.dashboard_agent_listen_port == 0
    after = parameter.RayParams()
    assert not after.no_monitor
    assert after.dashboard_agent_listen_port == DEFAULT_DASHBOARD_AGENT_LISTEN_PORT
