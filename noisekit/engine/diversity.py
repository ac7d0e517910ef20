"""Diversity of stored images: one line a setting and prompt, and a further one whenever that prompt has got more seeds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping

import torch

from noisekit.evaluation.embedding import distances
from noisekit.hashing import digest
from noisekit.rewards.clip_score import CLIPScore
from noisekit.store.store import Store

#: Ids of a setting and of a prompt.
Group = tuple[str, str]


def several(store: Store, settings: Collection[str], prompts: Collection[str]) -> dict[Group, dict[int, str]]:
    """The stored images of these settings and prompts by seed, where there are two seeds or more."""
    images: dict[Group, dict[int, str]] = defaultdict(dict)
    for row in store.lines("rows"):
        if row["setting"] in settings and row["prompt_id"] in prompts and store.has(row["image"]):
            images[row["setting"], row["prompt_id"]][row["seed"]] = row["image"]
    return {group: of_seed for group, of_seed in images.items() if len(of_seed) > 1}


class DiversityMeter:
    """Measures how far apart the stored images of each prompt are, once for every set of seeds."""

    def __init__(self, store: Store, embedding: CLIPScore, batch: int) -> None:
        self.store, self.embedding, self.batch = store, embedding, batch
        self.embedding_id = digest(embedding.identity)
        lines = [row for row in store.lines("diversity") if row["embedding_id"] == self.embedding_id]
        self.done = {(row["setting"], row["prompt_id"], tuple(row["seeds"])) for row in lines}

    def measure(self, images: Mapping[Group, Mapping[int, str]]) -> None:
        """Measure groups of images, as `several` gives them, that have not been measured with just these seeds."""
        for (setting, prompt), of_seed in images.items():
            seeds = sorted(of_seed)
            if (setting, prompt, tuple(seeds)) in self.done:
                continue
            own = self._embedded([of_seed[seed] for seed in seeds])
            about = {"setting": setting, "prompt_id": prompt, "seeds": seeds}
            row = about | {"embedding_id": self.embedding_id, "distances": distances(own).tolist()}
            self.store.append("diversity", [row])

    def _embedded(self, names: list[str]) -> torch.Tensor:
        parts = [names[start : start + self.batch] for start in range(0, len(names), self.batch)]
        images = (torch.stack([self.store.image(name) for name in part]) for part in parts)
        return torch.cat([self.embedding.embed(batch) for batch in images])
