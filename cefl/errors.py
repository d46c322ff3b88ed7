"""What this package raises on bad input; every message names place, value, rule and next step.

CeflError (a ValueError)
├── DataError           a source or its cache cannot be used
│   ├── ImbalanceError  a class would be left without images
│   └── SplitError      a validation rule does not fit the data
├── ModelError          a model that cannot be built as asked
└── CheckpointError     a checkpoint that is damaged or of another trial
"""


class CeflError(ValueError):
    """Root of the package's errors."""


class DataError(CeflError):
    """A data source or its cache cannot be used."""


class ImbalanceError(DataError):
    """The imbalance leaves a class without images."""


class SplitError(DataError):
    """The validation rule does not fit the data."""


class ModelError(CeflError):
    """A model cannot be built as asked."""


class CheckpointError(CeflError):
    """A checkpoint is damaged, or belongs to another trial."""
