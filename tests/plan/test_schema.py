"""The schema of plan files agrees with what reads them: on what is right, and on what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from noisekit.models.loading import MODEL_SETTINGS
from noisekit.plan import Plan
from noisekit.plan.schema import SETTINGS, plan_schema
from noisekit.registry import METHODS
from tests.plan.test_plan import BAD, WHOLE

PLANS = sorted((Path(__file__).parents[2] / "benchmarks").rglob("plans/**/*.yaml"))
SCHEMA = plan_schema()
VALIDATOR = Draft202012Validator(SCHEMA)

#: Broken plans whose fault only what loads names can see: expressions, files, what stands twice.
BEYOND_A_SCHEMA = {
    *(
        "unknown method",
        "unknown setting",
        "wrong type of a setting",
        "setting out of range",
        "setting twice",
    ),
    *("method twice", "model twice", "missing suite", "missing file", "unknown category", "suite twice"),
    *("unknown weights", "seeds backwards", "seeds of nothing", "search over an unknown setting"),
    *(
        "search the wrong way round",
        "search out of range",
        "search in halves of steps",
        "search of several models",
    ),
}
#: Those that are no values of YAML as the schema's validator is given them.
NO_VALUES = {"key twice", "key twice further down", "not YAML", "code"}


def errors(plan: Any) -> list[str]:
    return [error.message for error in VALIDATOR.iter_errors(plan)]


@pytest.mark.slow
def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_every_key_of_a_plan_is_in_it_and_every_key_says_what_it_is() -> None:
    assert list(SCHEMA["properties"]) == Plan.key_names()
    for key, about in SCHEMA["properties"].items():
        assert about["description"].endswith("."), key
    assert set(SETTINGS) == set(MODEL_SETTINGS)
    assert set(METHODS) <= set(SCHEMA["properties"]["methods"]["anyOf"][0]["anyOf"][0]["anyOf"][0]["enum"])


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_every_plan_that_we_ship_is_right(path: Path) -> None:
    assert errors(yaml.safe_load(path.read_text(encoding="utf-8"))) == []


def test_whatever_a_plan_may_say_is_right() -> None:
    assert errors(yaml.safe_load(WHOLE.replace("5e-1", "0.5"))) == []
    for said in ({"seeds": 4}, {"seeds": "0-9,20"}, {"weights": None}, {"prompts": {"texts": ["one"]}}):
        wrong = errors({"models": "tiny", "methods": "cosine"} | said)
        assert bool(wrong) == (None in said.values()), said


@pytest.mark.parametrize("name", sorted(BAD.keys() - NO_VALUES - BEYOND_A_SCHEMA))
def test_what_is_refused_for_its_form_is_wrong(name: str) -> None:
    assert errors(yaml.safe_load(BAD[name][0]))
