"""Counters count what ran, forward and backward, and the clock can be stopped."""

import time

import pytest
import torch

from noisekit.cost import Meter, counted
from noisekit.errors import BadValue
from noisekit.types import Budget, Cost


def test_forward_and_backward_evaluations_are_counted_per_image():
    x = torch.ones(6, 2, requires_grad=True)
    with Meter(samples=3) as meter:
        y = counted("denoiser", x * 2)
        counted("decoder", y.detach())
        y.sum().backward()
    assert meter.cost.denoiser == 2
    assert meter.cost.denoiser_backward == 2
    assert meter.cost.decoder == 2
    assert meter.cost.decoder_backward == 0
    assert meter.cost.calls == 2 + 2 * 2


def test_nothing_is_counted_outside_or_while_paused():
    counted("denoiser", torch.ones(1))
    with Meter(1) as meter:
        with meter.paused():
            counted("denoiser", torch.ones(1))
            time.sleep(0.05)
        counted("denoiser", torch.ones(1))
    counted("denoiser", torch.ones(1))
    assert meter.cost.denoiser == 1
    assert meter.seconds < 0.05


def test_meters_nest():
    with Meter(1) as outer:
        counted("reward", torch.ones(2))
        with Meter(1) as inner:
            counted("reward", torch.ones(3))
    assert (outer.cost.reward, inner.cost.reward) == (5, 3)


def test_seconds_are_per_image_and_stop_with_the_block():
    with Meter(samples=2) as meter:
        time.sleep(0.02)
    stopped = meter.cost.seconds
    time.sleep(0.02)
    assert meter.cost.seconds == stopped >= 0.01


def test_costs_add_and_scale():
    total = Cost(denoiser=2, seconds=1.0, peak_memory=5) * 3 + Cost(decoder=1, peak_memory=7)
    assert total == Cost(denoiser=6, decoder=1, seconds=3.0, peak_memory=7)


@pytest.mark.parametrize(
    "budget", [{"seconds": 0}, {"calls": -1}, {"candidates": 0}, {"seconds": float("nan")}]
)
def test_a_budget_must_be_positive(budget):
    with pytest.raises(BadValue, match=next(iter(budget))):
        Budget(**budget)
