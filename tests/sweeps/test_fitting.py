"""What fits on a cluster: counted node by node, with what an autoscaler may add."""

from __future__ import annotations

import pytest

from sweeps.errors import EnvironmentProblem
from sweeps.executors.fitting import Group, asked_of, check_fits, fit, slots, unknown
from sweeps.spec.model import Resources

GIB = 2.0**30
BOX = {"CPU": 8.0, "GPU": 2.0, "memory": 32 * GIB, "accelerator_type:A100": 1.0, "node:10.0.0.1": 1.0}
SMALL = {"CPU": 2.0, "memory": 4 * GIB}


def test_a_trial_never_spans_two_nodes() -> None:
    asked = asked_of(Resources(cpus=3, gpus=0), [SMALL, SMALL])
    assert slots(asked, [SMALL, SMALL]) == 0, "though there are 4 CPUs in all"
    with pytest.raises(
        EnvironmentProblem, match=r"asks for CPU 3 on one node.*2 x \(CPU 2, memory 4.0 GiB\)"
    ):
        check_fits(asked, [SMALL, SMALL])


@pytest.mark.parametrize(
    ("resources", "count"),
    [
        (Resources(), 2),  # A GPU each, where there are any.
        (Resources(gpus=0), 12),  # Eight processors here, twice two there.
        (Resources(gpus=0.25), 8),
        (Resources(gpus=0.1), 8),  # Processors end before the fractions do.
        (Resources(gpus=0, memory="8GiB"), 4),
        (Resources(accelerator="A100"), 2),
        (Resources(gpus=0, accelerator="A100"), 8),
        (Resources(gpus=0, custom={"licence": 1}), 0),
    ],
)
def test_every_resource_counts(resources: Resources, count: int) -> None:
    nodes = [BOX, SMALL, SMALL]
    assert slots(asked_of(resources, nodes), nodes) == count


def test_ten_tenths_of_a_gpu_are_one() -> None:
    assert fit(asked_of(Resources(cpus=0.1, gpus=0.1), [BOX]), {"CPU": 8.0, "GPU": 1.0}) == 10


@pytest.mark.parametrize(
    ("gpus", "there", "count"), [(0.6, 2, 2), (0.6, 4, 4), (0.4, 4, 8), (0.5, 3, 6), (0.25, 2, 8), (2, 5, 2)]
)
def test_a_fraction_of_a_gpu_lies_on_one_gpu(gpus: float, there: int, count: int) -> None:
    assert fit({"CPU": 1.0, "GPU": gpus}, {"CPU": 64.0, "GPU": float(there)}) == count


@pytest.mark.parametrize("gpus", [0.25, 0.6, 1, 2])
def test_a_fraction_is_waited_for_where_an_autoscaler_does_not_say_what_it_may_start(gpus: float) -> None:
    asked = asked_of(Resources(gpus=gpus), [SMALL])
    groups = [unknown(asked, [SMALL])]
    check_fits(asked, [SMALL], groups)
    assert slots(asked, [SMALL], groups) == groups[0].most


def test_a_node_that_may_come_counts_and_is_waited_for() -> None:
    groups = [Group(BOX, 3)]
    asked = asked_of(Resources(gpus=1), [SMALL], groups)
    check_fits(asked, [SMALL], groups)
    assert slots(asked, [SMALL], groups) == 6, "so that enough wait for the autoscaler to start all"
    assert slots(asked, [SMALL, BOX, BOX, BOX], groups) == 6
    assert slots(asked, [BOX], [Group(BOX, None)]) > 100
    with pytest.raises(EnvironmentProblem, match="up to 3 more x"):
        check_fits(asked_of(Resources(gpus=4), [SMALL], groups), [SMALL], groups)


def test_gpus_are_asked_for_where_only_a_node_that_may_come_has_them() -> None:
    assert asked_of(Resources(), [SMALL], [Group(BOX, 1)]) == {"CPU": 1.0, "GPU": 1.0}
    assert asked_of(Resources(), [SMALL]) == {"CPU": 1.0}


def test_where_an_autoscaler_does_not_say_what_it_may_start_more_waits_as_more_comes() -> None:
    asked = asked_of(Resources(cpus=2, gpus=0), [])
    assert [slots(asked, [SMALL] * count, [unknown(asked, [SMALL] * count)]) for count in (0, 1, 5)] == [
        4,
        6,
        14,
    ]
