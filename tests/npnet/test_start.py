"""Fine-tuning: a training begins where another ended, and says what of it could not be taken over."""

from dataclasses import replace

import pytest
import torch

from noisekit.errors import BadValue
from noisekit.models.cards import Card
from noisekit.models.stable_diffusion import StableDiffusion
from noisekit.npnet.checkpoint import artefact_hash, load_network, read_card, save_artefact
from noisekit.npnet.network import NPNet
from noisekit.npnet.pairs import filters
from noisekit.npnet.train import Training, train
from tests.npnet.made import everything
from tests.npnet.test_collect import CONFIG, made_up
from tests.pipelines import stable_diffusion

TRAINING = Training(epochs=1, batch=8, lr=1e-3)


@pytest.fixture(scope="module")
def model():
    return StableDiffusion(stable_diffusion(), Card("toy", steps=2, guidance=3.0, batch=4))


@pytest.fixture(scope="module")
def pairs(model, tmp_path_factory):
    return made_up(model, tmp_path_factory.mktemp("made") / "pairs", 24, lambda noise, text: 1.1 * noise)


def made_before(folder, config=CONFIG):
    torch.manual_seed(7)
    network = NPNet(config)
    with torch.no_grad():
        for tensor in (network.alpha, network.beta):
            if tensor is not None:
                tensor.fill_(0.5)
    save_artefact(folder, network, {"metric": "hps"})
    return network.state_dict()


def test_it_begins_where_the_other_ended(pairs, model, tmp_path):
    before = made_before(tmp_path / "before")
    crawl = replace(TRAINING, lr=1e-12)
    card = train(pairs, model, tmp_path / "out", training=crawl, start=tmp_path / "before")
    after = load_network(tmp_path / "out").state_dict()
    for name, tensor in before.items():
        torch.testing.assert_close(after[name], tensor, atol=1e-6, rtol=1e-6)
    assert card["start"] == {
        "artefact": str(tmp_path / "before"),
        "hash": artefact_hash(tmp_path / "before"),
        "anew": [],
    }
    assert read_card(tmp_path / "out")["start"]["hash"] == card["start"]["hash"]


def test_a_text_branch_of_other_embeddings_begins_anew(pairs, model, tmp_path):
    """As Hunyuan-DiT's network began from SDXL's."""
    before = made_before(tmp_path / "before", replace(CONFIG, tokens=5, width=7))
    crawl = replace(TRAINING, lr=1e-12)
    card = train(pairs, model, tmp_path / "out", training=crawl, start=tmp_path / "before")
    after = load_network(tmp_path / "out").state_dict()
    assert card["start"]["anew"] == ["text"]
    assert after["text.linear.weight"].shape[1] == 77 * 32
    assert after["alpha"].abs() < 1e-6
    for name, tensor in before.items():
        if not name.startswith(("text.", "alpha")):
            torch.testing.assert_close(after[name], tensor, atol=1e-6, rtol=1e-6)


def test_a_network_that_does_not_fit_is_refused_in_a_sentence(pairs, model, tmp_path):
    made_before(tmp_path / "larger", replace(CONFIG, size=2 * CONFIG.size))
    with pytest.raises(BadValue, match="nothing of it can be trained further"):
        train(pairs, model, tmp_path / "out", training=TRAINING, start=tmp_path / "larger")
    made_before(tmp_path / "bare", replace(CONFIG, svd=False))
    with pytest.raises(BadValue, match="trained without that branch; leave the branch out with --no-svd"):
        train(pairs, model, tmp_path / "out", training=TRAINING, start=tmp_path / "bare")
    with pytest.raises(BadValue, match="is neither a published"):
        train(pairs, model, tmp_path / "out", training=TRAINING, start=tmp_path / "nowhere")
    left_out = replace(TRAINING, svd=False)
    assert train(pairs, model, tmp_path / "out", training=left_out, start=tmp_path / "bare")["start"]


def test_another_start_is_another_training(pairs, model, tmp_path):
    made_before(tmp_path / "before")
    train(pairs, model, tmp_path / "out", training=TRAINING, config=CONFIG)
    with pytest.raises(BadValue, match="other settings"):
        train(pairs, model, tmp_path / "out", training=TRAINING, start=tmp_path / "before")


def test_several_metrics_filter_together(model, tmp_path):
    collection = made_up(model, tmp_path, 20, lambda noise, text: noise + 1)
    (shard,) = collection.shards()
    shard.add_scores(
        [{"aesthetic": {"weights": "", "source": 0.5, "target": float(i % 2)}} for i in range(20)]
    )
    alone, other, both = (everything(collection, metric) for metric in ("hps", "aesthetic", "hps, aesthetic"))
    assert (len(alone.prompts), len(other.prompts)) == (19, 10)
    assert set(both.prompts) == set(alone.prompts) & set(other.prompts)
    assert filters("hps, aesthetic,hps") == ("hps", "aesthetic")
    assert filters(None) == ()
    with pytest.raises(BadValue, match="names no metric"):
        Training(metric=" , ")
