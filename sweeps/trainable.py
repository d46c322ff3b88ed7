"""What a Ray worker runs: one trial, its rows sent to the driver as text."""

from __future__ import annotations

import json
import traceback
from pathlib import Path
from typing import Any

ROW, ERROR, RETRY = "row", "error", "retry"


def train(config: dict[str, Any]) -> None:
    """Train what ``config`` describes and report every epoch.

    An error is reported too, as a last result, so that the actor stays warm for the next trial.
    """
    import torch
    from ray import tune

    from cefl.config import TrialConfig
    from cefl.errors import CeflError
    from cefl.trial import run_trial

    torch.set_num_threads(max(1, int(config["threads"])))
    try:
        for row in run_trial(TrialConfig.from_json(config["trial"]), Path(config["folder"])):
            tune.report({ROW: json.dumps(row)})
    except CeflError as error:
        tune.report({ERROR: str(error), RETRY: False})
    except Exception as error:
        tune.report({ERROR: "".join(traceback.format_exception(error)), RETRY: True})
