"""pCN keeps the distribution that its equation says; trust regions grow, shrink and start anew as scripted rewards tell."""

from functools import cache

import pytest
import torch

from noisekit.errors import BadValue
from noisekit.methods import load_method
from noisekit.methods.trs import Regions
from noisekit.models.analytic import AnalyticModel
from noisekit.noise import NoiseSource

WEIGHTS = "rewards='clip_score:1', weights='tiny'"
MANY = [f"prompt {i}" for i in range(150)]


@pytest.fixture(scope="module")
def model():
    """One step, one wide Gaussian: image = ½ + (offset of the prompt + slope·ε)/10, far from both ends."""
    return AnalyticModel(components=1, steps=1, width=3.0, batch=64, spread=0.1)


@cache
def image_of(model, level, prompt):
    """The image of a noise that is one number everywhere."""
    return model.decode(model.sample(torch.full((1, *model.noise_shape), level), model.encode([prompt])))


def noise_of(model, images, prompts):
    """The noise behind an image."""
    still = torch.cat([image_of(model, 0.0, text) for text in prompts])
    slope = (image_of(model, 1.0, prompts[0]) - image_of(model, 0.0, prompts[0])).mean()
    return (images - still)[:, :1] / slope


@pytest.fixture
def linear(model, monkeypatch):
    """R = ⟨w, ε⟩ with ‖w‖ = 1."""
    side = model.noise_shape[1]
    monkeypatch.setattr(
        "noisekit.methods.rewarded.weighted_reward",
        lambda *_, **__: lambda images, prompts: noise_of(model, images, prompts).mean((1, 2, 3)) * side,
    )


@pytest.fixture
def quadratic(model, monkeypatch):
    """R = −mean (ε − 1)²."""
    monkeypatch.setattr(
        "noisekit.methods.rewarded.weighted_reward",
        lambda *_, **__: (
            lambda images, prompts: -((noise_of(model, images, prompts) - 1) ** 2).mean((1, 2, 3))
        ),
    )


def scores(result):
    return torch.tensor([point.score for point in result.trace.points])


# --- pCN -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("strength", "cosine"), [(0.0, 0.6), (2.0, 0.6), (2.0, 0.9)])
def test_the_walk_keeps_the_normal_leaning_by_lambda(model, linear, strength, cosine):
    """Of R = ⟨w, ε⟩ the law is N(λw, I), whatever ρ."""
    result = load_method(f"pcn(steps=60, similarity={cosine}, strength={strength}, {WEIGHTS})")(model, MANY)
    settled = scores(result)[30:]
    assert settled.mean().item() == pytest.approx(strength, abs=0.2)
    assert settled.std().item() == pytest.approx(1, abs=0.12)
    norm = torch.tensor(result.trace.points[-1].info["norm"])
    assert norm.square().mean().item() == pytest.approx(16 + strength**2, abs=2)


def test_without_a_reward_every_proposal_is_accepted_and_with_much_only_better_ones(model, linear):
    free = load_method(f"pcn(steps=5, strength=0.0, {WEIGHTS})")(model, MANY[:5])
    assert all(min(point.info["accepted"]) == 1 for point in free.trace.points[1:])
    greedy = load_method(f"pcn(steps=12, strength=1e9, {WEIGHTS})")(model, MANY[:5])
    climbed = load_method(f"random_search(steps=12, {WEIGHTS})")(model, MANY[:5])
    assert torch.equal(greedy.noise, climbed.noise)
    assert (scores(greedy).diff(dim=0) >= 0).all()


# --- TRS -------------------------------------------------------------------------------------------------------------


def scripted(**settings):
    """Regions of one sample, and a function that tells them of a round in which ranks succeed or not."""
    given = {
        "warm_up": 4,
        "regions": 2,
        "proposals": 5,
        "length": 0.8,
        "shortest": 0.3,
        "longest": 1.5,
        "factor": 2.0,
    }
    text = ", ".join(f"{name}={value!r}" for name, value in (given | settings).items())
    method = load_method(f"trs({text}, {WEIGHTS})").resolved(AnalyticModel())
    regions = Regions(method, torch.zeros(4, 1, 1, 4, 4), torch.tensor([[0.0], [2.0], [1.0], [-1.0]]))

    def round_of(*successes):
        new = [regions.scores[r, 0] + (1 if successes[r] else -1) for r in regions.of]
        regions.learn(torch.zeros(len(new), 1, 1, 4, 4), torch.stack(new)[:, None])
        return regions.lengths[:, 0].tolist()

    return regions, round_of


def test_proposals_are_shared_out_and_the_remainder_goes_to_the_best():
    regions, _ = scripted(proposals=5)
    assert regions.of == [0, 0, 0, 1, 1]
    assert regions.scores[:, 0].tolist() == [2, 1]


def test_lengths_after_scripted_rounds():
    _, round_of = scripted()
    for _ in range(2):
        assert round_of(True, False) == pytest.approx([0.8, 0.8])
    assert round_of(True, False) == pytest.approx([1.5, 0.4])  # three in a row: twice, at most l_max; half
    assert round_of(True, True) == pytest.approx([1.5, 0.4])
    assert round_of(False, False) == pytest.approx([1.5, 0.4])  # one in between starts the count anew
    for _ in range(2):
        round_of(False, False)
    assert round_of(True, True) == pytest.approx([0.75, 0.3])  # at least l_min
    for expected in (0.3, 0.3, 0.8):  # three failures at l_min: l_init
        assert round_of(True, False)[1] == pytest.approx(expected)


def test_proposals_stay_in_their_cubes_and_move_at_least_one_number(model):
    prompts = MANY[:40]
    source = NoiseSource(model.noise_shape, prompts, [0] * 40)
    method = load_method(f"trs(warm_up=2, regions=2, proposals=2, {WEIGHTS})").resolved(model)
    noises, values = torch.stack([source.draw(0), source.draw(1)]), torch.ones(2, 40)
    moved = torch.stack(list(Regions(method, noises, values).proposals(source, 0))) - noises
    assert moved.abs().max() <= 0.4
    share = (moved != 0).flatten(2).float().mean(2)
    assert (share > 0).all()
    assert share.mean().item() == pytest.approx(0.5, abs=0.06)
    assert share.std().item() == pytest.approx(0.8 / 12**0.5, abs=0.07)


@pytest.mark.parametrize("renormalise", [False, True])
def test_trs_beats_random_noises_on_a_quadratic_reward(model, quadratic, renormalise):
    spec = f"trs(warm_up=20, rounds=20, proposals=8, regions=4, renormalise={renormalise}, {WEIGHTS})"
    found = load_method(spec)(model, MANY[:20])
    random = load_method(f"best_of(n=180, {WEIGHTS})")(model, MANY[:20])
    assert len(found.trace) == 40
    assert (found.score > random.score).float().mean() > 0.9
    if renormalise:
        torch.testing.assert_close(found.noise.flatten(1).norm(dim=1), torch.full((20,), 4.0))


def test_too_many_regions_are_refused(model):
    with pytest.raises(BadValue, match="9 regions"):
        load_method(f"trs(regions=9, proposals=8, {WEIGHTS})")(model, ["a"])
