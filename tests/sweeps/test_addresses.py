"""A home is found again by its address, however that is written; what is no address is refused at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sweeps.cli import main
from sweeps.errors import InputError
from sweeps.home import Home
from sweeps.storing import Store


@pytest.fixture(autouse=True)
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this machine keeps the homes of storages."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "own"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "own" / "sweeps"


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("s3://bucket/some/folder/", "s3://bucket/some/folder"),
        ("S3://Bucket/Folder", "s3://Bucket/Folder"),
        (
            "s3://bucket?endpoint_override=http://store:8333",
            "s3://bucket?endpoint_override=http://store:8333",
        ),
        ("hdfs://host:8020/user/a@b", "hdfs://host:8020/user/a@b"),
        ("file:///x/my store", "file:///x/my%20store"),
        ("file:///x/my%20store/", "file:///x/my%20store"),
        ("FILE:///x", "file:///x"),
        ("file:/x/a@b", "file:///x/a%40b"),
        ("file://localhost/x/100%25", "file:///x/100%25"),
        ("file:////x//y", "file:///x/y"),
    ],
)
def test_an_address_has_one_form(given: str, address: str, local: Path) -> None:
    home = Home.at(given)
    assert home.storage == address
    assert home.root.parent == local
    assert Home.at(address).root == home.root


@pytest.mark.parametrize(
    ("address", "rule"),
    [
        ("file://rel/store", "no host"),
        ("file://~/x", "absolute path"),
        ("file:store", "absolute path"),
        ("file:///", "absolute path"),
        ("file:///x?y=1", "%3F"),
        ("file:///x#y", "%23"),
        ("file:///x/100%", "%25"),
        ("file:///x/%00", "absolute path"),
        ("s3:/bucket/x", "two slashes"),
        ("s3:///x", "a bucket"),
        ("s4://bucket/x", "no storage is called s4"),
    ],
)
def test_what_is_no_address_is_refused_before_anything_is_written(
    address: str,
    rule: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = sorted(tmp_path.rglob("*"))
    for place, arguments, variables in (
        ("--home", ["--home", address], {}),
        ("SWEEPS_HOME", [], {"SWEEPS_HOME": address}),
        ("SWEEPS_STORAGE", ["--home", str(tmp_path / "home")], {"SWEEPS_STORAGE": address}),
    ):
        with monkeypatch.context() as given:
            for variable, value in variables.items():
                given.setenv(variable, value)
            given.setattr("sys.argv", ["sweeps", "run", "quickstart", *arguments])
            with pytest.raises(SystemExit) as end:
                main()
        assert end.value.code == 2
        told = capsys.readouterr().err
        assert told.startswith(f"error: {place}: ")
        assert rule in told
    assert sorted(tmp_path.rglob("*")) == before


def test_a_blank_in_an_address_is_a_blank_in_the_name_of_the_folder(tmp_path: Path) -> None:
    for written in ("my store", "my%20store"):
        address = Home.at(f"file://{tmp_path}/{written}").storage
        assert address is not None
        Store(address, patience=0).write("d/a", written.encode())
    assert (tmp_path / "my store" / "d" / "a").read_bytes() == b"my%20store"
    assert Store(f"file://{tmp_path}/my store", patience=0).names("d") == ["a"]


def test_homes_of_like_addresses_are_told_apart(local: Path) -> None:
    for address in ("s3://a/b-c", "s3://a/b/c", "s3://a/b_c", "s3://a/B-c", "s3://a/" + 300 * "b"):
        Home.at(address).create()
        assert Home.at(address).storage == address
    assert len(list(local.iterdir())) == 5


def test_a_home_under_its_former_name_is_found_by_its_own_address_alone(local: Path) -> None:
    former = local / "s3-a-b-c"
    former.mkdir(parents=True)
    (former / "home.json").write_text(json.dumps({"id": "0", "storage": "s3://a/b-c"}))
    assert Home.at("s3://a/b-c").root == former
    assert Home.at("S3://a/b-c/").root == former
    assert Home.at("s3://a/b/c").root != former
    raw = local / "file-x-a-b"
    raw.mkdir()
    (raw / "home.json").write_text(json.dumps({"id": "0", "storage": "file:///x/a@b"}))
    assert Home.at("file:///x/a@b").root == raw, "as it was written then"
    assert Home.at(str(raw)).storage == "file:///x/a%40b"


def test_a_storage_that_a_home_should_not_have_remembered_is_told(tmp_path: Path) -> None:
    (tmp_path / "home.json").write_text(json.dumps({"id": "0", "storage": "file://rel/store"}))
    with pytest.raises(InputError, match=r"home\.json: storage: file://rel/store: must be"):
        Home.at(tmp_path)


def test_a_home_remembers_its_addresses_and_no_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "home"
    secret = tmp_path / "secret"
    secret.write_text("postgresql://me:hidden@db/studies\n")
    monkeypatch.setenv("SWEEPS_LEDGER_URL_FILE", str(secret))
    monkeypatch.setenv("SWEEPS_STORAGE", "s3://bucket/sweeps/")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:hidden@server:5000")
    home = Home.at(root)
    assert home.optuna_url == "postgresql://me:hidden@db/studies"
    assert "hidden" not in repr(home)
    home.create()
    told = json.loads((root / "home.json").read_text())
    assert told | {"id": ""} == {
        "id": "", "ledger": "postgresql://me@db/studies", "storage": "s3://bucket/sweeps",
        "tracking": "http://server:5000",
    }  # fmt: skip
    for name in ("SWEEPS_LEDGER_URL_FILE", "SWEEPS_STORAGE", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name)
    again = Home.at(root)
    assert (again.ledger, again.storage, again.id) == (told["ledger"], told["storage"], told["id"])


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("SWEEPS_STORAGE", "s3://key:hidden@bucket/x", "credentials"),
        ("SWEEPS_STORAGE", "s3://bucket/x?secret_key=hidden", "credentials"),
        ("SWEEPS_STORAGE", "S3://bucket/x?region=a&secret%5Fkey=hidden", "credentials"),
        ("SWEEPS_STORAGE", "s3://key:hid/hidden@bucket/x", "credentials"),
        ("SWEEPS_STORAGE", "s3:///key:hidden@bucket", "credentials"),
        ("SWEEPS_STORAGE", "s3:/key:hidden@bucket", "credentials"),
        ("SWEEPS_STORAGE", "file://me:hidden@host/x", "credentials"),
        ("SWEEPS_STORAGE", "abfs://x/z?sig=hidden", "credentials"),
        ("SWEEPS_LEDGER_URL", "mysql://me:hidden@db/studies", "postgresql://USER"),
        ("SWEEPS_LEDGER_URL_FILE", "/nowhere/at/all", "cannot be read"),
    ],
)
def test_wrong_addresses_are_refused_without_their_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(InputError, match=said) as refused:
        Home.at(tmp_path)
    assert "hidden" not in str(refused.value)


def test_a_home_with_a_ledger_does_not_get_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "optuna.db").touch()
    monkeypatch.setenv("SWEEPS_LEDGER_URL", "postgresql://me:hidden@db/studies")
    with pytest.raises(InputError, match=r"optuna\.db") as refused:
        Home.at(tmp_path)
    assert "hidden" not in str(refused.value)
