"""What docker/compose.yaml says of its services, so that tests run just the commands that are shipped.

No Docker engine is needed: variables are filled in as Compose does it, and what a container would give a
process (host names, ports, paths) is replaced by what there is on the loopback.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

DOCKER = Path(__file__).resolve().parents[1] / "docker"
VARIABLE = re.compile(r"\$\$|\$\{(?P<name>\w+):(?:\?|(?P<optional>-))(?P<rest>[^}]*)\}|\$")


@dataclass(frozen=True)
class Service:
    """How one service is started and looked at.

    Attributes:
        command: Entry point and command; that of an image is left out where the file names none.
        health: Command that ends with 0 where the service is well; empty for one that runs once.
        needs: Services that come first, and the condition of each.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    health: tuple[str, ...]
    needs: Mapping[str, str]

    def on(self, host: Mapping[str, str], environment: Mapping[str, str] | None = None) -> Service:
        """The same with parts of words replaced, longest first, and whole values of the environment.

        Raises:
            ValueError: If a part or a name stands nowhere: then the file says something else by now.
        """
        environment = environment or {}
        if unknown := environment.keys() - self.environment.keys():
            raise ValueError(f"{self.name}: {', '.join(sorted(unknown))} is not in its environment")
        words = [*self.command, *self.environment.values(), *self.health]
        if missing := [part for part in host if not any(part in word for word in words)]:
            raise ValueError(f"{self.name}: {', '.join(missing)} stands nowhere in command or environment")
        return replace(
            self,
            command=tuple(_replaced(word, host) for word in self.command),
            environment={name: _replaced(value, host) for name, value in self.environment.items()}
            | dict(environment),
            health=tuple(_replaced(word, host) for word in self.health),
        )


def read_services(variables: Mapping[str, str]) -> dict[str, Service]:
    """All services by name, also those of profiles.

    Raises:
        KeyError: If a variable is missing.
    """
    described = filled_in(yaml.safe_load((DOCKER / "compose.yaml").read_text()), variables)["services"]
    return {
        name: Service(
            name,
            tuple(service.get("entrypoint", [])) + tuple(service.get("command", [])),
            service.get("environment", {}),
            tuple(service.get("healthcheck", {}).get("test", ["CMD"])[1:]),
            {need: said["condition"] for need, said in service.get("depends_on", {}).items()},
        )
        for name, service in described.items()
    }


def filled_in(value: Any, variables: Mapping[str, str]) -> Any:
    """A value with ``${NAME:?message}`` and ``${NAME:-default}`` filled in and ``$$`` made ``$``."""
    if isinstance(value, dict):
        return {name: filled_in(each, variables) for name, each in value.items()}
    if isinstance(value, list):
        return [filled_in(each, variables) for each in value]
    if not isinstance(value, str):
        return value

    def fill(match: re.Match[str]) -> str:
        if match["optional"]:
            return variables.get(match["name"]) or match["rest"]
        return "$" if match["name"] is None else variables[match["name"]]

    return VARIABLE.sub(fill, value)


def in_order(services: Mapping[str, Service], wanted: Iterable[str]) -> list[str]:
    """Names of services and of all that they need, each after what it needs.

    Raises:
        ValueError: If they need each other in a circle.
    """
    order: list[str] = []
    open_: list[str] = []

    def visit(name: str) -> None:
        if name in order:
            return
        if name in open_:
            raise ValueError(f"in a circle: {' -> '.join([*open_[open_.index(name) :], name])}")
        open_.append(name)
        for need in services[name].needs:
            visit(need)
        open_.pop()
        order.append(name)

    for name in wanted:
        visit(name)
    return order


def _replaced(word: str, parts: Mapping[str, str]) -> str:
    if not parts:
        return word
    pattern = "|".join(re.escape(part) for part in sorted(parts, key=len, reverse=True))
    return re.sub(pattern, lambda match: parts[match[0]], word)
