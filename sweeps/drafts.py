"""Optuna's own `ask` without its commits: what is drawn stays a draft until it is known what it is for.

Optuna writes a new trial, each of its parameters and what the sampler notes in a commit each, and only then
can it be given a key. Here the new trial stands in memory, and the ledger writes it whole.
"""

from __future__ import annotations

from typing import Any

from optuna.distributions import BaseDistribution
from optuna.storages import _CachedStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

DRAFT = -1
"""Id of the draft; those of a database are positive."""


class DraftingStorage(_CachedStorage):
    """The ledger's storage for studies that are asked: a trial that `Study.ask` makes is not written.

    All else is read from the database, and written to it. There is one draft at a time.
    """

    draft: FrozenTrial

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        if template_trial is not None:
            return super().create_new_trial(study_id, template_trial)
        self.draft = create_trial(state=TrialState.RUNNING)
        self.draft.number = len(self.get_all_trials(study_id, deepcopy=False))
        self.draft._trial_id = DRAFT
        return DRAFT

    def get_trial(self, trial_id: int) -> FrozenTrial:
        return self.draft if trial_id == DRAFT else super().get_trial(trial_id)

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        if trial_id != DRAFT:
            super().set_trial_param(trial_id, param_name, param_value_internal, distribution)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """What a sampler notes of a draft is not written: other processes see a trial whole or not at all."""
        if trial_id != DRAFT:
            super().set_trial_system_attr(trial_id, key, value)
