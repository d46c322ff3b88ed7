"""What this package raises; every message names place, rule, value and next step, and no credentials.

TrackingError (a RuntimeError)
├── TrackingUnavailable   the server or database does not answer, or not now: trying again may help
├── TrackingRejected      it answered that it will not take this: trying the same again does not help
└── SweepNotFound         nothing under this name is stored there

ComparisonError (a ValueError)   the results do not fit what they shall be compared with
"""


class TrackingError(RuntimeError):
    """Root of the package's errors."""


class TrackingUnavailable(TrackingError):
    """The server or database does not answer, or not now."""


class TrackingRejected(TrackingError):
    """The server or database refuses a value or a request."""


class SweepNotFound(TrackingError):
    """No sweep of this name is stored there."""


class ComparisonError(ValueError):
    """The results do not fit what they shall be compared with."""
