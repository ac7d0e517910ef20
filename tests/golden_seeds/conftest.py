"""A metric that needs no network, as the engine's tests have it."""

from tests.engine.conftest import brightness

__all__ = ["brightness"]
