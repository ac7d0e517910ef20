"""Plans and strings that do harm, on purpose or not: one sentence with the line, at once, in bounded memory."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from noisekit.errors import BadValue, NoisekitError
from noisekit.methods import load_method
from noisekit.models import load_model
from noisekit.plan import load_plan

BASE = "models: [tiny]\nmethods: [standard]\n"
KEYS = (
    "limit",
    "batch",
    "noise",
    "seeds",
    "budget",
    "metrics",
    "store",
    "weights",
    "curves",
    "settings",
    "prompts",
)


def bomb(levels: int = 9) -> str:
    """Ten to the power of so many values, in some hundred bytes."""
    parts = [f", &a{i} [{','.join([f'*a{i - 1}'] * 10)}]" for i in range(1, levels + 1)]
    return f"[&a0 [{','.join('x' * 10)}]{''.join(parts)}]"


def hostile() -> Iterator[tuple[str, str, int | None]]:
    """What it is, the plan, and the line that the sentence has to name."""
    for key in KEYS:
        yield f"bomb {key}", f"{BASE}{key}: {bomb()}", 3
        yield f"merge {key}", f"{BASE}{key}: {{<<: {{a: 1}}}}", 3
        yield f"zero {key}", f'{BASE}{key}: "a\\0b"', 3
        yield f"half a pair {key}", f'{BASE}{key}: "\\ud800"', 3
        yield f"deep {key}", f"{BASE}{key}: " + 5000 * "[", 3
        yield f"deep mapping {key}", f"{BASE}{key}: " + 3000 * "{a: ", 3
        yield f"digits {key}", f"{BASE}{key}: " + 5000 * "9", 3
        yield f"digits of a fraction {key}", f"{BASE}{key}: 0." + 5000 * "9", 3
        for number in ("1:30", "010", "1:30.5", "0b11", "-0o17:3"):
            if key not in ("store", "prompts", "weights", "metrics", "noise") or number != "-0o17:3":
                yield f"{number} {key}", f"{BASE}{key}: {number}", 3
        for tag, value in (
            ("!!int", "abc"),
            ("!!int", '""'),
            ("!!bool", "x"),
            ("!!float", "x"),
            ("!!timestamp", "x"),
        ):
            yield f"{tag} {value} {key}", f"{BASE}{key}: {tag} {value}", 3
        yield f"tag {key}", f"{BASE}{key}: !mine [1]", 3
        yield f"python {key}", f"{BASE}{key}: !!python/object/apply:os.getcwd []", 3
        if key not in ("store", "weights", "prompts"):
            yield f"{key} of a wrong type", f"{BASE}{key}: [{{}}, [[]], 1.5, true]", None
            yield f"{key} date", f"{BASE}{key}: 2026-99-99", 3
    for number in ("1e999", "-.inf", ".nan", "1e30", "-1", "0", "true", "1000000000000"):
        for key in ("limit", "batch", "seeds"):
            yield f"{key} {number}", f"{BASE}{key}: {number}", 3
    for calls in ("1e999", ".nan", "-1", "0", "[]", "true"):
        yield f"calls {calls}", f"{BASE}budget: {{calls: {calls}}}", 3
    for seeds in (
        "0-99999999999",
        "'100000000000'",
        "[0, 1, 0]",
        "'0-9,5'",
        "[[0]]",
        "[-1]",
        "[9223372036854775808]",
    ):
        yield f"seeds {seeds}", f"{BASE}seeds: {seeds}", 3
    yield "a list for a key", f"{BASE}? [a, b]\n: 1", 3
    yield "a mapping for a key", f"{BASE}? {{a: b}}\n: 1", 3
    yield "unknown key", f"{BASE}seed: 3", 3
    yield "unknown key within", f"{BASE}prompts:\n  suite: tiny\n  limits: 3", 5
    yield "unknown setting", "models: [tiny]\nmethods:\n- standard\n- reno:\n    step: 3", 4
    yield "texts", f"{BASE}prompts: {{texts: 5}}", 3
    yield "long names", f"models: [{'x' * 100_000}]\nmethods: [{'y' * 100_000}]", 2
    values = ", ".join(map(str, range(1, 400)))
    yield "a grid", f"models: [tiny]\nmethods: [{{reno: {{steps: [{values}], lr: [{values}]}}}}]", 2
    yield (
        "too many images",
        f"models: [tiny]\nmethods: [{{reno: {{steps: [{values}]}}}}]\nseeds: 100000",
        None,
    )
    yield "too large", f"{BASE}# {'x' * 2**20}", None
    yield "two documents", f"{BASE}---\n{BASE}", 3
    yield "nothing", "", None
    yield "a text", "hello", None
    yield "a list", "[1]", None


HOSTILE = {name: (text, line) for name, text, line in hostile()}


def test_hostile_plans_are_one_sentence_with_the_line(tmp_path: Path) -> None:
    file, before = tmp_path / "p.yaml", memory()
    for name, (text, line) in HOSTILE.items():
        file.write_text(text)
        start = time.process_time()
        said = refusal(load_plan, file)
        assert said, name
        assert time.process_time() - start < 5, name
        assert len(said) < 1500 and "\n" not in said, name
        assert line is None or f"line {line}" in said, f"{name}: {said}"
    assert memory() - before < 2**29


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a: \x00", b"\x80abc", b"models: [\xed\xa0\x80]"])
def test_a_plan_that_is_no_text_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_bytes(content)
    assert refusal(load_plan, tmp_path / "p.yaml")
    assert refusal(load_plan, tmp_path)
    assert refusal(load_plan, "a\0b.yaml")


def test_what_people_write_is_read_as_they_mean_it(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(
        f"\ufeff{BASE}seeds: [0, 7, 1_000]\nbudget: {{calls: 1e2}}\nstore: 2026-01-02\nlimit: 0x10\n"
    )
    plan = load_plan(file)
    assert (plan.seeds, plan.budgets[0].calls, len(plan.suites[0])) == ((0, 7, 1000), 100, 16)
    assert plan.store == Path("2026-01-02")


STRINGS = [
    *(
        "best_of(" * 3000 + ")" * 3000,
        "reno(lr=" + "-" * 5000 + "1)",
        "reno(steps=" + "9" * 5000 + ")",
        "x" * 100_000,
    ),
    *(
        "reno(steps={[]: 1})",
        "reno(steps={[1]})",
        "reno(lr=1e999)",
        "reno(lr=-1e999)",
        "reno(steps=1j)",
        'reno(steps=b"x")',
    ),
    *(
        'reno(steps="\ud800")',
        'reno(rewards="\ud800:1")',
        'reno(rewards="hps:1e999")',
        'reno(rewards="hps:nan")',
        "\0",
        " ",
    ),
    *(
        "reno(steps=[1])",
        "reno(steps={})",
        "reno(steps=1e308)",
        "réno",
        "reno(" + "a=1," * 5000 + ")",
        "reno(**{})",
        "(",
    ),
    *(
        "reno(steps=10000000)",
        "best_of(n=10000000)",
        "selection(candidates=10000000)",
        "cosine(steps=1000000000)",
    ),
]


@pytest.mark.parametrize("text", STRINGS, ids=map(str, range(len(STRINGS))))
def test_hostile_strings_of_methods_are_one_sentence(text: str) -> None:
    said = refusal(load_method, text)
    assert said and len(said) < 1500


SETTINGS: list[dict[str, Any]] = [
    *(
        {"size": 10**7},
        {"size": (10**7, 64)},
        {"size": []},
        {"size": -8},
        {"steps": 10**9},
        {"steps": [1, 2]},
    ),
    *({"guidance": float("inf")}, {"guidance": 1e300}, {"timesteps": [10**7]}, {"timesteps": ["x"]}),
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_hostile_settings_of_models_are_one_sentence(settings: dict[str, Any]) -> None:
    said = refusal(load_model, "tiny", **settings)
    assert said and len(said) < 1500


@pytest.mark.parametrize(
    "name",
    ["x" * 10**6, "a\0b", "\ud800", "(" * 5000, "tiny(" * 2000, "", "tiny(steps={[]: 1})"],
    ids=map(str, range(9)),
)
def test_hostile_names_of_models_are_one_sentence(name: str) -> None:
    said = refusal(load_model, name)
    assert said and len(said) < 1500


@pytest.mark.parametrize(
    "seeds",
    [range(10**11), 10**11, 10**5000, [2**63], [0, 0], [10**5000], "9" * 5000],
    ids=map(str, range(9)),
)
def test_seeds_of_a_caller_are_checked_alike(seeds: Any) -> None:
    with pytest.raises(BadValue, match="seed"):
        load_plan({"models": "tiny", "methods": "standard", "seeds": seeds})


def refusal(call: Any, *given: Any, **settings: Any) -> str:
    """The sentence with which a call refuses; nothing where it does not. Any other exception is a fault."""
    try:
        call(*given, **settings)
    except NoisekitError as error:
        return str(error)
    return ""


def memory() -> int:
    """The most bytes that this process ever had."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
