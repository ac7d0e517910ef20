"""The voting page of a run, on a port of its own: its pages and the app's know nothing of each other."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Lock, Thread

from noisekit import registry
from noisekit.runs import load_run
from noisekit.store.store import Store
from noisekit.vote import questions as criteria
from noisekit.vote.pairs import pairs
from noisekit.vote.serving import Serving
from noisekit.vote.study import Study


class Voting:
    """Serves one run's study at a time, to whom the app is served too."""

    def __init__(self, host: str) -> None:
        self.host = host
        self._lock, self._open = Lock(), ExitStack()

    def serve(self, run: Path, methods: str, questions: Sequence[str]) -> tuple[str, int]:
        """The link of a page for a run, and how many pairs there are; the page of before is closed."""
        asked = criteria.chosen(questions)
        with self._lock, ExitStack() as opened:
            loaded = load_run(run)
            found = pairs(loaded.frame(), registry.split(methods))
            self._open.close()
            store = opened.enter_context(Store.prepare(run, loaded.manifest["noise"]))
            study = Study(store, found, list(asked))
            serving = opened.enter_context(Serving(study, asked, loaded.folder, self.host))
            Thread(target=_answer, args=(serving,), daemon=True).start()
            self._open = opened.pop_all()
        return serving.link, len(found)

    def close(self) -> None:
        """Serve no more; votes are kept."""
        with self._lock:
            self._open.close()


def _answer(serving: Serving) -> None:
    """Until it is closed under its feet."""
    with suppress(OSError):
        serving.run()
