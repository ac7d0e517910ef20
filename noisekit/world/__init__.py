"""The tiny world: scenes, their captions and pictures, and a checker that knows the truth. No torch here."""

from noisekit.world.check import Reading, Verdict, check, judge, read
from noisekit.world.grammar import KINDS, Scene, near_misses, parse, sample_scene
from noisekit.world.render import draw
from noisekit.world.suite import suite

__all__ = [
    "KINDS",
    "Reading",
    "Scene",
    "Verdict",
    "check",
    "draw",
    "judge",
    "near_misses",
    "parse",
    "read",
    "sample_scene",
    "suite",
]
