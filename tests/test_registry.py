"""Strings to methods and back."""

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noisekit import registry
from noisekit.errors import BadValue
from noisekit.methods import load_method
from noisekit.methods.parameters import settings

METHODS = [
    "standard",
    "selection(candidates=8, pick='unstable')",
    "cosine(steps=3, update='fixed_point', guidance=1.0)",
    "reno(steps=5, lr=0.7, rewards='clip_score:1 + aesthetic:0.3', weights='tiny')",
    "best_of(n=4, weights='tiny')",
    "best_of(reno(steps=5), n=4)",
    "then(selection(candidates=3), best_of(then(standard, zero_order(stay=True)), n=2), cosine)",
]


@pytest.mark.parametrize("text", METHODS)
def test_a_method_prints_as_a_string_that_gives_it_back(text):
    method = load_method(text)
    assert load_method(str(method)) == method
    assert load_method(method) is method


NAMES = st.sampled_from(["steps", "lr", "rewards", "x_1"])
VALUES = st.one_of(
    st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(), st.booleans(), st.none()
)


@given(st.dictionaries(NAMES, VALUES))
def test_parse_undoes_render(values):
    assert registry.parse(registry.render("name", values)) == ("name", values, ())


WRAPPED = st.recursive(
    st.builds(registry.render, st.sampled_from(["a", "b"]), st.dictionaries(NAMES, VALUES)),
    lambda inner: st.builds(registry.render, st.just("c"), st.dictionaries(NAMES, VALUES), st.lists(inner)),
    max_leaves=6,
)


@hypothesis.settings(max_examples=40)  # each is a tree of up to a hundred settings
@given(st.dictionaries(NAMES, VALUES), st.lists(WRAPPED, max_size=4))
def test_parse_undoes_render_of_methods_around_methods(values, inner):
    assert registry.parse(registry.render("name", values, inner)) == ("name", values, tuple(inner))


def test_lists_of_methods_split_outside_brackets_and_quotes():
    text = "standard, reno(rewards='a:1, b:2', steps=3),cosine(steps=2)"
    assert registry.split(text) == ["standard", "reno(rewards='a:1, b:2', steps=3)", "cosine(steps=2)"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("cosin", "did you mean 'cosine'"),
        ("cosine(stepz=3)", "did you mean 'steps'"),
        ("cosine(steps='many')", "steps='many'.*a whole number"),
        ("cosine(steps=2.5)", "steps=2.5.*a whole number"),
        ("cosine(steps=True)", "steps=True.*a whole number"),
        ("cosine(steps=0)", "steps=0.*at least 1"),
        ("cosine(momentum=1.5)", "momentum=1.5.*between 0 and 1"),
        ("cosine(update='jump')", "update='jump'.*'fixed_point'"),
        ("selection(pick=3)", "pick=3.*'stable'"),
        ("cosine(3)", "does not read"),
        ("best_of('reno', n=2)", "does not read"),
        ("then(cosine.update)", "does not read"),
        ("then(*standard)", "does not read"),
        ("cosine(**{'steps': 2})", "does not read"),
        ("cosine(steps=2, steps=3)", "does not read"),
        ("then(" * 300 + ")" * 300, "does not read"),
        ("cosine(steps=", "does not read"),
        ("cosine(steps=__import__('os'))", "does not read"),
        ("", "does not read"),
        ("reno(rewards='beauty:1')", "beauty"),
    ],
)
def test_bad_strings_get_one_sentence_that_names_the_value(text, says):
    with pytest.raises(BadValue, match=says) as caught:
        load_method(text)
    assert "\n" not in str(caught.value)


def test_every_setting_of_every_method_is_documented():
    for name in registry.METHODS:
        cls = registry.load("method", name, registry.METHODS)
        assert cls.name == name
        assert all(f.metadata["doc"] for f in settings(cls).values())
