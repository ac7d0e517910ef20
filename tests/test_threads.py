"""Small networks compute with one thread, large ones with all, and a number that the user chose stays."""

from __future__ import annotations

import json
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


#: Three times what no machine starts by itself, and the most that libraries take.
THREE, MOST = 3 * (os.cpu_count() or 1), str(os.cpu_count())

#: What is chosen in the environment, what runs before and what after, by name.
CASES: dict[str, tuple[dict[str, str], str, str]] = {
    "nothing": ({}, "", SEARCH),
    **{name: ({name: MOST}, "", "") for name in VARIABLES},
    "set before": ({}, f"torch.set_num_threads({THREE})", ""),
    "set after": ({}, f"import noisekit.threads; torch.set_num_threads({THREE})", ""),
}

#: Each case in a process of its own, forked where torch is imported, as that takes seconds.
PROGRAM = """
import json, os, sys
import torch
for name, (chosen, before, after) in json.loads(sys.argv[1]).items():
    if child := os.fork():
        assert os.waitpid(child, 0)[1] == 0, name
        continue
    try:
        os.environ.update(chosen)
        told = {"torch": torch}
        exec(f"{before}\\n{sys.argv[2]}\\n{after}", told)
        print(json.dumps([name, told["seen"]]), flush=True)
        os._exit(0)
    finally:
        os._exit(1)
"""


@pytest.fixture(scope="module")
def seen() -> dict[str, list[int]]:
    """What torch says where nobody has chosen a number but as the case has it."""
    free = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    command = [sys.executable, "-c", PROGRAM, json.dumps(CASES), SEEN]
    done = subprocess.run(command, env=free, capture_output=True, text=True, check=True)
    return dict(json.loads(line) for line in done.stdout.splitlines())


def test_a_small_network_has_one_thread_and_leaves_what_it_found(seen: dict[str, list[int]]) -> None:
    small, large, after, *search = seen["nothing"]
    assert search
    assert {small, *search} == {1}
    assert large == after >= (os.cpu_count() or 2) // 2


@pytest.mark.parametrize("variable", VARIABLES)
def test_a_number_in_the_environment_stays(seen: dict[str, list[int]], variable: str) -> None:
    assert len(set(seen[variable])) == 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_number_that_was_set_stays(seen: dict[str, list[int]], when: str) -> None:
    assert set(seen[f"set {when}"]) == {THREE}


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
