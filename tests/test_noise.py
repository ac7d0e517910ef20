"""Noise is keyed by the sample: it depends on nothing else, and what should share it does."""

import pytest
import torch

from noisekit.errors import BadValue
from noisekit.noise import NoiseSource, published_noise

SHAPE = (4, 8, 8)


def source(prompts, seeds, **more):
    return NoiseSource(SHAPE, prompts, seeds, **more)


def test_a_sample_draws_the_same_numbers_in_any_batch():
    batch = source(["a", "b", "c"], [0, 1, 2])
    for i, (prompt, seed) in enumerate([("a", 0), ("b", 1), ("c", 2)]):
        alone = source([prompt], [seed])
        for draw, *shape in (("draw",), ("step",), ("uniform", 3, 2), ("permutation", 6)):
            assert torch.equal(getattr(batch, draw)(5, *shape)[i], getattr(alone, draw)(5, *shape)[0])


def test_the_first_candidate_is_the_standard_noise_and_the_others_are_not():
    one = source(["a"], [7])
    assert torch.equal(one.initial, one.draw(0))
    draws = torch.cat([one.draw(k) for k in range(4)] + [one.step(k) for k in range(4)])
    gram = draws.flatten(1) @ draws.flatten(1).T / draws[0].numel()
    assert (gram - torch.eye(8)).abs().max() < 0.3  # independent, unit variance


def test_decisions_are_uniform_and_orders_are_permutations():
    many = source([str(i) for i in range(300)], [0] * 300)
    numbers, orders = many.uniform(0, 4), many.permutation(0, 5)
    assert numbers.min() >= 0
    assert numbers.max() < 1
    assert abs(numbers.mean() - 0.5) < 0.03
    assert torch.equal(orders.sort(dim=1).values, torch.arange(5).expand(300, 5))
    assert abs(orders.float().mean(0) - 2).max() < 0.3  # every place takes every number
    assert not torch.equal(numbers, many.uniform(1, 4))
    assert not torch.equal(numbers, many.starting_at(many.initial, "run 1").uniform(0, 4))


def test_noise_is_standard_normal():
    x = source([str(i) for i in range(200)], list(range(200))).initial
    assert abs(x.mean()) < 0.01
    assert abs(x.var() - 1) < 0.02
    assert abs((x**4).mean() - 3) < 0.1


def test_seeds_are_independent_across_prompts_by_default_and_shared_on_request():
    keyed = source(["a", "b"], [0, 0]).initial
    shared = source(["a", "b"], [0, 0], convention="shared").initial
    assert not torch.equal(keyed[0], keyed[1])
    assert torch.equal(shared[0], shared[1])


def test_published_noise_is_what_scripts_draw_shared_by_all_prompts_and_keyed_beyond_the_first():
    ours = source(["a", "b"], [3, 3], convention="published")
    expected = torch.randn(1, *ours.shape, generator=torch.Generator().manual_seed(3))
    assert torch.equal(ours.initial, expected.expand_as(ours.initial))
    shared = source(["a", "b"], [3, 3], convention="shared")
    assert torch.equal(ours.draw(1), shared.draw(1))
    assert torch.equal(ours.step(0), shared.step(0))


def test_sampler_generators_start_anew_at_every_call():
    one = source(["a", "b"], [0, 0])
    first, second = one.sampler_generators(), one.sampler_generators()
    assert [g.initial_seed() for g in first] == [g.initial_seed() for g in second]
    assert first[0].initial_seed() != first[1].initial_seed()


def test_injected_noises_are_what_the_samplers_generators_draw_in_turn():
    one = source(["a", "b"], [7, 8])
    own = one.sampler_generators()
    drawn = [torch.stack([torch.randn(SHAPE, generator=g) for g in own]) for _ in range(3)]
    assert torch.equal(one.injected(3), torch.stack(drawn, 1))
    assert torch.equal(one.injected(5)[:, :3], one.injected(3))


def test_a_particle_walks_by_itself_and_particle_0_as_the_standard_image():
    one = source(["a", "b"], [7, 8])
    assert one.particle(0) is one
    other, third = one.particle(1), one.particle(2)
    assert torch.equal(other.initial, one.draw(1))
    for draw in ("injected", "step", "uniform"):
        seen = [getattr(walk, draw)(2, *((9,) if draw == "uniform" else ())) for walk in (one, other, third)]
        assert all(not torch.equal(a, b) for a, b in [seen[:2], seen[1:], seen[::2]])
    assert torch.equal(other.injected(2)[1:], source(["b"], [8]).particle(1).injected(2))
    branch = other.starting_at(
        one.initial, "stage"
    )  # a search within a particle keeps what its sampler injects
    assert torch.equal(branch.injected(2), other.injected(2))
    assert not torch.equal(one.particle(1).particle(2).injected(2), third.injected(2))


def test_the_published_pool_is_torchs_own_stream():
    torch.manual_seed(42)
    assert torch.equal(published_noise(42, SHAPE), torch.randn(1, *SHAPE))


@pytest.mark.parametrize(("seeds", "convention"), [([0], "per_prompt"), ([0, 1], "per-seed")])
def test_bad_sources_say_what_is_wrong(seeds, convention):
    with pytest.raises(BadValue, match=r"2 prompts but 1|per-seed"):
        source(["a", "b"], seeds, convention=convention)
