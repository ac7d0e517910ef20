"""Operations are those that a hand would count, of every network that a method runs, and cost nobody anything."""

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

import noisekit as nk
from noisekit.cost import Meter, counted
from noisekit.errors import NotSupported
from noisekit.flops import Worker, operations
from noisekit.models.analytic import AnalyticModel
from noisekit.store.identity import setting_fields

PROMPT = "a red circle to the left of a blue square"


class Mixer(nn.Module):
    """A convolution, then attention over its pixels."""

    def __init__(self, channels: int, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.convolution = nn.Conv2d(channels, width, 3, padding=1)
        self.projections = nn.ModuleList(nn.Linear(width, width) for _ in range(4))
        self.requires_grad_(False)

    def forward(self, x):
        x = self.convolution(x).flatten(2).mT
        q, k, v = (own(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for own in self.projections[:3])
        return self.projections[3](scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


@pytest.mark.parametrize(("channels", "width", "heads", "side"), [(3, 8, 2, 6), (1, 16, 4, 5), (4, 24, 1, 8)])
def test_a_convolution_and_attention_count_what_a_hand_counts(channels, width, heads, side):
    pixels = side * side
    convolution = 2 * pixels * width * channels * 9
    projections = 4 * 2 * pixels * width * width
    attention = 2 * (2 * pixels * pixels * width)  # q·kᵀ, and its product with v
    network, x = Mixer(channels, width, heads), torch.randn(1, channels, side, side)
    assert operations(network, x) == convolution + projections + attention
    # To the input alone: as much again for what is linear, and five products of attention, which computes q·kᵀ anew.
    assert operations(network, x, backward=True) == convolution + projections + 2.5 * attention


def test_an_attention_layer_of_torchs_own_counts_whether_a_gradient_is_kept_or_not():
    layer = nn.MultiheadAttention(8, 2, batch_first=True).eval().requires_grad_(False)
    x = torch.randn(1, 6, 8)
    expected = 4 * 2 * 6 * 8 * 8 + 2 * (2 * 6 * 6 * 8)
    assert operations(lambda x: layer(x, x, x, need_weights=False)[0], x) == expected
    assert torch.backends.mha.get_fastpath_enabled()


@pytest.mark.parametrize("shape", [(5, 5), (2, 7, 3), (3, 7)])
def test_a_singular_value_decomposition_counts_by_its_formula(shape):
    *batch, one, other = shape
    m, n = max(one, other), min(one, other)
    expected = math.prod(batch) * (4 * m * m * n + 8 * m * n * n + 9 * n**3)
    assert operations(lambda x: torch.linalg.svd(x)[1], torch.randn(shape)) == expected


def test_counting_is_counted_by_no_meter_and_happens_once(turbo):
    seen = []
    handle = turbo.denoiser.register_forward_hook(lambda *_: seen.append(1))
    turbo._forget()
    with Meter(1) as meter:
        first, again = turbo.flops(), turbo.flops()
    handle.remove()
    assert first == again > 0
    assert len(seen) == 1
    assert not meter.counts


def test_an_image_costs_its_denoiser_and_its_decoder(turbo):
    cost = nk.load_method("standard")(turbo, PROMPT).cost
    assert cost.flops == turbo.flops() + turbo.flops("decoder")
    assert cost.equivalents == pytest.approx(1 + turbo.flops("decoder") / turbo.flops())


WRAPPED = [
    "reno(steps=2)",
    "reno(steps=2, rewards='hps:5')",
    "npnet",
    "best_of(n=3)",
    "best_of(reno(steps=2, rewards='hps:5'), n=2)",
    "then(npnet, reno(steps=2), best_of(n=2, rewards='aesthetic:1'))",
]


@pytest.mark.parametrize("expression", WRAPPED)
def test_what_a_method_announces_is_what_was_counted(expression, turbo):
    """On real networks, whose rewards differ in size; the laws hold every method to it on the analytic model."""
    method, model = nk.load_method(expression), turbo
    assert method(model, PROMPT).cost.flops == pytest.approx(method.whole_work(model), rel=1e-9)


def test_another_model_that_is_searched_counts_at_its_own_size():
    model = nk.load_model("tiny(steps=2)")
    method = nk.load_method("transfer(best_of(n=2), model='tiny-turbo')")
    result = method(model, PROMPT)
    searched = nk.load_model("tiny-turbo")
    reward = nk.load_reward("image_reward", "tiny")
    expected = 4 * model.flops() + model.flops("decoder")
    expected += 2 * (searched.flops() + searched.flops("decoder") + reward.flops("reward"))
    assert result.cost.flops == pytest.approx(expected)
    assert result.cost.equivalents == pytest.approx(expected / model.flops())


def test_rewards_gradients_and_predictors_ride_for_nothing_in_calls_alone(turbo):
    golden, plain = (nk.load_method(name)(turbo, PROMPT).cost for name in ("npnet", "standard"))
    assert golden.calls == plain.calls
    assert golden.equivalents > plain.equivalents
    reno = nk.load_method("reno(steps=2)")(turbo, PROMPT).cost
    assert reno.equivalents > reno.calls


@pytest.mark.parametrize(
    "expression", ["reno(steps=50, rewards='hps:5')", "then(npnet, random_search(steps=50))"]
)
@pytest.mark.parametrize("equivalents", [1, 16.5])
def test_a_budget_of_equivalents_is_kept_and_used(expression, equivalents, turbo):
    method = nk.load_method(expression)
    result = method(turbo, PROMPT, budget=nk.Budget(equivalents=equivalents))
    least = nk.load_method("standard")(turbo, PROMPT).cost.equivalents
    dearest = max(method.resolved(turbo).work(turbo)) / turbo.flops()
    assert result.cost.equivalents <= max(equivalents, least) * (1 + 1e-6)
    assert result.cost.equivalents > equivalents - dearest - least
    assert result.stopped == "budget"


class Silent(AnalyticModel):
    """A model of somebody's own of which nobody knows what it computes."""

    def tried(self, network):
        return math.nan


def test_what_nobody_can_count_is_unknown_and_no_budget():
    model, method = Silent(), nk.load_method("selection(candidates=2)")
    cost = method(model, PROMPT).cost
    assert (cost.flops, cost.equivalents) == (None, None)
    with pytest.raises(NotSupported, match="give calls or seconds"):
        method(model, PROMPT, budget=nk.Budget(equivalents=9))


def test_a_network_that_cannot_be_counted_is_warned_of_and_stops_nothing():
    class Broken(Worker):
        def specimen(self, network):
            return (lambda x: x.reshape(7)), torch.ones(1)

    with pytest.warns(UserWarning, match="operations of the denoiser of Broken could not be counted"):
        assert math.isnan(Broken().flops())


def test_an_evaluation_that_nobody_owns_leaves_the_operations_unknown():
    with Meter(1) as meter:
        counted("denoiser", torch.ones(1))
    assert meter.priced(1.0).flops is None


def test_images_made_without_such_a_budget_keep_their_identity():
    model, method = AnalyticModel(), nk.load_method("selection(candidates=2)").resolved(AnalyticModel())
    fields = setting_fields(model, method, nk.Budget(calls=9), "per_prompt")
    assert fields["budget"] == {"seconds": None, "calls": 9, "candidates": None}
    fields = setting_fields(model, method, nk.Budget(equivalents=9), "per_prompt")
    assert fields["budget"]["equivalents"] == 9


@pytest.fixture(scope="module")
def turbo():
    return nk.load_model("tiny-turbo")


def test_images_and_checkpoints_of_a_run_say_what_all_networks_computed(tmp_path):
    model, method = AnalyticModel(steps=2), "best_of(n=5, rewards='color_red:1', weights='tiny')"
    prompts = ["a red circle", "two blue squares"]
    run = nk.compare(model, method, prompts, metrics=["color_red"], store=tmp_path / "run", progress=False)
    standard, best = (own["equivalents"].mean() for _, own in run.frame().groupby("method", sort=False))
    final = 2 + model.flops("decoder") / model.flops()
    assert (standard, best) == (
        pytest.approx(final),
        pytest.approx(5 * final),
    )  # a formula of pixels computes nothing
    table = run.curves().groupby("checkpoint")[["calls", "equivalents", "flops"]].mean()
    assert table["equivalents"].tolist() == pytest.approx([count * final for count in (1, 2)])
    assert table["flops"].tolist() == pytest.approx((table["equivalents"] * model.flops()).tolist())
    assert run.summary()["equivalents"].tolist() == pytest.approx([standard, best])
