"""Which Ray a sweep runs on: one of its own on this machine, or a cluster that is there already."""

from __future__ import annotations

import os
import re

from sweeps.errors import InputError

VARIABLE = "RAY_ADDRESS"  # Ray's own, which a job of a cluster has.
TRAVELS = "SWEEPS_TRAVELS"
"""Set where a job goes on with a sweep: the folder that its workers find as their current one."""
LOCAL, AUTO = "local", "auto"
HOST_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):\d{1,5}")


def cluster_address(asked: str | None) -> str | None:
    """Address of the cluster that a sweep shall join, ``None`` for a Ray of its own.

    Args:
        asked: ``HOST:PORT`` of a cluster's head, ``auto``: the one that this machine is part of, ``local``;
            ``None``: what RAY_ADDRESS says, and without it ``local``.

    Raises:
        InputError: If it is no such address.
    """
    place, address = ("--address", asked) if asked else (VARIABLE, os.environ.get(VARIABLE))
    if not address or address == LOCAL:
        return None
    if address == AUTO or HOST_AND_PORT.fullmatch(address):
        return address
    if address.startswith(("http://", "https://")):
        raise InputError(
            f"{place}: {address} is where a cluster takes jobs: sweeps submit SPEC --address {address}"
        )
    if address.startswith("ray://"):
        raise InputError(
            f"{place}: {address} is for Ray's client, through which a driver cannot keep its ledger; run it"
            " on a machine of the cluster with its HOST:PORT, or: sweeps submit SPEC --address"
            " http://HOST:8265"
        )
    raise InputError(f"{place}: '{address}' is none of HOST:PORT, auto, local")
