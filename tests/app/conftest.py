"""The app on a port of this machine, served by this process to a browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from noisekit.app.offer import Offer

if TYPE_CHECKING:
    from noisekit.app.serving import Serving


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """One app for all tests: importing gradio takes seconds."""
    pytest.importorskip("gradio", reason="needs the extra app")
    from noisekit.app.serving import Serving

    runs: Path = tmp_path_factory.mktemp("app") / "runs"
    with Serving(Offer.of([], ["pink(alpha=0.1)"], runs), port=0) as serving:
        thread = Thread(target=serving.run, daemon=True)
        thread.start()
        yield serving
        serving.close()
        thread.join(10)
        assert not thread.is_alive()
