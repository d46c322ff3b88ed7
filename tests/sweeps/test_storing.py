"""One contract for every storage; what a trial leaves in it, and that it survives what can happen there."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from small_data import write_small

from cefl.errors import DataError, StorageError
from cefl.trial import run_trial
from sweeps import storing
from sweeps.cli import main
from sweeps.home import Home
from sweeps.keeping import publish
from sweeps.mirroring import Mirror, Stored, data_at, run_stored
from sweeps.plan import Plan, build_plan
from sweeps.spec import load_spec
from sweeps.storing import StorageAway, Store, store_at


@pytest.fixture(params=["file", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A folder, and a store that fsspec knows and PyArrow does not."""
    return (tmp_path / "storage").as_uri() if request.param == "file" else f"memory://{tmp_path.name}"


@pytest.fixture(autouse=True)
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The disk of a node."""
    monkeypatch.setenv("SWEEPS_CACHE", str(tmp_path / "node"))
    return tmp_path / "node"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home", storage=(tmp_path / "storage").as_uri())
    home.create()
    return home


@pytest.fixture
def plan(home: Home, tmp_path: Path) -> Plan:
    return build_plan(load_spec(str(write_small(tmp_path / "work"))), home.data)


def numbers(rows: list[dict[str, Any]]) -> list[dict[str, float]]:
    timing = {"seconds", "images_per_second"}
    return [{name: value for name, value in row["metrics"].items() if name not in timing} for row in rows]


def test_a_store_gives_back_what_it_was_given(url: str, tmp_path: Path) -> None:
    store = Store(url, patience=0)
    assert store.names("a") == []
    assert store.read("a/none") is None
    assert not store.has("a/none")
    store.remove("a/none")
    store.write("a/b/one", b"first")
    store.write("a/b/one", b"second")
    store.write("a/two", b"")
    assert store.names("a") == ["b/one", "two"]
    assert store.sizes("a") == {"b/one": 6, "two": 0}
    assert store.read("a/b/one") == b"second"
    store.remove("a/b/one")
    assert store.names("a") == ["two"], "and nothing else has gone"
    folder = tmp_path / "folder"
    (folder / "train").mkdir(parents=True)
    (folder / "train" / "images.npy").write_bytes(b"x" * 100_000)
    (folder / "meta.json").write_text("{}")
    store.send(folder, "data/d")
    store.fetch("data/d", tmp_path / "copy")
    assert (tmp_path / "copy" / "train" / "images.npy").read_bytes() == b"x" * 100_000
    assert (tmp_path / "copy" / "meta.json").read_text() == "{}"


def test_a_folder_is_whole_where_its_last_file_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, store = tmp_path / "folder", Store((tmp_path / "storage").as_uri(), patience=0)
    folder.mkdir()
    (folder / "meta.json").write_text("{}")
    (folder / "zeros.npy").write_bytes(b"0")
    (tmp_path / "storage" / "data" / "d" / "zeros.npy").mkdir(parents=True)  # Cannot be written.
    with pytest.raises(StorageError):
        store.send(folder, "data/d")
    assert not store.has("data/d/meta.json")


def test_addresses_that_nothing_opens_are_told(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no-such-thing://x: cannot be opened"):
        Store("no-such-thing://x")


def test_a_trial_with_a_disk_of_its_own_gives_the_same_numbers_and_leaves_nothing_there(
    home: Home, plan: Plan, node: Path, tmp_path: Path
) -> None:
    config = plan.points[1].config
    here = list(run_trial(config, tmp_path / "here"))
    assert publish(home, plan) == ["stripes"]
    assert publish(home, plan) == [], "sent once"
    assert home.storage is not None
    stored = Stored(home.storage, "homes/h/trials/t")
    gone = replace(config, data=str(tmp_path / "a folder of another machine"))
    assert gone.key() == config.key(), "where the data lie decides nothing"
    rows = list(run_stored(gone, stored, pytest.fail))
    assert numbers(rows) == numbers(here)
    store = store_at(home.storage)
    kept = store.names("homes/h/trials/t")
    assert [name for name in kept if not name.startswith("checkpoint")] == [
        "predictions.npz",
        "weights.safetensors",
    ]
    assert (
        store.read("homes/h/trials/t/weights.safetensors")
        == (tmp_path / "here" / "weights.safetensors").read_bytes()
    )
    assert list((node / "trials").iterdir()) == []
    assert (node / "data" / config.digest / "meta.json").exists()


def stopped_after(rows: Iterator[dict[str, Any]], epoch: int) -> None:
    next(row for row in rows if row["epoch"] == epoch)
    rows.close()  # type: ignore[attr-defined]  # As the end of its process does.


def test_a_killed_trial_goes_on_on_another_node(
    home: Home, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(plan.points[0].config.recipe, epochs=5)
    config = replace(plan.points[0].config, recipe=recipe)
    whole = numbers(list(run_trial(config, tmp_path / "whole")))
    publish(home, plan)
    monkeypatch.setattr("cefl.trial.CHECKPOINT_SHARE", 1e9)  # One after every epoch,
    monkeypatch.setattr("sweeps.mirroring.SHARE", 1e9)  # and each is copied.
    assert home.storage is not None
    stored, store = Stored(home.storage, "t"), store_at(home.storage)
    stopped_after(run_stored(config, stored, pytest.fail), 3)
    there = store.names("t")
    assert [name[:17] for name in there] == ["checkpoint-000002", "checkpoint-000003"]
    for name in there:
        content = store.read(f"t/{name}")
        assert content is not None
        assert hashlib.sha256(content).hexdigest() in name
    monkeypatch.setenv("SWEEPS_CACHE", str(tmp_path / "another node"))
    rows = list(run_stored(config, stored, pytest.fail))
    assert numbers(rows) == whole
    assert [name[:17] for name in store.names("t") if "checkpoint" in name] == [
        "checkpoint-000004",
        "checkpoint-000005",
    ]
    newest = tmp_path / "storage" / "t" / store.names("t")[1]
    newest.write_bytes(newest.read_bytes()[:-1] + b"!")
    warnings: list[str] = []
    again = list(run_stored(config, stored, warnings.append))
    assert numbers(again) == whole, "the one before it serves"
    assert any("damaged" in text for text in warnings)


class Failing(Store):
    """A storage that does not take anything for a while."""

    away = False

    def write(self, name: str, content: bytes, patience: float | None = None) -> None:
        if self.away:
            raise StorageAway("storage: away")
        super().write(name, content, patience)


def test_an_outage_between_checkpoints_is_told_and_the_old_one_stays(tmp_path: Path) -> None:
    store, folder = Failing((tmp_path / "storage").as_uri()), tmp_path / "folder"
    folder.mkdir()
    warnings: list[str] = []
    mirror = Mirror(store, "t", folder, warnings.append)
    mirror.pull()
    (folder / "checkpoint-000001-a.pt").write_bytes(b"1")
    mirror.push(last=False)
    store.away, mirror.due = True, 0.0
    (folder / "checkpoint-000002-b.pt").write_bytes(b"2")
    mirror.push(last=False)
    assert store.names("t") == ["checkpoint-000001-a.pt"]
    assert len(warnings) == 1
    assert "goes on" in warnings[0]
    mirror.push(last=False)
    assert len(warnings) == 1, "not tried again at once"
    with pytest.raises(StorageAway):
        mirror.push(last=True)
    store.away = False
    mirror.push(last=True)
    assert store.names("t") == ["checkpoint-000001-a.pt", "checkpoint-000002-b.pt"]


def test_what_waiting_mends_is_waited_for_and_the_rest_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storing, "FIRST_WAIT", 0.01)
    store, calls = Store((tmp_path / "storage").as_uri(), patience=5), []

    def action() -> str:
        calls.append(1)
        if len(calls) < 3:
            raise OSError("AWS Error NETWORK_CONNECTION")
        return "done"

    assert store._patiently(action, "a/b") == "done"

    def refused() -> str:
        calls.append(1)
        raise OSError("AWS Error ACCESS_DENIED during PutObject")

    calls.clear()
    with pytest.raises(StorageError, match=r"a/b.*ACCESS_DENIED.*credentials"):
        store._patiently(refused, "a/b")
    assert len(calls) == 1


def test_a_node_gets_the_data_once_and_only_the_right_ones(
    home: Home, plan: Plan, node: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(home, plan)
    assert home.storage is not None
    digest, fetched = plan.cells[0].base.digest, []
    store = store_at(home.storage)
    fetch = Store.fetch
    monkeypatch.setattr(Store, "fetch", lambda *each: (fetched.append(1), fetch(*each))[1])
    at_once = [threading.Thread(target=data_at, args=(store, digest, node)) for _ in range(4)]
    for each in at_once:
        each.start()
    for each in at_once:
        each.join()
    assert len(fetched) == 1
    shutil.rmtree(node)
    labels = tmp_path / "storage" / "data" / digest / "train" / "labels.npy"
    content = bytearray(labels.read_bytes())
    content[-8] ^= 1
    labels.write_bytes(content)
    with pytest.raises(DataError):
        data_at(store, digest, node)
    assert [path.name for path in (node / "data").iterdir()] == [f"{digest}.lock"], "nothing wrong is left"


def test_a_sweep_keeps_weights_and_predictions_in_its_storage_and_fetches_what_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the in-process executor, whose own copies are taken away, as if a worker had trained."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "own"))
    spec, address = write_small(tmp_path / "work"), (tmp_path / "storage").as_uri()

    def command(*arguments: object) -> int:
        monkeypatch.setattr("sys.argv", ["sweeps", *map(str, arguments), "--home", address])
        with pytest.raises(SystemExit) as end:
            main()
        return int(end.value.code or 0)

    assert command("run", spec, "--executor", "inline") == 0
    home = Home.at(address)
    assert home.root.is_relative_to(tmp_path / "own")
    store = store_at(address)
    files = store.names(f"homes/{home.id}/trials")
    assert len([name for name in files if name.endswith("weights.safetensors")]) == 1, "of the best"
    assert len([name for name in files if name.endswith("predictions.npz")]) == 3
    assert not [name for name in files if "checkpoint" in name], "their trials are done"
    for name in ("weights.safetensors", "predictions.npz"):
        for path in (home.root / "trials").glob(f"*/{name}"):
            path.unlink()
    monkeypatch.chdir(tmp_path)
    assert command("export", "small", "--out", tmp_path / "model") == 0
    assert (tmp_path / "model" / "model.safetensors").exists()
    store.write(f"homes/{home.id}/trials/0123456789ab/weights.safetensors", b"of no trial")
    capsys.readouterr()
    assert command("gc", "--yes", "--json") == 0
    (item,) = json.loads(capsys.readouterr().out)["items"]
    assert item["why"] == "no sweep has this trial"
    assert not store.has(f"homes/{home.id}/trials/0123456789ab/weights.safetensors")
    (data,) = (tmp_path / "storage" / "data").iterdir()
    assert (data / "meta.json").exists(), "other homes may use it"
