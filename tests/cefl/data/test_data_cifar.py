"""``cifar10`` and ``cifar100``: checked, never extracted, never trusted; without a network, what to do."""

from __future__ import annotations

import functools
import http.server
import os
import pickle
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from archives import cifar_members, write_cifar
from torchvision import datasets

from cefl.data import is_prepared, open_dataset, prepare, verify
from cefl.data.cifar import ARCHIVES
from cefl.errors import DataError, MissingData


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The address of a server of ``tmp_path / 'served'`` on the loopback."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(QuietHandler, directory=str(folder))
    with QuietServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()


class QuietServer(http.server.ThreadingHTTPServer):
    def handle_error(self, request: object, address: object) -> None:
        """Torchvision asks twice and hangs up on the first answer."""


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing on the terminal of the tests."""


@pytest.mark.parametrize(("name", "classes"), [("cifar10", 10), ("cifar100", 100)])
def test_the_archive_becomes_images_with_the_channels_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, classes: int
) -> None:
    origin = getattr(datasets, ARCHIVES[name][0])
    write_cifar(tmp_path / "data" / "downloads" / origin.filename, monkeypatch, ARCHIVES[name][0])
    dataset = open_dataset(prepare(name, tmp_path / "data"))

    assert (dataset.name, dataset.source, dataset.test_rule) == (name, name, "given")
    assert dataset.image_shape == (32, 32, 3)
    assert dataset.classes == tuple(f"class {number}" for number in range(classes))
    batches = len(origin.train_list)
    assert dataset.counts["train"] == (10 * batches // 5 if classes == 10 else 1,) * classes
    rows = pickle.loads(cifar_members(origin)[f"{origin.base_folder}/{origin.test_list[0][0]}"])["data"]
    for image, row in zip(dataset.test.images, rows, strict=True):
        np.testing.assert_array_equal(
            image, np.stack([plane.reshape(32, 32) for plane in np.split(row, 3)], -1)
        )
    np.testing.assert_array_equal(dataset.test.images[:, 0, 0, 0], dataset.test.labels)


def test_a_download_is_checked_kept_and_not_repeated(
    tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = write_cifar(tmp_path / "served" / datasets.CIFAR10.filename, monkeypatch)
    monkeypatch.setattr(datasets.CIFAR10, "url", f"{server}/{served.name}")
    folder = prepare("cifar10", tmp_path / "data")
    verify(folder)
    assert sorted(path.name for path in folder.parent.iterdir()) == [folder.name, "downloads"]
    assert [path.name for path in (tmp_path / "data" / "downloads").iterdir()] == [served.name]

    served.unlink()
    shutil.rmtree(folder)
    verify(prepare("cifar10", tmp_path / "data"))


def test_a_download_with_another_checksum_is_thrown_away(
    tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = write_cifar(tmp_path / "served" / datasets.CIFAR10.filename, monkeypatch)
    monkeypatch.setattr(datasets.CIFAR10, "url", f"{server}/{served.name}")
    served.write_bytes(served.read_bytes() + b"\0")
    with pytest.raises(MissingData, match="cannot be downloaded .*corrupted"):
        prepare("cifar10", tmp_path / "data")
    assert list((tmp_path / "data" / "downloads").iterdir()) == []


def test_without_a_network_it_is_said_which_file_goes_where_and_what_else_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets.CIFAR100, "url", "http://127.0.0.1:9/cifar-100-python.tar.gz")
    root = tmp_path / "data"
    with pytest.raises(MissingData) as caught:
        prepare("cifar100", root)
    message = str(caught.value)
    assert (
        f"put cifar-100-python.tar.gz (MD5 eb9058c3a382ffc7106e4002c42a8d85) into {root / 'downloads'};"
        in message
    )
    assert f"prepared cache, cifar100-..., from another machine into {root};" in message
    assert "'npz:PATH'" in message


def test_a_cache_from_another_machine_needs_no_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_cifar(tmp_path / "there" / "downloads" / datasets.CIFAR10.filename, monkeypatch)
    made = prepare("cifar10", tmp_path / "there")
    shutil.copytree(made, tmp_path / "here" / made.name)
    assert is_prepared("cifar10", tmp_path / "here") == tmp_path / "here" / made.name


def test_a_damaged_archive_is_named_and_nothing_in_it_is_unpickled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_cifar(tmp_path / "data" / "downloads" / datasets.CIFAR10.filename, monkeypatch)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match=rf"{path} is damaged or another file.*delete it"):
        prepare("cifar10", tmp_path / "data")


class Malice:
    """What a pickle may do to whoever loads it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> object:
        return os.mkdir, (str(self.path),)


def test_a_pickle_that_names_more_than_arrays_is_refused_even_with_the_right_checksum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touched = tmp_path / "touched"
    path = tmp_path / "data" / "downloads" / datasets.CIFAR10.filename
    bad = {f"{datasets.CIFAR10.base_folder}/data_batch_3": pickle.dumps(Malice(touched), protocol=2)}
    write_cifar(path, monkeypatch, changes=bad)
    with pytest.raises(DataError, match="a pickle names .*mkdir, which no CIFAR archive does"):
        prepare("cifar10", tmp_path / "data")
    assert not touched.exists()


def test_members_that_lead_out_of_the_archive_are_never_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "data" / "downloads" / datasets.CIFAR10.filename
    write_cifar(path, monkeypatch, changes={"../outside": b"x", f"{tmp_path}/absolute": b"x"})
    before = sorted(tmp_path.rglob("*"))
    folder = prepare("cifar10", tmp_path / "data")
    assert {each for each in tmp_path.rglob("*") if each not in before} == {folder, *folder.rglob("*")}


def test_the_checksums_are_those_that_torchvision_knows() -> None:
    assert len(ARCHIVES) == 2
    for origin, md5 in ARCHIVES.values():
        assert getattr(datasets, origin).tgz_md5 == md5
