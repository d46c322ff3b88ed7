"""Small archives in the layouts of the published ones, with real images in them."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torchvision import datasets

from cefl.data.crop_disease import ANNOTATIONS, FOLDERS


class PythonTwoPickler(pickle.Pickler):
    """Writes arrays as the published archives have them: by old names, with 0 and 1 as flags."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, np.dtype):
            return np.dtype, ("u1", 0, 1), (3, "|", None, None, None, -1, -1, 0)
        return NotImplemented


def as_pickle(value: object) -> bytes:
    stream = io.BytesIO()
    PythonTwoPickler(stream, protocol=2).dump(value)
    return stream.getvalue().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


def cifar_members(origin: Any, per_batch: int = 20) -> dict[str, bytes]:
    """Contents of an archive: noise as images, whose first red value is their label."""
    fine = origin.meta["key"].startswith("fine")
    names = [f"class {number}" for number in range(100 if fine else 10)]
    members = {f"{origin.base_folder}/{origin.meta['filename']}": as_pickle({origin.meta["key"]: names})}
    for seed, (name, _) in enumerate([*origin.train_list, *origin.test_list]):
        count = max(per_batch, len(names))
        rows = np.random.default_rng(seed).integers(0, 256, (count, 3072), dtype=np.uint8)
        labels = [row % len(names) for row in range(count)]
        rows[:, 0] = labels
        batch = {"data": rows, "fine_labels" if fine else "labels": labels, "batch_label": name}
        members[f"{origin.base_folder}/{name}"] = as_pickle(batch)
    return members


def write_cifar(
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str = "CIFAR10",
    changes: Mapping[str, bytes] | None = None,
) -> Path:
    """An archive at ``path``, whose checksum is from now on the one that torchvision expects."""
    origin = getattr(datasets, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as tar:
        for member, content in {**cifar_members(origin), **(changes or {})}.items():
            header = tarfile.TarInfo(member)
            header.size = len(content)
            tar.addfile(header, io.BytesIO(content))
    monkeypatch.setattr(origin, "tgz_md5", hashlib.md5(path.read_bytes()).hexdigest())
    return path


def write_image(path: Path, seed: int = 0, size: int = 12, kind: str = "JPEG") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, format=kind)


def write_crop_disease(root: Path, train: Sequence[int], test: Sequence[int]) -> Path:
    """Both sets, with one image for each label of ``train`` and ``test``."""
    for split, labels in (("train", train), ("test", test)):
        folder = root / FOLDERS[split]
        entries = [
            {"disease_class": label, "image_id": f"{number:04}_{split}.jpg"}
            for number, label in enumerate(labels)
        ]
        for number, entry in enumerate(entries):
            write_image(folder / "images" / str(entry["image_id"]), seed=number)
        (folder / ANNOTATIONS[split]).write_text(json.dumps(entries))
    return root
