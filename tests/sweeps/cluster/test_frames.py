"""Output and files come whole through a log that has other lines in it and is read in pieces."""

from __future__ import annotations

import base64
import io
import json
import sys
import tarfile
from pathlib import Path

import pytest

from sweeps.cluster.asking import Answer
from sweeps.cluster.frames import END, ERR, FILES, FOLDER, MARK, OUT, Framed, frame, packed, parsed, unpack
from sweeps.cluster.head import asked
from sweeps.cluster.jobs import Log
from sweeps.cluster.submitting import JobLog
from sweeps.errors import EnvironmentProblem, InputError
from sweeps.home import VARIABLE


def test_what_the_head_printed_appears_here_apart_and_nothing_else(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = frame(OUT, 'π ≥ 3 "quoted"\n') + "Ray has a word\n" + frame(ERR, "error: ü\n") + frame(END, 3)
    assert told.isascii()
    answer = Answer()
    for start in range(0, len(told), 7):
        answer.take(told[start : start + 7])
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ('π ≥ 3 "quoted"\n', "error: ü\n")
    assert answer.code == 3
    assert answer.other == ["Ray has a word"]


def test_a_torn_frame_is_no_frame() -> None:
    assert parsed(frame(END, 0).rstrip()) == (END, 0)
    for line in (MARK, f"{MARK}[]", f"{MARK}{{}}", frame(END, 0)[:-4], "plain"):
        assert parsed(line) is None


def test_files_come_back_as_they_were(tmp_path: Path) -> None:
    there = tmp_path / "there"
    (there / "tables").mkdir(parents=True)
    contents = {"report.html": bytes(range(256)) * 500, "tables/best.csv": b"", "tables/ä.tex": b"x"}
    for name, content in contents.items():
        (there / name).write_bytes(content)
    lines = list(packed(there, [there / name for name in contents]))
    assert max(map(len, lines)) < 20_000
    pieces = [found[1] for line in lines if (found := parsed(line.rstrip()))]
    files = unpack(pieces, tmp_path / "here")
    assert {file.relative_to(tmp_path / "here").as_posix(): file.read_bytes() for file in files} == contents


@pytest.mark.parametrize("name", ["../outside", "/tmp/absolute", "link/below"])
def test_no_file_leaves_its_folder(name: str, tmp_path: Path) -> None:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        if name.startswith("link"):
            link = tarfile.TarInfo("link")
            link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
            archive.addfile(link)
        archive.addfile(tarfile.TarInfo(name))
    with pytest.raises(EnvironmentProblem):
        unpack([base64.b64encode(content.getvalue()).decode()], tmp_path / "here")
    assert not (tmp_path / "outside").exists()
    assert not (tmp_path / "below").exists()


def test_a_log_that_is_read_again_from_its_beginning_is_shown_once() -> None:
    told: list[str] = []
    log = Log(told.append)
    log.take(0, "one\n")
    log.take(4, "two\nthr")
    log.take(0, "one\ntwo\n")  # After the connection was lost.
    log.take(8, "three\n")
    log.take(0, "one\ntwo\nthree\nfour\n")
    assert "".join(told) == "one\ntwo\nthree\nfour\n"


def test_of_a_jobs_log_only_what_the_command_printed_is_shown() -> None:
    shown: list[str] = []
    log = JobLog(shown.append)
    log.take("2026-11-24 INFO Runtime env is setting up.\nRunning entrypoint for job a-1: exec python")
    log.take(" -m sweeps\njoining Ray\ndone")
    log.take("\n")
    assert shown == ["joining Ray", "done"]


def test_a_framed_stream_sends_each_line_at_once_and_the_rest_at_its_end() -> None:
    log = io.StringIO()
    stream = Framed(OUT, log)
    print("one", end="", file=stream)
    assert log.getvalue() == ""
    print(" and two\nthree", end="", file=stream)
    assert log.getvalue() == frame(OUT, "one and two\n")
    stream.close()
    assert log.getvalue() == frame(OUT, "one and two\n") + frame(OUT, "three")


@pytest.mark.parametrize("as_json", [False, True])
def test_what_is_told_of_files_names_their_places_here(
    as_json: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there, here = tmp_path / "there" / "ann-digits", tmp_path / 'a "folder"'
    there.mkdir(parents=True)
    (there / "card").write_text("x")
    monkeypatch.setattr(sys, "argv", ["sweeps", *(["--json"] if as_json else [])])
    told = json.dumps(str(there / "card")) if as_json else str(there / "card")
    sent = [frame(OUT, f"see {told}\n"), frame(FOLDER, str(there)), *packed(there, [there / "card"])]
    answer = Answer(keep=True)
    answer.take("".join(sent) + frame(END, 0))
    assert capsys.readouterr().out == ""
    answer.bring(here, force=False)
    said = capsys.readouterr().out.removeprefix("see ").strip()
    assert (json.loads(said) if as_json else said) == str(here / "card")
    with pytest.raises(InputError, match="--force"):
        answer.bring(here, force=False)
    (here / "old").touch()
    answer.bring(here, force=True)
    assert [file.name for file in here.iterdir()] == ["card"]
    monkeypatch.chdir(tmp_path)
    answer.bring(None, force=False)
    assert Path("ann-digits/card").read_text() == "x"


def test_files_that_a_verb_writes_are_sent_with_the_folder_they_were_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "home"))
    monkeypatch.setattr(sys, "argv", ["sweeps", "figures", "--json"])
    assert asked(["figures", "--only", "nothing"]) == 2
    assert FOLDER not in capsys.readouterr().out
    assert asked(["figures", "--json"]) == 0
    answer = Answer(keep=True)
    answer.take(capsys.readouterr().out + frame(END, 0))
    answer.bring(tmp_path / "here", force=None)
    told = json.loads(capsys.readouterr().out)
    assert told["folder"] == str(tmp_path / "here")
    assert (tmp_path / "here" / "index.html").exists()
    assert not Path(answer.folder).exists(), "nothing is left there"


def test_a_head_without_a_home_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(EnvironmentProblem, match=VARIABLE):
        asked(["list"])


def test_the_head_answers_with_output_and_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "home"))
    assert asked(["status", "nothing"]) == 2
    frames = [parsed(line) for line in capfd.readouterr().out.splitlines()]
    assert [found[0] for found in frames if found] == [ERR]
    assert "no such sweep" in str(frames)
    assert FILES not in str(frames)
