"""docker/slurm/sweep.sh on a real Slurm, in namespaces of its own, since it ends every Ray that it sees."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from compose_file import DOCKER

INSIDE = Path(__file__).with_name("slurm_inside.sh")
CONFIGURATION = """
    ClusterName=test
    SlurmctldHost=node1(10.9.9.1)
    SlurmUser=root
    SlurmdUser=root
    AuthType=auth/munge
    AuthInfo=socket={folder}/munge.sock
    ProctrackType=proctrack/linuxproc
    TaskPlugin=task/none
    SelectType=select/cons_tres
    StateSaveLocation={folder}/state
    SlurmdSpoolDir={folder}/spool
    SlurmctldPidFile={folder}/slurmctld.pid
    SlurmdPidFile={folder}/slurmd.pid
    SlurmctldLogFile={folder}/slurmctld.log
    SlurmdLogFile={folder}/slurmd.log
    MpiDefault=none
    NodeName=node1 NodeAddr=10.9.9.1 CPUs=2 RealMemory=4000 State=UNKNOWN
    PartitionName=main Nodes=node1 Default=YES State=UP
"""
SPEC = """
    name: slurm
    data: {source: digits, imbalance: 20}
    validation: {unused: 20}
    depth: 8
    losses: [cross_entropy, cefl]
    recipe: {preset: digits, epochs: 2}
"""
WAIT = 'sbatch --wait --nodes=1 --cpus-per-task=2 --output="$1/job.log" "$2" "$1/spec.yaml"'


@pytest.mark.long
def test_a_batch_job_runs_a_sweep_and_a_second_one_trains_nothing_twice(tmp_path: Path) -> None:
    if missing := [
        name for name in ("slurmctld", "slurmd", "sbatch", "munged") if shutil.which(name) is None
    ]:
        pytest.skip(f"no {', '.join(missing)}: apt-get install slurmctld slurmd slurm-client munge")
    if os.geteuid() != 0:
        pytest.skip("only root may make namespaces of its own")
    for name in ("state", "spool", "home"):
        (tmp_path / name).mkdir()
    (tmp_path / "slurm.conf").write_text(textwrap.dedent(CONFIGURATION).format(folder=tmp_path))
    (tmp_path / "spec.yaml").write_text(textwrap.dedent(SPEC))
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "SWEEPS_HOME": str(tmp_path / "home"),
        "RAY_worker_niceness": "0",
    }
    apart = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--net", "--uts", "--mount"]
    twice = ["bash", "-c", f"{WAIT} && {WAIT}", "bash", str(tmp_path), str(DOCKER / "slurm" / "sweep.sh")]
    ran = subprocess.run(
        [*apart, str(INSIDE), str(tmp_path), *twice], env=environment, capture_output=True, text=True,
        timeout=1500, check=False,
    )  # fmt: skip
    log = (tmp_path / "job.log").read_text()
    assert ran.returncode == 0, ran.stderr + log
    first, second = log.split("Running command on head node")[1:]
    assert "2 trials; sweep slurm is done" in first
    assert "0 trials; sweep slurm is done" in second
    assert not list((tmp_path / "home").glob("ray-token.*"))
