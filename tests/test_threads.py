"""Small networks compute with one thread, large ones with all, and a number that the user chose stays."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

import noisekit as nk
from noisekit.threads import VARIABLES

#: What torch says within a small network's call, within a large one's inside it, and afterwards.
SEEN = """
from noisekit.threads import SMALL, fitting
seen = []
look = lambda *_: seen.append(torch.get_num_threads())
with fitting(SMALL - 1):
    look()
    with fitting(SMALL):
        look()
look()
"""
#: Then in the search of a method on a small model.
SEARCH = """
from noisekit.methods import load_method
from noisekit.models.analytic import AnalyticModel
load_method("cosine(steps=1)")(AnalyticModel(), "a", observe=look)
"""


def seen(before: str = "", after: str = "", **chosen: str) -> list[int]:
    """What torch says in a process of its own, in which nobody has chosen a number but by these."""
    free = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    code = f"import torch\n{before}\n{SEEN}\n{after}\nprint(*seen)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=free | chosen, capture_output=True, text=True, check=True
    )
    return [int(number) for number in done.stdout.split()]


def test_a_small_network_has_one_thread_and_leaves_what_it_found() -> None:
    small, large, after, *search = seen(after=SEARCH)
    assert {small, *search} == {1}
    assert large == after >= (os.cpu_count() or 2) // 2


@pytest.mark.parametrize("variable", VARIABLES)
def test_a_number_in_the_environment_stays(variable: str) -> None:
    cores = str(os.cpu_count())  # the most that libraries take
    assert len(set(seen(**{variable: cores}))) == 1


def test_a_number_that_was_set_stays() -> None:
    three = 3 * (os.cpu_count() or 1)  # what no machine starts by itself
    assert set(seen(f"torch.set_num_threads({three})")) == {three}
    assert set(seen(f"import noisekit.threads; torch.set_num_threads({three})")) == {three}


@pytest.mark.parametrize("method", ["standard", "best_of(n=3)", "reno(steps=1, rewards='hps:1')"])
def test_images_do_not_depend_on_threads(method: str) -> None:
    """The same noises, chosen by the same scores; a sum that threads share is rounded in another order."""
    model, chosen = nk.load_model("tiny-turbo"), nk.load_method(method)
    results = []
    found = torch.get_num_threads()
    for threads in (1, 2):
        torch.set_num_threads(threads)
        results.append(chosen(model, ["a red circle", "two green squares"], seeds=[0, 1]))
    torch.set_num_threads(found)
    one, two = results
    assert torch.equal(one.initial, two.initial)
    torch.testing.assert_close(one.noise, two.noise, atol=1e-3, rtol=0)
    torch.testing.assert_close(one.images, two.images, atol=1e-3, rtol=0)
