"""The one error that evaluation raises to its caller."""


class EvaluateError(ValueError):
    """A score that cannot be made: what is missing or does not fit, and what to do about it."""
