#!/bin/bash
# A Slurm of one node in namespaces of its own, then a command. FOLDER holds slurm.conf; see test_slurm.py.
#   unshare --pid --fork --kill-child --mount-proc --net --uts --mount slurm_inside.sh FOLDER COMMAND...
set -euo pipefail
folder=$1
shift
ip link set lo up
ip link add eth0 type veth peer name eth1
ip link set eth1 up
ip addr add 10.9.9.1/24 dev eth0
ip link set eth0 up
hostname node1
printf '127.0.0.1 localhost\n10.9.9.1 node1\n' > "$folder/hosts"
mount --bind "$folder/hosts" /etc/hosts
export SLURM_CONF=$folder/slurm.conf
head -c 1024 /dev/urandom > "$folder/munge.key"
chmod 400 "$folder/munge.key"
munged --key-file="$folder/munge.key" --socket="$folder/munge.sock" --pid-file="$folder/munged.pid" \
    --log-file="$folder/munged.log" --seed-file="$folder/munge.seed" --force
slurmctld
sleep 1
slurmd -N node1
exec "$@"
