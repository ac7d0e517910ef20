"""Noises that a stochastic sampler injects come and go with the initial one, and nothing hands on half of a walk."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
import torch

from noisekit.errors import NotSupported
from noisekit.methods import loop
from noisekit.methods.base import NoiseMethod
from noisekit.methods.best import better, not_finite
from noisekit.methods.best_of import BestOf
from noisekit.methods.then import Then
from noisekit.models.analytic import AnalyticModel
from noisekit.models.base import Marker
from noisekit.noise import NoiseSource
from noisekit.testing import MODELS, MethodConformance
from noisekit.types import Budget, Candidate, Cost

PROMPTS = ["a red circle", "two blue squares"]


@dataclass(frozen=True)
class Walks(NoiseMethod):
    """Candidate j is particle j + 1, scored by a number of the sample's own; the images are left to the loop."""

    name = "walks"

    @property
    def horizon(self) -> int:
        return 3

    @property
    def needs(self) -> tuple[Marker, ...]:
        return (Marker.STOCHASTIC,)

    @property
    def injects(self) -> bool:
        return True

    def step_cost(self, model: object) -> Cost:
        return Cost()

    def search(self, model: AnalyticModel, prompts: object, source: NoiseSource) -> Iterator[Candidate]:
        for j in range(self.horizon):
            own = source.particle(j + 1)
            yield Candidate(own.initial, source.uniform(j), injected=own.injected(len(model.deviations())))


class TestTheLawsHoldForAMethodThatChoosesWalks(MethodConformance):
    @pytest.fixture
    def method(self):
        return Walks()

    @pytest.fixture(params=[name for name in MODELS if "stochastic" in name])
    def model(self, request):
        return AnalyticModel(**MODELS[request.param], batch=5)


def test_every_sample_keeps_the_whole_walk_of_its_best_candidate():
    model = AnalyticModel(steps=4, eta=1.0)
    result = Walks()(model, PROMPTS, seeds=range(4))
    source = NoiseSource(model.noise_shape, result.prompts, result.seeds)
    best = torch.stack([source.uniform(j) for j in range(3)]).argmax(0)
    assert len(set(best.tolist())) > 1
    for i, j in enumerate(best.tolist()):
        assert torch.equal(result.noise[i], source.draw(j + 1)[i])
        assert torch.equal(result.injected[i], source.particle(j + 1).injected(4)[i])


def test_what_is_left_of_no_candidate_is_the_standard_walk():
    model = AnalyticModel(steps=4, eta=1.0)
    source = NoiseSource(model.noise_shape, PROMPTS, [0, 0])

    class Broken(Walks):
        def search(self, *given: object) -> Iterator[Candidate]:
            for candidate in super().search(*given):
                noise = candidate.noise.clone()
                noise[1] = torch.nan
                yield replace(candidate, noise=noise)

    with pytest.warns(UserWarning, match="not finite"):
        result = loop.run(Broken(), model, source, Budget())
    standard = loop.FinalImage(model, source)(source.initial)
    torch.testing.assert_close(result.images[1], standard[1])
    assert torch.equal(result.injected[1], source.injected(4)[1])
    assert not torch.equal(result.injected[0], source.injected(4)[0])


def test_an_injected_noise_that_is_not_finite_never_wins():
    noise, injected = torch.zeros(2, 1, 4, 4), torch.zeros(2, 3, 1, 4, 4)
    spoilt = injected.clone()
    spoilt[1, 2] = torch.inf
    old, new = (
        Candidate(noise, torch.zeros(2), injected=injected),
        Candidate(noise + 1, torch.ones(2), injected=spoilt),
    )
    found = better(old, new)
    assert found.noise[:, 0, 0, 0].tolist() == [1, 0]
    assert found.injected.isfinite().all()
    assert not_finite(new) == {1: "injected noise"}
    with pytest.raises(ValueError, match="injected"):
        better(Candidate(noise), new)


@pytest.mark.parametrize("wrapper", [lambda m: BestOf(m, n=2, rewards="aesthetic:1"), lambda m: Then((m,))])
def test_wrappers_refuse_what_they_could_hand_on_in_part_alone(wrapper):
    with pytest.raises(NotSupported, match=r"initial noises alone.*'walks'"):
        wrapper(Walks())(AnalyticModel(eta=1.0, steps=2), PROMPTS)
