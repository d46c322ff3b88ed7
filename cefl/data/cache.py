"""From a source to its cache.

The cache is found again as long as the source is unchanged:

    <root>/<name>-<8 hex digits>/meta.json
                                 train/images.npy  train/labels.npy   (val/ and test/ likewise)
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

from cefl.data.building import Progress, build, is_current
from cefl.data.raw import Source
from cefl.data.sources import parse_source


def prepare(
    source: str,
    root: Path,
    *,
    base: Path | None = None,
    test_per_class: int | None = None,
    progress: Progress | None = None,
) -> Path:
    """The cache of a source, built if it is not there or the source has changed since.

    Args:
        source: ``digits``, ``npz:PATH`` or ``folder:PATH``.
        root: Folder of all caches; made if it is not there.
        base: What a relative path in ``source`` is relative to, by default the working directory.
        test_per_class: Test images of each class, for a source without a test split; by default 20%.
        progress: Called with the images done and the images to do, while they are written.

    Returns:
        Absolute path of a folder for ``open_dataset``.

    Raises:
        DataError: If the source cannot be read or ``root`` cannot be written.
    """
    origin = parse_source(source, base)
    target = _target(origin, root, test_per_class)
    fingerprint = origin.fingerprint()
    if not is_current(target, fingerprint):
        build(origin, target, fingerprint, test_per_class, progress)
    return target


def is_prepared(
    source: str,
    root: Path,
    *,
    base: Path | None = None,
    test_per_class: int | None = None,
    progress: Progress | None = None,
) -> Path | None:
    """What ``prepare`` would return if it had nothing to do, else ``None``; takes the same arguments.

    Raises:
        DataError: If there is no such source.
    """
    origin = parse_source(source, base)
    target = _target(origin, root, test_per_class)
    return target if is_current(target, origin.fingerprint()) else None


def _target(source: Source, root: Path, test_per_class: int | None) -> Path:
    slug = re.sub(r"[^a-z0-9]+", "-", source.name.lower()).strip("-")[:40] or "data"
    identity = json.dumps([source.identity, test_per_class]).encode("ascii")
    return Path(root).expanduser().absolute() / f"{slug}-{hashlib.sha256(identity).hexdigest()[:8]}"
