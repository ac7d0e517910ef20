"""Laws that every method, every reward and every metric keeps, as pytest classes for those who write their own.

    import pytest
    pytest.register_assert_rewrite("noisekit.testing")       # so that a broken law shows its values

    from noisekit.testing import MethodConformance

    class TestMine(MethodConformance):
        @pytest.fixture
        def method(self):
            return load_method("mine(steps=3)")

runs them all on models whose optimum is known: a diffusion in one step and in four, a flow, and both with fresh noise at
every step. What cannot run on one of them is skipped there with the reason. Give a fixture `model` for another one. Needs
pytest, as in noisekit[test].
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from noisekit.errors import BadValue, NotSupported
from noisekit.methods import NoiseMethod, load_method
from noisekit.methods.loop import FinalImage
from noisekit.metrics import Metric
from noisekit.models import Model
from noisekit.models.analytic import AnalyticModel
from noisekit.noise import NoiseSource, per_sample
from noisekit.prompts import Prompt
from noisekit.registry import METHODS
from noisekit.rewards import Reward
from noisekit.types import COUNTED, Budget, NoiseResult

PROMPTS = ("a red circle", "two blue squares", "a green triangle above a cyan circle", "three yellow circles")


#: The analytic models that the laws of methods are tried on, by their settings.
MODELS: dict[str, dict[str, Any]] = {
    "one step": {"steps": 1},
    "four steps": {"steps": 4},
    "flow": {"steps": 4, "path": "flow"},
    "stochastic": {"steps": 4, "eta": 1.0},
    "stochastic flow": {"steps": 4, "path": "flow", "eta": 0.7},
}


class MethodConformance:
    """What comparisons rely on: a method's result depends on prompt and seed alone, and it costs what it says."""

    #: The largest difference of noises and images that counts as none; networks in fp32 need a little.
    tolerance = 1e-4

    @pytest.fixture
    def method(self) -> NoiseMethod:
        raise NotImplementedError("give a fixture `method`")

    @pytest.fixture(params=list(MODELS))
    def model(self, request: pytest.FixtureRequest, method: NoiseMethod) -> Model:
        model = AnalyticModel(**MODELS[request.param], batch=5)
        try:
            method.resolved(model).check(model)
        except NotSupported as reason:
            pytest.skip(f"does not go with this model: {reason}")
        return model

    @pytest.fixture
    def prompts(self) -> Sequence[str]:
        return PROMPTS

    def test_a_batch_in_any_order_equals_its_singles(
        self, method: NoiseMethod, model: Model, prompts: Sequence[str]
    ) -> None:
        batch = method(model, prompts, seeds=[0, 1])
        backwards = method(model, prompts[::-1], seeds=[1, 0])
        self._same(batch.noise.flip(0), backwards.noise)
        singles = [method(model, [text], seeds=[seed]) for text in prompts for seed in (0, 1)]
        self._same(batch.noise, torch.cat([single.noise for single in singles]))
        self._same(batch.images, torch.cat([single.images for single in singles]))
        if batch.injected is not None:
            self._same(batch.injected.flip(0), _injected(backwards))
            self._same(batch.injected, torch.cat([_injected(single) for single in singles]))
        assert list(batch.prompts) == [text for text in prompts for _ in (0, 1)]
        assert list(batch.seeds) == [0, 1] * len(prompts)

    def test_the_noise_is_finite_and_of_the_models_shape(
        self, method: NoiseMethod, model: Model, prompts: Sequence[str]
    ) -> None:
        result = method(model, prompts)
        assert result.noise.shape == (len(prompts), *model.noise_shape)
        assert result.noise.dtype == torch.float32
        assert result.noise.isfinite().all()
        assert not result.noise.requires_grad
        assert len(result.images) == len(prompts)
        assert result.images.shape[-3] == 3
        assert 0 <= result.images.min() <= result.images.max() <= 1

    def test_the_initial_noise_is_left_as_it_was(
        self, method: NoiseMethod, model: Model, prompts: Sequence[str]
    ) -> None:
        expected = NoiseSource(model.noise_shape, prompts, [0] * len(prompts)).initial
        assert torch.equal(method(model, prompts).initial.cpu(), expected)

    def test_the_images_are_those_of_its_noise(
        self, method: NoiseMethod, model: Model, prompts: Sequence[str]
    ) -> None:
        """image = decode(sample(noise, injected)): who samples from its noises elsewhere gets the image that was judged."""
        result = method(model, prompts, seeds=[0, 3])
        source = NoiseSource(model.noise_shape, result.prompts, result.seeds)
        self._same(result.images, FinalImage(model, source)(result.noise, result.injected))

    def test_it_chooses_injected_noises_if_it_says_so(
        self, method: NoiseMethod, model: Model, prompts: Sequence[str]
    ) -> None:
        result = method(model, prompts)
        assert (result.injected is not None) == method.resolved(model).injects
        if result.injected is not None:
            steps = len(model.deviations())
            assert result.injected.shape == (len(prompts), steps, *model.noise_shape)
            assert result.injected.isfinite().all()

    def test_gradients_are_left_off_outside(
        self, method: NoiseMethod, model: Model, prompts: Sequence[str]
    ) -> None:
        """A candidate yielded inside `torch.enable_grad()` would leave them on for whoever takes it."""
        source = NoiseSource(model.noise_shape, prompts, [0] * len(prompts))
        with torch.no_grad():
            for candidate in method.resolved(model).search(model, prompts, source):
                assert not torch.is_grad_enabled()
                parts = (candidate.noise, candidate.injected, candidate.images, candidate.score)
                given = (*parts, *candidate.info.values())
                assert not any(tensor.requires_grad for tensor in given if tensor is not None)

    def test_the_best_score_does_not_fall(
        self, method: NoiseMethod, model: Model, prompts: Sequence[str]
    ) -> None:
        result = method(model, prompts)
        best = torch.tensor([point.best for point in result.trace.points if point.best is not None])
        assert (best.diff(dim=0) >= 0).all()
        if len(best):
            assert result.score is not None
            self._same(best[-1], result.score.cpu())

    def test_the_announced_cost_is_the_cost(
        self, method: NoiseMethod, model: Model, prompts: Sequence[str]
    ) -> None:
        spent, announced = method(model, prompts).cost, method.cost(model)
        assert {name: getattr(spent, name) for name in COUNTED} == {
            name: getattr(announced, name) for name in COUNTED
        }

    def test_the_announced_operations_are_those_that_were_counted(
        self, method: NoiseMethod, model: Model, prompts: Sequence[str]
    ) -> None:
        """Every network counts, gradients included: `result.cost.flops`, and in denoiser evaluations `.equivalents`."""
        spent = method(model, prompts).cost
        if spent.flops is None:
            pytest.skip("a network of it was counted without `owner`, so its operations are not known")
        assert spent.flops == pytest.approx(method.whole_work(model), rel=1e-9)
        assert spent.equivalents == pytest.approx(method.whole_work(model) / model.flops(), rel=1e-9)

    def test_the_search_is_as_long_as_its_horizon(
        self, method: NoiseMethod, model: Model, prompts: Sequence[str]
    ) -> None:
        assert len(method(model, prompts).trace) == method.resolved(model).horizon

    @pytest.mark.parametrize("calls", [1, 15, 33])
    def test_a_budget_of_calls_is_kept(
        self, method: NoiseMethod, model: Model, prompts: Sequence[str], calls: int
    ) -> None:
        least = model.sample_cost().calls
        result = method(model, prompts, budget=Budget(calls=calls))
        assert result.cost.calls <= max(calls, least)
        assert result.stopped == "budget" or result.cost.calls == method.cost(model).calls
        assert result.images.isfinite().all()

    @pytest.mark.parametrize("equivalents", [2, 40])
    def test_a_budget_of_equivalents_is_kept(
        self, method: NoiseMethod, model: Model, prompts: Sequence[str], equivalents: int
    ) -> None:
        standard = load_method("standard")(model, prompts).cost.equivalents
        assert standard is not None
        try:
            spent = method(model, prompts, budget=Budget(equivalents=equivalents)).cost.equivalents
        except NotSupported as reason:
            pytest.skip(str(reason))
        assert spent is not None
        assert spent <= max(equivalents, standard) * (1 + 1e-6)

    def test_a_budget_of_candidates_is_kept(
        self, method: NoiseMethod, model: Model, prompts: Sequence[str]
    ) -> None:
        whole = method.resolved(model).horizon
        assert len(method(model, prompts, budget=Budget(candidates=2)).trace) == min(2, whole)

    def test_its_string_reads_back(self, method: NoiseMethod, model: Model) -> None:
        """What a string leaves out resolves to what the method had."""
        resolved = method.resolved(model)
        assert resolved.resolved(model) == resolved
        if method.name not in METHODS:
            pytest.skip(f"{method.name!r} is in no entry point, so no string can name it")
        assert load_method(str(method)).resolved(model) == resolved
        assert load_method(str(resolved)).resolved(model) == resolved

    def test_what_decides_its_noise_can_be_hashed(self, method: NoiseMethod, model: Model) -> None:
        resolved = method.resolved(model)
        first, second = (
            json.dumps(resolved.dependencies(model.device), sort_keys=True, allow_nan=False) for _ in range(2)
        )
        assert first == second
        assert isinstance(resolved.version, int)

    def _same(self, a: Tensor, b: Tensor) -> None:
        torch.testing.assert_close(a, b, atol=self.tolerance, rtol=0)


def _injected(result: NoiseResult) -> Tensor:
    assert result.injected is not None, "some samples bring injected noises and others none"
    return result.injected


class RewardConformance:
    """What methods and evaluators rely on: scores of single images, with a true gradient, that stay in their bounds."""

    #: The largest difference of scores that counts as none.
    tolerance = 1e-4
    #: The side of the images that the laws are tried on.
    side = 24

    @pytest.fixture
    def reward(self) -> Reward:
        raise NotImplementedError("give a fixture `reward`")

    @pytest.fixture
    def prompts(self) -> Sequence[str]:
        return PROMPTS[:3]

    @pytest.fixture
    def images(self, prompts: Sequence[str]) -> Tensor:
        shape = (len(prompts), 3, self.side, self.side + 4)
        return 0.3 + 0.4 * torch.rand(shape, generator=torch.Generator().manual_seed(0))

    def test_a_batch_in_any_order_equals_its_singles(
        self, reward: Reward, images: Tensor, prompts: Sequence[str]
    ) -> None:
        for look in (reward, reward.judge):
            batch = look(images, prompts)
            assert batch.shape == (len(prompts),)
            self._same(batch.flip(0), look(images.flip(0), prompts[::-1]))
            self._same(batch, torch.cat([look(images[i : i + 1], [text]) for i, text in enumerate(prompts)]))

    def test_scores_are_finite_and_in_their_bounds(
        self, reward: Reward, images: Tensor, prompts: Sequence[str]
    ) -> None:
        low, high = reward.bounds
        scores = reward(images, prompts)
        assert scores.isfinite().all()
        assert (low <= scores).all()
        assert (scores <= high).all()
        assert 0 <= reward.tie < high - low

    def test_the_gradient_is_that_of_the_score(
        self, reward: Reward, images: Tensor, prompts: Sequence[str]
    ) -> None:
        """Along the gradient itself, so that the slope stands far above the rounding of single precision."""
        leaf = images.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(reward(leaf, prompts).sum(), leaf)
        length = gradient.flatten(1).norm(dim=1)
        assert (length > 0).all()
        step = 2e-3 * gradient / per_sample(length, gradient)
        slope = (reward(images + step, prompts) - reward(images - step, prompts)) / 4e-3
        torch.testing.assert_close(slope, length, rtol=5e-2, atol=1e-4)

    def test_judging_takes_no_gradient(self, reward: Reward, images: Tensor, prompts: Sequence[str]) -> None:
        assert not reward.judge(images.clone().requires_grad_(), prompts).requires_grad

    def test_it_reads_the_prompt_if_it_says_so(self, reward: Reward, images: Tensor) -> None:
        same = images[:1].expand(2, -1, -1, -1)
        one, other = reward(same, PROMPTS[:2]).tolist()
        assert (one != other) == reward.reads_prompt

    def test_its_identity_can_be_hashed(self, reward: Reward) -> None:
        first, second = (json.dumps(reward.identity, sort_keys=True, allow_nan=False) for _ in range(2))
        assert first == second
        assert reward.identity["reward"] == reward.name

    @pytest.mark.parametrize("spoil", [lambda x: x * 255, lambda x: x[:, :1], lambda x: x[:-1]])
    def test_images_that_are_none_are_refused(
        self, reward: Reward, images: Tensor, prompts: Sequence[str], spoil: Any
    ) -> None:
        with pytest.raises(BadValue):
            reward(spoil(images), prompts)

    def _same(self, a: Tensor, b: Tensor) -> None:
        torch.testing.assert_close(a, b, atol=self.tolerance, rtol=0)


class MetricConformance:
    """What comparisons rely on: figures of single images as people get them, and nothing where nothing can be said."""

    #: The largest difference of figures that counts as none.
    tolerance = 1e-4

    @pytest.fixture
    def metric(self) -> Metric:
        raise NotImplementedError("give a fixture `metric`")

    @pytest.fixture
    def prompts(self) -> Sequence[Prompt]:
        """Prompts that the metric applies to, each with its record."""
        return [Prompt(text) for text in PROMPTS[:3]]

    @pytest.fixture
    def others(self) -> Sequence[Prompt]:
        """Prompts that it does not apply to, if there are any."""
        return []

    @pytest.fixture
    def images(self, prompts: Sequence[Prompt]) -> Tensor:
        """An image a prompt, (B, 3, H, W) in [0, 1]."""
        shape = (len(prompts), 3, 32, 32)
        return 0.3 + 0.4 * torch.rand(shape, generator=torch.Generator().manual_seed(0))

    def test_a_batch_in_any_order_equals_its_singles(
        self, metric: Metric, images: Tensor, prompts: Sequence[Prompt]
    ) -> None:
        batch = metric(images, prompts)
        self._same(batch.flip(0), metric(images.flip(0), prompts[::-1]))
        singles = [metric(images[i : i + 1], [prompt]) for i, prompt in enumerate(prompts)]
        self._same(batch, torch.cat(singles))

    def test_an_image_is_judged_as_its_file(
        self, metric: Metric, images: Tensor, prompts: Sequence[Prompt]
    ) -> None:
        stored = images.mul(255).round().div(255)
        moved = (stored + 0.4 / 255 * torch.ones_like(stored)).clamp(0, 1)
        self._same(metric(stored, prompts), metric(moved, prompts))

    def test_it_says_something_in_its_range(
        self, metric: Metric, images: Tensor, prompts: Sequence[Prompt]
    ) -> None:
        score = metric(images, prompts)[:, 0]
        assert score.isfinite().all()
        if not metric.info.pairwise:
            assert metric.info.low <= score.min()
            assert score.max() <= metric.info.high
        assert 0 <= metric.info.tie < metric.info.high - metric.info.low

    def test_it_says_nothing_where_it_does_not_apply(
        self, metric: Metric, images: Tensor, prompts: Sequence[Prompt], others: Sequence[Prompt]
    ) -> None:
        assert all(metric.applies(prompt) for prompt in prompts)
        for other in others:
            assert metric(images[:1], [other]).isnan().all()
        mixed = metric(images[[0] * (len(others) + 1)], [*others, prompts[0]])
        self._same(mixed[-1:], metric(images[:1], prompts[:1]))

    def test_it_reads_the_record_if_it_says_so(
        self, metric: Metric, images: Tensor, prompts: Sequence[Prompt]
    ) -> None:
        """Scores are known again by image, text and metric, and by the record only of a metric with `reads_record`."""
        if not metric.reads_record:
            self._same(metric(images, prompts), metric(images, [prompt.text for prompt in prompts]))

    def test_judging_takes_no_gradient(
        self, metric: Metric, images: Tensor, prompts: Sequence[Prompt]
    ) -> None:
        assert not metric(images.clone().requires_grad_(), prompts).requires_grad

    def test_its_identity_can_be_hashed(self, metric: Metric) -> None:
        first, second = (json.dumps(dict(metric.identity), sort_keys=True, allow_nan=False) for _ in range(2))
        assert first == second
        assert metric.info.name in metric.identity.values()

    @pytest.mark.parametrize("spoil", [lambda x: x * 255, lambda x: x[:, :1], lambda x: x[:-1]])
    def test_images_that_are_none_are_refused(
        self, metric: Metric, images: Tensor, prompts: Sequence[Prompt], spoil: Any
    ) -> None:
        with pytest.raises(BadValue):
            metric(spoil(images), prompts)

    def _same(self, a: Tensor, b: Tensor) -> None:
        torch.testing.assert_close(a, b, atol=self.tolerance, rtol=0, equal_nan=True)
