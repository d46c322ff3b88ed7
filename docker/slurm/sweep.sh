#!/bin/bash
# A sweep on the nodes of one Slurm job, each with Ray for as long as the job runs:
#
#   SWEEPS_HOME=/shared/sweeps sbatch --nodes=4 --cpus-per-task=16 --gpus-per-node=4 sweep.sh /shared/specs/mine.yaml
#
# Two minutes before its time is up it ends the sweep in order and queues itself again; the next run goes on from the
# ledger. Nodes are taken whole, since `ray symmetric-run` ends with `ray stop`, which ends every Ray of its user there.
#SBATCH --job-name=sweep
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --exclusive
#SBATCH --time=12:00:00
#SBATCH --signal=B:TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail

spec=${1:?usage: sbatch sweep.sh SPEC}
export SWEEPS_HOME=${SWEEPS_HOME:?a folder that all nodes see}
name=$(python -c 'import sys; from sweeps.spec import load_spec; print(load_spec(sys.argv[1]).spec.name)' "$spec")

# An address, not a name: on many systems a node calls itself 127.0.1.1, which no other node can reach.
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
address=$(srun --nodes=1 --ntasks=1 --nodelist="$head" hostname -I | awk '{print $1}'):$((20000 + SLURM_JOB_ID % 20000))

# One token for the nodes of this job alone.
token=$(mktemp "$SWEEPS_HOME/ray-token.XXXXXX")
trap 'rm -f "$token"' EXIT
python -c 'import secrets; print(secrets.token_hex(32), end="")' > "$token"
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=$token
export RAY_USAGE_STATS_ENABLED=0 RAY_memory_monitor_refresh_ms=0 RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT=300

stopped=
# The trap calls it.
# shellcheck disable=SC2329
stop() {
    stopped=yes
    echo "time is nearly up: ending $name in order"
    sweeps stop "$name" || true
}
trap stop TERM

srun --nodes="$SLURM_JOB_NUM_NODES" --ntasks="$SLURM_JOB_NUM_NODES" --ntasks-per-node=1 \
    --cpus-per-task="$SLURM_CPUS_PER_TASK" ray symmetric-run --address "$address" --min-nodes "$SLURM_JOB_NUM_NODES" \
    --num-cpus "$SLURM_CPUS_PER_TASK" --disable-usage-stats \
    -- sweeps run "$spec" --address "$address" &
step=$!
code=0
wait "$step" || code=$?
if [ -n "$stopped" ]; then   # The trap interrupted the wait.
    code=0
    wait "$step" || code=$?
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
