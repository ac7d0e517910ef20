"""What a paper's table needs and this machine lacks: models, prompts, rewards, scorers, networks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from noisekit import registry
from noisekit.metrics.weights import absent as absent_parts
from noisekit.models.cards import cards as model_cards
from noisekit.models.places import presence
from noisekit.papers.tables import Table
from noisekit.paths import given_path
from noisekit.prompts import BUNDLED
from noisekit.prompts.cards import cards as suite_cards
from noisekit.prompts.download import held
from noisekit.rewards.published import absent


def missing(table: Table) -> dict[str, list[str]]:
    """By kind ("models", "prompts", "rewards", "scorers", "networks") what is not on this machine, each once.

    Args:
        table: whose plan would be run as it is printed. A reward that a model's card brings is not looked for.
    """
    models = dict.fromkeys(model.name for model in table.models)
    suites = dict.fromkeys(name.partition(":")[0] for name in table.suites)
    judges = [*table.plan["metrics"], *_climbed(table.plan["methods"])]
    parts = absent_parts(judges)
    rewards = absent([*judges, *(part.reward for part in parts if part.reward)])
    networks = [name for name in _networks(table.plan["methods"]) if not given_path(name).exists()]
    found = {
        "models": [name for name in models if presence(model_cards()[name]) != "here"],
        "prompts": [name for name in suites if not _here(name)],
        "rewards": rewards,
        "scorers": [part.repo or part.name for part in parts if not part.reward],
        "networks": list(dict.fromkeys(networks)),
    }
    return {kind: names for kind, names in found.items() if names}


def _here(suite: str) -> bool:
    if suite in BUNDLED:
        return True
    if suite not in suite_cards():
        return given_path(suite).is_dir()
    card = suite_cards()[suite]
    return all(held(card, file) is not None for file in card.files.values())


def _settings(methods: list[Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every method that a plan names, and those that they wrap, with the settings that stand there."""
    for given in methods:
        if isinstance(given, str):
            name, settings, wrapped = registry.parse(given)
            yield name, settings
            yield from _settings(list(wrapped))
        else:
            yield from given.items()


def _networks(methods: list[Any]) -> list[str]:
    given = [settings["artefact"] for _, settings in _settings(methods) if "artefact" in settings]
    return [name for one in given for name in (one if isinstance(one, list) else [one])]


def _climbed(methods: list[Any]) -> list[str]:
    from noisekit.rewards.expression import parse_coefficients

    named = []
    for name, settings in _settings(methods):
        paper = "hps + image_reward + clip_score_h14 + pick_score" if name == "reno" else ""
        said = settings.get("rewards", paper)
        named += [text for text in (said if isinstance(said, list) else [said]) if text]
    return list(dict.fromkeys(name for text in named for name in parse_coefficients(text)))
