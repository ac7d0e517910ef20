"""Calibration: a model and a reward whose evaluations take a known time are measured at that time."""

from __future__ import annotations

import pytest

from noisekit import registry
from noisekit.comparison import compare
from noisekit.errors import BadValue
from noisekit.models.analytic import AnalyticModel
from noisekit.results.calibration import Calibration, calibrations
from noisekit.results.measuring import calibrate, measured_scale
from noisekit.results.pick import pick
from noisekit.store.manifest import hardware
from tests.engine.toys import PROMPTS, Brightness

#: Seconds of one evaluation of a sample.
DENOISER, BACKWARD, DECODER, ENCODE, REWARD = 0.006, 0.012, 0.004, 0.008, 0.01
RENO = "reno(steps=3, rewards='brightness', weights='tiny')"
BEST_OF = "best_of(n=3, rewards='brightness', weights='tiny')"


class Clock:
    """A clock that only networks move: nothing depends on the machine."""

    now = 0.0

    def perf_counter(self):
        return self.now

    def spend(self, seconds):
        self.now += seconds


CLOCK = Clock()


@pytest.fixture(autouse=True)
def _clock(monkeypatch):
    monkeypatch.setattr("noisekit.cost.time", CLOCK)
    monkeypatch.setattr("noisekit.results.measuring.time", CLOCK)


class Slow(AnalyticModel):
    """The analytic model, taking its time, `times` as long on another machine; it keeps what it has encoded."""

    def __init__(self, times=1.0):
        super().__init__(size=16, steps=1, batch=4)
        self.times, self.known = times, set()

    def encode(self, prompts):
        CLOCK.spend(ENCODE * len(set(prompts) - self.known))
        self.known |= set(prompts)
        return super().encode(prompts)

    def predict(self, x, t, conditioning, guidance):
        u = super().predict(x, t, conditioning, guidance)
        CLOCK.spend(DENOISER * len(x) * self.times)
        if u.requires_grad:
            u.register_hook(lambda _: CLOCK.spend(BACKWARD * len(x)))
        return u

    def decode(self, latents):
        CLOCK.spend(DECODER * len(latents))
        return super().decode(latents)


class SlowBrightness(Brightness):
    def score(self, pixels, prompts):
        CLOCK.spend(REWARD * len(prompts))
        return super().score(pixels, prompts)


@pytest.fixture
def run(tmp_path, brightness, monkeypatch):
    monkeypatch.setitem(registry.REWARDS, "brightness", f"{__name__}:SlowBrightness")
    store = tmp_path / "store"
    return compare(
        Slow(), [RENO, BEST_OF], PROMPTS, metrics=["truth", "brightness"], store=store, progress=False
    )


def test_each_network_takes_the_time_that_it_takes(run):
    measured = calibrate(run, [Slow()])
    assert [(one.mode, one.batch) for one in measured] == [("latency", 1), ("throughput", 4)]
    expected = {
        "encode": ENCODE,
        "denoiser": DENOISER,
        "denoiser_backward": BACKWARD,
        "decoder": DECODER,
        "reward brightness": REWARD,
    }
    expected |= dict.fromkeys(("decoder_backward", "reward_backward brightness"), 0.0)
    for one in measured:
        assert one.model == "analytic"
        assert one.seconds == pytest.approx(expected, abs=1e-9)
    assert calibrations(run, "latency") == {"analytic": measured[0]}
    assert calibrations(run, "throughput") == {"analytic": measured[1]}


def test_calibrated_seconds_are_those_that_images_take(run):
    calibrate(run, [Slow()])
    choice = pick(run, seconds=10, metric="brightness", allow_optimised=True)
    with pytest.raises(BadValue, match=r"no standard image .* was scored by truth"):
        pick(run, seconds=10, metric="truth")  # which judges scenes of 32 pixels
    own = run.frame().groupby("method")["seconds"].mean()
    assert choice.method in own.index
    for method, seconds in own.items():
        counts = run.frame().query("method == @method").iloc[0]
        found = calibrations(run, "latency")["analytic"].image(counts, run.optimised(method))
        assert found == pytest.approx(
            seconds + ENCODE
        )  # prompts are encoded before a comparison's clock starts


def test_this_machine_is_preferred_and_the_newest_of_it(run):
    one = {"model": "analytic", "mode": "latency", "batch": 1, "seconds": {"denoiser": 1.0}}
    rows = [
        {**one, "hardware": hardware(), "batch": 1},
        {**one, "hardware": hardware(), "batch": 2},
        {**one, "hardware": {"cpu": "another"}, "batch": 3},
        {**one, "hardware": {"cpu": "another"}, "batch": 4, "model": "other"},
        {**one, "hardware": {"cpu": "third"}, "batch": 5, "model": "other"},
        {**one, "hardware": {"cpu": "third"}, "batch": 6, "mode": "throughput"},
    ]
    run.calibrations = lambda: rows
    assert {name: found.batch for name, found in calibrations(run, "latency").items()} == {
        "analytic": 2,
        "other": 5,
    }


def test_a_slower_machine_is_scaled_by_its_denoiser():
    before = Calibration("analytic", "latency", 1, {"cpu": "another"}, {"denoiser": DENOISER})
    assert measured_scale(before, Slow(times=3)) == pytest.approx(3)


def test_all_of_it_stops_in_time(run):
    """Each measurement is made twice at least, to warm up and to count, and not again when its share is used up."""
    model = Slow(times=1e6)
    start = CLOCK.now
    calibrate(run, [model])
    forward = 1e6 * DENOISER * 2 * (1 + 4)  # warm-up and count, at batches of 1 and 4
    assert CLOCK.now - start < 3 * forward
