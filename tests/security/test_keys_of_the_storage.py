"""The keys of the storage stay in the environment: Ray logs what its actors are described by."""

from __future__ import annotations

import pytest
from ray.tune.execution.class_cache import _ActorClassCache

from sweeps.executors import ray_tune


def test_tune_describes_no_actor_by_the_keys_of_the_storage(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN"):
        monkeypatch.setenv(name, "canary")
    described = _ActorClassCache().get(type("Trained", (), {}))._default_options["runtime_env"]
    assert described["env_vars"], ray_tune.__name__
    assert "canary" not in str(described)
