"""Diversity of stored images: one line a setting and prompt, and a further one whenever that prompt has got more seeds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

import torch

from noisekit.evaluation.diversity import distances
from noisekit.experiment.identity import digest
from noisekit.experiment.store import Row, Store
from noisekit.rewards.clip_score import CLIPScore


class DiversityMeter:
    """Measures how far apart the stored images of each prompt are, once for every set of seeds."""

    def __init__(self, store: Store, embedding: CLIPScore, batch: int) -> None:
        self.store, self.embedding, self.batch = store, embedding, batch
        self.embedding_id = digest(embedding.identity)
        lines = [row for row in store.lines("diversity") if row["embedding_id"] == self.embedding_id]
        self.done = {(row["setting"], row["prompt_id"], tuple(row["seeds"])) for row in lines}

    def measure(self, setting: str, prompts: Collection[str]) -> None:
        """Measure all images of a setting, of the prompts with these ids, where there are two seeds or more."""
        images: dict[str, dict[int, str]] = defaultdict(dict)
        for row in self.store.lines("rows"):
            if row["setting"] == setting and row["prompt_id"] in prompts and self.store.has(row["image"]):
                images[row["prompt_id"]][row["seed"]] = row["image"]
        lacking = {
            prompt: [of_seed[seed] for seed in sorted(of_seed)]
            for prompt, of_seed in images.items()
            if len(of_seed) > 1 and (setting, prompt, tuple(sorted(of_seed))) not in self.done
        }
        embeddings = iter(self._embedded([name for names in lacking.values() for name in names]))
        new: list[Row] = []
        for prompt, names in lacking.items():
            own = torch.stack([next(embeddings) for _ in names])
            about = {"setting": setting, "prompt_id": prompt, "seeds": sorted(images[prompt])}
            new.append(about | {"embedding_id": self.embedding_id, "distances": distances(own).tolist()})
        self.store.append("diversity", new)
        self.done |= {(setting, row["prompt_id"], tuple(row["seeds"])) for row in new}

    def _embedded(self, names: list[str]) -> list[torch.Tensor]:
        parts = [names[start : start + self.batch] for start in range(0, len(names), self.batch)]
        images = (torch.stack([self.store.image(name) for name in part]) for part in parts)
        return [embedding for batch in images for embedding in self.embedding.embed(batch)]
