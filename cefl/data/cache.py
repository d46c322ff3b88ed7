"""From a source to its cache.

The cache is found again as long as the source is unchanged, or gone:

    <root>/<name>-<8 hex digits>/meta.json
                                 train/images.npy  train/labels.npy   (val/ and test/ likewise)
                                 left-out.json                        (images left out as unreadable)
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

from cefl.data.building import build, is_current
from cefl.data.raw import Progress, Source
from cefl.data.sources import parse_source


def prepare(
    source: str,
    root: Path,
    *,
    base: Path | None = None,
    test_per_class: int | None = None,
    skip_corrupt: bool = False,
    progress: Progress | None = None,
) -> Path:
    """The cache of a source, built if it is not there or the source has changed since.

    Args:
        source: See ``parse_source``.
        root: Folder of all caches; made if it is not there.
        base: What a relative path in ``source`` is relative to, by default the working directory.
        test_per_class: Test images of each class, for a source without a test split; by default what the
            source prescribes, else 20%.
        skip_corrupt: Leave out images that cannot be read, and note how many of each class; the result is the
            same as if these files were not there.
        progress: Called with the images done and the images to do, while they are written.

    Returns:
        Absolute path of a folder for ``open_dataset``.

    Raises:
        MissingData: If a published set is not there and cannot be fetched.
        UnreadableImages: With every image that cannot be read.
        DataError: If the source cannot be read or ``root`` cannot be written.
    """
    root = Path(root).expanduser().absolute()
    origin = parse_source(source, base, root)
    target = _target(origin, root, test_per_class, skip_corrupt)
    if not origin.is_there() and is_current(target, None):
        return target
    fingerprint = origin.fingerprint()
    if not is_current(target, fingerprint):
        build(origin, target, fingerprint, test_per_class, skip_corrupt, progress)
    return target


def is_prepared(
    source: str,
    root: Path,
    *,
    base: Path | None = None,
    test_per_class: int | None = None,
    skip_corrupt: bool = False,
    progress: Progress | None = None,
) -> Path | None:
    """What ``prepare`` would return if it had nothing to do, else ``None``; takes the same arguments.

    Raises:
        DataError: If there is no such source.
    """
    root = Path(root).expanduser().absolute()
    origin = parse_source(source, base, root)
    target = _target(origin, root, test_per_class, skip_corrupt)
    if not origin.is_there():
        return target if is_current(target, None) else None
    return target if is_current(target, origin.fingerprint()) else None


def _target(source: Source, root: Path, test_per_class: int | None, skip_corrupt: bool) -> Path:
    slug = re.sub(r"[^a-z0-9]+", "-", source.name.lower()).strip("-")[:40] or "data"
    decisive = [source.identity, test_per_class, *(["skip_corrupt"] if skip_corrupt else [])]
    identity = hashlib.sha256(json.dumps(decisive).encode("ascii")).hexdigest()
    return root / f"{slug}-{identity[:8]}"
