"""The toy rewards of the engine's tests."""

from tests.engine.conftest import brightness

__all__ = ["brightness"]
