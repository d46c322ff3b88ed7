"""Checkpoints, data and specification that are not what they were when the sweep runs again."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from commands import run, told
from faulty import write_spec
from forked import ended, run_inline, until
from inspecting import assert_whole, histories, ledger, runs

from cefl import trial
from cefl.checkpoint_files import found
from cefl.data.dataset import META, digest_of, open_dataset, read_meta, statistics

DAMAGES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "half of it": lambda content, draw: content[: len(content) // 2],
    "one byte flipped": lambda content, draw: flipped(content, draw.randrange(len(content))),
    "nothing": lambda content, draw: b"",
    "10 bytes": lambda content, draw: content[:10],
    "all but a byte": lambda content, draw: content[:-1],
}
"""What is left of a checkpoint."""


def flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def write_every_epoch() -> None:
    """Have this process write a checkpoint every epoch."""
    trial.CHECKPOINT_SHARE = float("inf")


def newest(home: Path) -> tuple[int, Path] | None:
    """Epoch and path of the newest checkpoint of a trial that has two."""
    for folder in (home / "trials").glob("*/"):
        there = found(folder)
        if len(there) > 1:
            return there[0]
    return None


def test_a_damaged_checkpoint_costs_some_epochs_and_no_number(
    tmp_path: Path, home: Path, log: Path, long: bool
) -> None:
    spec = write_spec(tmp_path, epochs=60)
    undisturbed, draw, warned = tmp_path / "undisturbed", random.Random(7), 0
    shutil.copytree(home, undisturbed)
    assert run(spec, undisturbed) == 0
    damages = [*DAMAGES, *draw.choices(list(DAMAGES), k=5)] if long else list(DAMAGES)[:2]
    epoch = 0
    for damage in damages:
        driver = run_inline(log, spec, home, before=write_every_epoch)

        def further(than: int = epoch) -> bool:
            return (newest(home) or (0, None))[0] > than

        until(further, driver, log)
        assert driver.pid is not None
        os.kill(driver.pid, signal.SIGKILL)
        ended(driver)
        last = newest(home)
        assert last is not None
        epoch, path = last
        path.write_bytes(DAMAGES[damage](path.read_bytes(), draw))
    assert ended(run_inline(log, spec, home)) == 0, log.read_text()
    warned = log.read_text().count("warning: ")
    assert warned == len(damages), log.read_text()
    assert log.read_text().count("since the SHA-256 is not the one in the name") == warned
    assert_whole(home, "faulty")
    assert histories(home) == histories(undisturbed), "the same to the last bit"
    assert "SHA-256" in ledger(home, "faulty")[0].attrs["warning"], "`sweeps logs` shows it"
    print(f"{warned} damaged checkpoints, 0 trials lost, 0 doubled")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory, empty: Path) -> Path:
    """A folder with a specification, its data and a home in which it is done, to copy."""
    folder = tmp_path_factory.mktemp("original")
    shutil.copytree(empty, folder / "home")
    assert run(write_spec(folder, which=(1, 2), epochs=2), folder / "home") == 0
    return folder


@pytest.fixture
def done(original: Path, tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """Specification, beside its data, and home of a sweep that is done, which a test may change."""
    shutil.copytree(original / "home", tmp_path / "home")
    spec, source = original / "changed.yaml", original / "stripes.npz"
    shutil.copy(original / "faulty.yaml", spec)
    shutil.copy2(source, tmp_path / "source.npz")
    yield spec, tmp_path / "home"
    shutil.copy2(tmp_path / "source.npz", source)  # Its time, too: the cache is of that.


def cache(home: Path) -> Path:
    (meta,) = (home / "data").glob(f"*/{META}")
    return meta.parent


def assert_refused(spec: Path, home: Path, code: int, capsys: pytest.CaptureFixture[str]) -> str:
    """A run is refused in one message, and nothing of what is there has changed."""
    before = ledger(home, "faulty"), histories(home)
    capsys.readouterr()
    assert run(spec, home) == code
    said = capsys.readouterr().err
    assert said.count("error: ") == 1
    assert "Traceback" not in said
    assert (ledger(home, "faulty"), histories(home)) == before
    return said


def test_a_cache_that_has_changed_is_refused_and_prepared_again_as_told(
    done: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    spec, home = done
    images = cache(home) / "train" / "images.npy"
    images.write_bytes(flipped(images.read_bytes(), 500))
    said = assert_refused(spec, home, 7, capsys)
    assert f"{cache(home)}: does not have the images and labels any more that were written" in said
    assert "delete this folder and prepare the source again" in said
    shutil.rmtree(cache(home))
    assert told(capsys, "plan", spec, "--home", home)["trials"]["waiting"] == 0, "it is the same again"
    assert told(capsys, "data", "verify", "--home", home)[0]["state"] == "ok"


def test_a_cache_whose_digest_fits_other_images_is_noticed_by_the_sweep(
    done: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    spec, home = done
    folder = cache(home)
    images = np.load(folder / "train" / "images.npy")
    images[0] = 255 - images[0]
    np.save(folder / "train" / "images.npy", images)
    changed, meta = open_dataset(folder), read_meta(folder)
    mean, std = statistics(changed.train.images)
    digest = digest_of(changed.classes, changed.splits)
    other = replace(meta, digest=digest, mean=list(mean), std=list(std))
    (folder / META).write_text(json.dumps(other.as_json()))
    said = assert_refused(spec, home, 2, capsys)
    assert f"digest was {meta.digest}, now {digest}" in said
    assert "--name" in said


def test_a_source_that_has_changed_is_refused_and_one_that_is_gone_is_not_missed(
    done: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    spec, home = done
    source = spec.with_name("stripes.npz")
    aside = source.rename(source.with_suffix(".aside"))
    assert told(capsys, "plan", spec, "--home", home)["trials"]["waiting"] == 0, "the cache serves"
    with np.load(aside) as arrays:
        values = dict(arrays)
    values["train_images"] = 255 - values["train_images"]
    np.savez(source, **values)
    said = assert_refused(spec, home, 2, capsys)
    assert "digest was" in said
    assert "--name" in said
    source.unlink()
    shutil.rmtree(cache(home))
    said = assert_refused(spec, home, 2, capsys)
    assert str(source) in said
    aside.rename(source)
    assert told(capsys, "plan", spec, "--home", home)["trials"]["waiting"] == 0, "all as it was"


def test_an_arm_that_is_taken_out_leaves_the_ranking_and_stays_in_the_record(
    done: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    spec, home = done
    whole = spec.read_text()
    before, shown = ledger(home, "faulty"), runs(home / "mlflow.db", "faulty")
    numbers = histories(home)
    taken_out = {row.attrs["key"] for row in before if row.attrs["params"].get("which") == 2}
    assert len(taken_out) == 1
    spec.write_text(whole.replace("[1, 2]", "[1, 3]"))
    assert run(spec, home) == 0
    rows = ledger(home, "faulty")
    assert rows[:-1] == before, "what was there has not changed"
    assert rows[-1].attrs["params"] == {"which": 3}
    assert numbers.items() <= histories(home).items()
    assert shown.keys() < runs(home / "mlflow.db", "faulty").keys()
    trials = {trial["key"] for trial in told(capsys, "trials", "faulty", "--home", home)}
    assert trials == {row.attrs["key"] for row in rows} - taken_out
    assert told(capsys, "status", "faulty", "--home", home)["trials"]["complete"] == 3
    (best,) = told(capsys, "best", "faulty", "--home", home)
    assert best["params"].get("which") != 2
    report = (home / "sweeps" / "faulty" / "report" / "results.csv").read_text()
    assert not any(key in report for key in taken_out)
    spec.write_text(whole.replace("[1, 2]", "[1, 2, 3]"))
    plan = told(capsys, "plan", spec, "--home", home)["trials"]
    assert (plan["total"], plan["waiting"]) == (4, 0), "put back, it is there, and not trained again"


def test_changes_that_would_mix_what_cannot_be_compared_are_refused_all_at_once(
    done: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    spec, home = done
    whole = spec.read_text()
    changed = whole.replace("epochs: 2, batch_size: 16", "epochs: 3, batch_size: 8, learning_rate: 0.01")
    changed = changed.replace("{unused: 5}", "{unused: 4}") + "select: {metric: accuracy}\n"
    spec.write_text(changed)
    said = assert_refused(spec, home, 2, capsys)
    for difference in (
        "recipe.epochs was 2, now 3",
        "recipe.batch_size was 16, now 8",
        "recipe.learning_rate was",
        "validation was {'unused': 5}, now {'unused': 4}",
        "select: metric was balanced_accuracy, now accuracy",
    ):
        assert difference in said
    assert "give the changed specification a name of its own (--name), or undo" in said
    assert told(capsys, "plan", spec, "--home", home, "--name", "other")["trials"]["waiting"] == 3
    spec.write_text(whole)
    assert told(capsys, "plan", spec, "--home", home)["trials"]["waiting"] == 0


def test_another_imbalance_or_model_is_a_cell_of_its_own_and_goes_on(
    done: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    spec, home = done
    spec.write_text(spec.read_text().replace("imbalance: 4", "imbalance: [4, 5]"))
    plan = told(capsys, "plan", spec, "--home", home)["trials"]
    assert (plan["total"], plan["waiting"], plan["complete"]) == (6, 3, 3)
