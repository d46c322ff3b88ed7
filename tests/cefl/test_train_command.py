"""The command as people run it: in a process of its own, from the repository."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cefl.data import folder, prepare
from cefl.data.folder import GENERA
from cefl.errors import UnreadableImages
from cefl.recipes import PRESETS
from cefl.train import configure, main, parser

ROOT = Path(__file__).resolve().parents[2]
DIGITS = ["--dataset", "digits", "--imbalance", "20", "--model", "resnet8", "--device", "cpu"]
CEFL = ["--loss", "cefl", "--gamma", "2", "--precision", "float32"]


def where(folder: Path) -> list[str]:
    return ["--out", str(folder / "out"), "--cache", str(folder / "cache")]


def process(arguments: list[str], folder: Path) -> list[str]:
    return [sys.executable, "-W", "error", "-m", "cefl.train", *arguments, *where(folder)]


def run(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        process(arguments, folder), capture_output=True, text=True, cwd=ROOT, timeout=100, check=False
    )


def untimed(rows: list[str]) -> list[dict[str, Any]]:
    found = [json.loads(row) for row in rows]
    for row in found:
        del row["timestamp"], row["metrics"]["seconds"], row["metrics"]["images_per_second"]
    return found


def test_two_epochs_on_digits_print_a_table_and_the_classes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*DIGITS, *CEFL, "--epochs", "2", *where(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert lines[0].startswith("digits, resnet8, cefl {'gamma': 2.0}, seed 0: ")
    assert "val bal acc %" in lines[1]
    assert [line.split()[0] for line in lines[2:4]] == ["1", "2"]
    assert "test, last epoch: accuracy 0." in out
    assert [line.split()[0] for line in lines[-10:]] == list("0123456789")
    (folder,) = (tmp_path / "out").iterdir()
    names = {path.name for path in folder.iterdir()}
    assert {"config.json", "predictions.npz", "weights.safetensors"} <= names
    assert json.loads((folder / "config.json").read_text())["params"] == {"gamma": 2.0}


def test_a_killed_command_goes_on_to_the_rows_of_an_uninterrupted_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*DIGITS, *CEFL, "--epochs", "12", "--json"]
    killed = subprocess.Popen(process(arguments, tmp_path), stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert killed.stdout is not None
    seen = [killed.stdout.readline() for _ in range(10)]
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    again = run(arguments, tmp_path)
    assert (again.returncode, again.stderr) == (0, "")
    rows = again.stdout.splitlines()
    assert rows[0] == seen[0].strip(), "there was a checkpoint, and its rows come again"
    assert main([*arguments, *where(tmp_path / "whole")]) == 0
    whole = capsys.readouterr().out.splitlines()
    assert len(rows) == 12
    assert untimed(rows) == untimed(whole)


WRONG = [
    (["--loss", "cefl", "--gamma", "-1"], "0 <= params.gamma < inf"),
    (["--loss", "cefl", "--gamma", "nan"], "nan"),
    (["--loss", "focal", "--alpha", "0"], "0 < params.alpha < inf"),
    (["--loss", "cefl", "--alpha", "1"], "cefl has no alpha"),
    (["--loss", "ldam", "--max-margin", "0"], "0 < params.max_margin < inf"),
    (["--loss", "cefl", "--max-margin", "1"], "--max-margin: cefl has no max_margin"),
    (["--loss", "cefel"], "cefel"),
    (["--imbalance", "1e6"], "at most"),
    (["--imbalance", "0.5"], "1 <= imbalance"),
    (["--imbalance", "much"], "much"),
    (["--epochs", "0"], "epochs >= 1"),
    (["--batch-size", "100000"], "batch_size"),
    (["--learning-rate", "nan"], "learning_rate"),
    (["--seed", "-1"], "seed"),
    (["--model", "resnet19"], "resnet19"),
    (["--depth", "19"], "one of 8, 14, 18"),
    (["--depth", "20", "--model", "resnet8"], "leave one out"),
    (["--device", "tpu"], "tpu"),
    (["--precision", "fp16"], "fp16"),
    (["--pretrained"], "pretrained"),
    (["--validation", "{unused"], "{unused"),
    (["--validation", '{"unsed": 3}'], "did you mean 'unused'?"),
    (["--validation", "given"], "validation split"),
    (["--dataset", "npz:nowhere.npz"], "nowhere.npz"),
    (["--dataset", "digit"], "digit"),
    (["--recipe", "mnist"], "mnist"),
]


@pytest.mark.parametrize(("arguments", "said"), WRONG, ids=[" ".join(arguments) for arguments, _ in WRONG])
def test_wrong_options_give_one_message_and_write_no_training(
    arguments: list[str],
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    cache = tmp_path_factory.getbasetemp() / "cache-of-digits"
    wrong = [*arguments, "--out", str(tmp_path / "out"), "--cache", str(cache)]
    try:
        code: object = main(wrong)
    except SystemExit as stopped:  # From argparse.
        code = stopped.code
    captured = capsys.readouterr()
    assert code == 2
    assert said in captured.err
    messages = [line for line in captured.err.splitlines() if "error: " in line]
    assert len(messages) == 1
    assert captured.err.endswith(messages[0] + "\n")
    assert captured.out == ""
    assert not (tmp_path / "out").exists()


def test_a_wrong_option_ends_the_process_with_2_and_no_traceback(tmp_path: Path) -> None:
    done = run([*DIGITS, "--loss", "cefl", "--gamma", "-1"], tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_an_out_that_cannot_be_written_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("in the way")
    out = tmp_path / "file" / "out"
    assert main([*DIGITS, "--epochs", "1", "--out", str(out), "--cache", str(tmp_path / "cache")]) == 2
    assert f"--out: {out}" in capsys.readouterr().err


def test_two_configurations_share_no_folder_and_a_repeated_one_trains_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, again, other = (
        [*DIGITS, "--epochs", "1", "--loss", "cefl", "--gamma", g] for g in ("1", "1", "2")
    )
    printed = []
    for arguments in (first, again, other):
        assert main([*arguments, *where(tmp_path), "--json"]) == 0
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    assert printed[0] != printed[2]
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_options_reach_the_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = [
        "--depth", "8", "--epochs", "1", "--batch-size", "32", "--learning-rate", "0.01", "--seed", "3",
        "--validation", "none", "--order", "descending", "--imbalance", "10", "--loss", "focal",
        "--alpha", "0.5",
    ]  # fmt: skip
    assert main([*options, *where(tmp_path)]) == 0
    assert "val bal acc %" in capsys.readouterr().out
    (path,) = (tmp_path / "out").glob("*/config.json")
    config = json.loads(path.read_text())
    expected = {
        "model": "resnet8", "seed": 3, "validation": "none", "order": "descending", "imbalance": 10.0,
        "loss": "focal", "params": {"gamma": 2.0, "alpha": 0.5}, "precision": "auto", "pretrained": False,
    }  # fmt: skip
    assert {name: config[name] for name in expected} == expected
    recipe = {"epochs": 1, "batch_size": 32, "learning_rate": 0.01, "augment": PRESETS["digits"].augment}
    assert {name: config["recipe"][name] for name in recipe} == recipe


ALONE = """
import sys
for name in ("ray", "mlflow", "optuna", "pydantic", "pandas", "typer", "rich"):
    sys.modules[name] = None  # Importing it raises ImportError.
import importlib, pkgutil
import cefl
for module in pkgutil.walk_packages(cefl.__path__, "cefl."):
    importlib.import_module(module.name)
from cefl.train import main
sys.exit(main(sys.argv[1:]))
"""


def test_the_package_works_without_what_only_sweeps_and_trackers_need(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ALONE, *DIGITS, "--epochs", "1", "--json", *where(tmp_path)],
        capture_output=True, text=True, cwd=ROOT, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["epoch"] == 1


def test_a_published_set_brings_its_recipe_and_unreadable_images_can_be_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "MUSHROOM_TEST", 2)
    for genus in GENERA:
        (tmp_path / "m" / genus).mkdir(parents=True)
        for number in range(4):
            (tmp_path / "m" / genus / f"{number}.png").symlink_to(tmp_path / "one.png")
    Image.new("RGB", (8, 8)).save(tmp_path / "one.png")
    (tmp_path / "m" / "Boletus" / "bad.png").write_bytes(b"")
    arguments = ["--dataset", f"mushroom:{tmp_path / 'm'}", "--cache", str(tmp_path / "cache")]
    with pytest.raises(UnreadableImages, match="class 'Boletus', Boletus/bad.png: empty file"):
        configure(parser().parse_args(arguments))
    config = configure(parser().parse_args([*arguments, "--skip-corrupt"]))
    assert config.recipe == PRESETS["mushroom"]
    assert config.model == "resnet18"


def test_a_cache_that_is_not_what_was_written_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = prepare("digits", tmp_path / "cache") / "test" / "images.npy"
    images = bytearray(path.read_bytes())
    images[-9] ^= 1
    path.write_bytes(images)
    assert main([*DIGITS, "--epochs", "1", *where(tmp_path)]) == 2
    assert "delete this folder and prepare the source again" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
