"""Where a process and all that it started listen."""

from __future__ import annotations

import contextlib
import ipaddress

import psutil


def listening(process: int) -> dict[str, list[str]]:
    """Addresses, IPv4 also where it is mapped into IPv6, with the names of the processes there."""
    found: dict[str, list[str]] = {}
    for each in (psutil.Process(process), *psutil.Process(process).children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            for connection in each.net_connections("inet"):
                if connection.status == psutil.CONN_LISTEN:
                    address = ipaddress.ip_address(connection.laddr.ip)
                    mapped = getattr(address, "ipv4_mapped", None)
                    found.setdefault(str(mapped or address), []).append(each.name())
    return found
