"""With a job travel the specification, small data and code of one's own, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeps.cluster import packing
from sweeps.cluster.packing import pack
from sweeps.errors import InputError, SpecError
from sweeps.spec import load_spec


def travelled(spec: Path | str, folder: Path) -> set[str]:
    folder.mkdir()
    assert pack(load_spec(str(spec)), folder) in {path.name for path in folder.iterdir()}
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_specification_travels_with_the_data_beside_it(small_spec: Path, tmp_path: Path) -> None:
    (tmp_path / "private.txt").write_text("not asked for")
    assert travelled(small_spec, tmp_path / "job") == {"small.yaml", "stripes.npz"}
    assert (tmp_path / "job" / "small.yaml").read_text() == small_spec.read_text()
    assert (tmp_path / "job" / "stripes.npz").read_bytes() == (tmp_path / "stripes.npz").read_bytes()


def test_a_shipped_specification_travels_alone(tmp_path: Path) -> None:
    assert travelled("quickstart", tmp_path / "job") == {"quickstart.yaml"}


def test_an_absolute_path_is_one_of_the_cluster(small_spec: Path, tmp_path: Path) -> None:
    for source in ("npz:/cluster/stripes.npz", "folder:/cluster/photos"):
        small_spec.write_text(small_spec.read_text().replace("npz:stripes.npz", source))
        assert travelled(small_spec, tmp_path / source.partition(":")[0]) == {"small.yaml"}
        small_spec.write_text(small_spec.read_text().replace(source, "npz:stripes.npz"))


def test_code_of_ones_own_travels_with_its_package_and_folders(small_spec: Path, tmp_path: Path) -> None:
    for name in ("mine.py", "other.py", "pack/__init__.py", "pack/losses.py", "pack/parts.py", "lib/a.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("def tempered(logits, targets): return logits.mean()\n")
    own = "losses:\n  - 'mine:tempered'\n  - 'pack.losses:tempered'"
    small_spec.write_text(small_spec.read_text().replace("losses:", own) + "code: [lib, /cluster/code]\n")
    assert travelled(small_spec, tmp_path / "job") == {
        "small.yaml", "stripes.npz", "mine.py", "pack/__init__.py", "pack/losses.py", "pack/parts.py",
        "lib/a.py",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("npz:../stripes.npz", "is not below the folder of this file"),
        ("npz:missing.npz", "there is no file"),
        ("folder:photos", "a folder of images does not travel"),
    ],
)
def test_what_cannot_travel_is_refused_with_its_line(
    source: str, told: str, small_spec: Path, tmp_path: Path
) -> None:
    small_spec.write_text(small_spec.read_text().replace("npz:stripes.npz", source))
    with pytest.raises(SpecError, match=told) as refused:
        travelled(small_spec, tmp_path / "job")
    assert f"{small_spec}:3: data[0].source" in str(refused.value)


def test_a_link_does_not_lead_out(small_spec: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    secret = tmp_path_factory.mktemp("elsewhere") / "secret"
    secret.write_text("secret")
    (small_spec.parent / "stripes.npz").unlink()
    (small_spec.parent / "stripes.npz").symlink_to(secret)
    with pytest.raises(SpecError, match="is not below the folder of this file"):
        travelled(small_spec, small_spec.parent / "job")


def test_too_much_is_refused_with_the_way_out(
    small_spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "MOST_BYTES", 100)
    with pytest.raises(InputError, match=r"stripes\.npz where the cluster reaches it"):
        travelled(small_spec, tmp_path / "job")
