"""Early stopping by the study's own pruner. It compares what stands in the database, and nothing else.

Optuna's successive halving has three faults that would end good trials: with ``bootstrap_count`` it stops the
first trials of a rung instead of sparing them, it stops at NaN what must be told as failed, and it notes a
late value in every rung that it passes. Here a rung is an epoch, its values are those reported for just that
epoch, and the question can be asked again, by another process too.
"""

from __future__ import annotations

import math

from optuna.pruners import BasePruner, HyperbandPruner, NopPruner, SuccessiveHalvingPruner
from optuna.pruners._successive_halving import _is_trial_promotable_to_next_rung
from optuna.study import Study
from optuna.trial import FrozenTrial

from sweeps.rungs import COMPARED, Rungs


class RungPruner(SuccessiveHalvingPruner):
    """Successive halving, asynchronous, at given epochs.

    A trial is stopped where it is not among the best ``1 / reduction`` of the values that stand at a rung so
    far, its own included; as long as there are fewer than `COMPARED` of them, none is.

    References:
        Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020.
    """

    def __init__(self, epochs: tuple[int, ...], reduction: int) -> None:
        super().__init__(min_resource=epochs[0], reduction_factor=reduction)
        self.epochs, self.reduction = epochs, reduction

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether the trial must stop at the epoch that it reported last."""
        epoch = trial.last_step
        if epoch not in self.epochs or not math.isfinite(trial.intermediate_values[epoch]):
            return False
        value = trial.intermediate_values[epoch]
        others = [
            other.intermediate_values[epoch]
            for other in study.get_trials(deepcopy=False)
            if other.number != trial.number and epoch in other.intermediate_values
        ]
        competing = [each for each in (*others, value) if math.isfinite(each)]
        return len(competing) >= COMPARED and not _is_trial_promotable_to_next_rung(
            value, competing, self.reduction, study.direction
        )


class RungHyperband(HyperbandPruner):
    """Hyperband: trials are dealt to brackets, which begin at a later rung each; a bracket is compared alone.

    References:
        Li et al., "Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization", JMLR 2018.
    """

    def __init__(self, rungs: Rungs) -> None:
        super().__init__(
            min_resource=rungs.epochs[0], max_resource=rungs.last, reduction_factor=rungs.reduction
        )
        self.rungs = rungs.epochs
        self._try_initialization(None)  # type: ignore[arg-type]  # Now: a sampler asks before the pruner does.
        self._pruners = [  # A last bracket may train whole, without any rung.
            RungPruner(rungs.epochs[bracket:] or (rungs.last,), rungs.reduction)
            for bracket in range(len(self._pruners))
        ]


def pruner_of(rungs: Rungs) -> BasePruner:
    """The pruner that a study with these rungs has."""
    if not rungs.epochs:
        return NopPruner()
    return RungHyperband(rungs) if rungs.pruner == "hyperband" else RungPruner(rungs.epochs, rungs.reduction)
