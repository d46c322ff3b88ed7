"""What this machine has for trials, before anything is started: what can never be met is refused first."""

from __future__ import annotations

import os

from sweeps.errors import EnvironmentProblem
from sweeps.executors.fitting import ACCELERATOR, Amounts, asked_of, fit, told
from sweeps.memory import machine_memory
from sweeps.spec import LoadedSpec
from sweeps.spec.model import Resources


def check_machine(loaded: LoadedSpec, executor: str) -> None:
    """Refuse trials that ask for more than this machine has for that executor.

    Raises:
        EnvironmentProblem: With what a trial asks for, and what there is.
    """
    resources = loaded.spec.resources
    there = of_this_process(resources) if executor == "inline" else as_ray_counts()
    asked = asked_of(resources, [there])
    if not fit(asked, there):
        raise EnvironmentProblem(
            f"{loaded.file}: resources: a trial asks for {told(asked)}, but this machine has {told(there)};"
            " ask for less, or run it on a cluster that has it (--address)"
        )


def of_this_process(resources: Resources) -> Amounts:
    """What a trial in this very process can have, by Ray's names; of custom resources it has none."""
    import torch

    types = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    there = {
        "CPU": float(os.cpu_count() or 1),
        "GPU": float(len(types)),
        "memory": float(machine_memory()[0]),
    }
    wanted = resources.accelerator
    if wanted and any(f"-{wanted}-" in f"-{name.replace(' ', '-')}-" for name in types):
        there[ACCELERATOR + wanted] = 1.0
    return there


def as_ray_counts() -> Amounts:
    """What a Ray that is started here would have, as it counts it itself; none is started."""
    from sweeps.executors.ray_tune import quiet_output  # First: it sets what Ray reads when it is imported.

    from ray._private.resource_and_label_spec import ResourceAndLabelSpec  # isort: skip

    with quiet_output():
        counted = ResourceAndLabelSpec().resolve(is_head=True, node_ip_address="127.0.0.1")
    amounts = counted.to_resource_dict()  # type: ignore[no-untyped-call]
    return {name: float(amount) for name, amount in amounts.items() if not name.startswith("node:")}
