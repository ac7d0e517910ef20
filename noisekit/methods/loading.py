"""`load_method`: a string such as "best_of(reno(steps=5), n=4)" becomes a method."""

from __future__ import annotations

from noisekit import registry
from noisekit.errors import BadValue
from noisekit.methods.base import NoiseMethod
from noisekit.methods.parameters import check_names
from noisekit.methods.wrapper import Wrapper


def load_method(method: str | NoiseMethod, *, weights: str | None = None) -> NoiseMethod:
    """The method that a string describes.

    Args:
        method: an expression such as "cosine(steps=20)" or "best_of(reno(steps=5), n=4)"; a method passes through.
        weights: of the rewards that it, or what it wraps, climbs, where the string names none: "tiny", "published", or the
            path of a folder (None: tiny on bundled models, else published).

    Returns:
        The method, its settings as given; those that were not are resolved when it meets a model.

    Raises:
        BadValue: on unknown names and settings, values out of range, and methods in the brackets of one that wraps none.
    """
    if weights is not None:
        return load_method(method).with_weights(weights)
    if isinstance(method, NoiseMethod):
        return method
    name, given, wrapped = registry.parse(method)
    cls: type[NoiseMethod] = registry.load("method", name, registry.METHODS)
    if cls.name != name:
        raise BadValue(
            f"method {name!r} is a {cls.__name__}, which calls itself {cls.name!r}: the entry point of its package and its "
            "`name` have to be the same, or its results could not be found by name"
        )
    check_names(name, cls, given)
    if issubclass(cls, Wrapper):
        return cls.wrap([load_method(inner) for inner in wrapped], given)
    if wrapped:
        raise BadValue(
            f"method {name!r} wraps no other method, but {wrapped[0]!r} stands in its brackets; give its settings by name"
        )
    return cls(**given)
