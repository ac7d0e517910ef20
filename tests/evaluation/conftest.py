"""The toy rewards of the experiment's tests."""

from tests.experiment.conftest import brightness

__all__ = ["brightness"]
