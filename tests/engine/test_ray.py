"""The Ray executor: it gives the rows of one process, also when workers or whole machines are lost."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
import yaml

ray = pytest.importorskip("ray", reason="needs Ray: install the extra of that name")

from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # noqa: E402

from noisekit.comparison import run_plan  # noqa: E402
from noisekit.engine.executors import load_executor  # noqa: E402
from noisekit.engine.executors.cluster import Machines  # noqa: E402
from noisekit.engine.executors.ray import check_shared  # noqa: E402
from noisekit.engine.missing import remainder  # noqa: E402
from noisekit.engine.units import (  # noqa: E402
    Generation,
    Job,
    Scoring,
)
from noisekit.engine.worker import Resources, Worker, describe  # noqa: E402
from noisekit.errors import BadValue, NotSupported  # noqa: E402
from noisekit.methods import load_method  # noqa: E402
from noisekit.plan import load_plan  # noqa: E402
from noisekit.plan.sources import ModelSource  # noqa: E402
from noisekit.prompts import load_prompts  # noqa: E402
from noisekit.results import load_run  # noqa: E402
from noisekit.results.run import Run  # noqa: E402
from noisekit.store.store import Store  # noqa: E402
from noisekit.types import Budget  # noqa: E402
from tests.engine.alike import assert_alike  # noqa: E402
from tests.engine.toys import PROMPTS, SELECTION, CountingModel, Mortal  # noqa: E402

METRICS = ["truth", "clip_score"]
#: What depends on the machine and on how cells were put together.
LOOSE = ["seconds", "batch", "peak_memory"]


@pytest.fixture
def cluster() -> Iterator[None]:
    """Ray on this machine, which the executor finds and leaves running."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    handler = signal.getsignal(signal.SIGTERM)
    ray.init(
        "local", num_cpus=2, include_dashboard=False, object_store_memory=100 * 2**20, log_to_driver=False
    )
    yield
    ray.shutdown()
    signal.signal(signal.SIGTERM, handler)


def plan(*methods: Any, **more: Any) -> dict[str, Any]:
    given = {"prompts": "tiny", "limit": 6, "seeds": 2, "metrics": METRICS, "batch": 2}
    return {"models": ["tiny"], "methods": list(methods), "settings": {"steps": 1}, **given, **more}


def table(run: Run) -> pd.DataFrame:
    """All that should not depend on who did the work, in an order that does not either."""
    frame = run.frame().drop(columns=LOOSE)
    return frame.sort_values(["method", "prompt", "seed"], ignore_index=True)


def assert_once(store: Path, frame: pd.DataFrame, metrics: int = len(METRICS)) -> None:
    """No image and no score is there twice, in the files as in the table."""
    opened = Store.read(store)
    ids = [row["id"] for row in opened.lines("rows")]
    scores = [row["score_id"] for row in opened.lines("scores")]
    assert len(ids) == len(set(ids)) == len(frame)
    assert len(scores) == len(set(scores)) == metrics * len(frame)


def until(condition: Callable[[], Any], seconds: float = 300) -> Any:
    """Wait for something to be true, and return it."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)
    return value


def begun(store: Path) -> bool:
    return any(file.stat().st_size for file in (store / "rows").glob("*.jsonl"))


@pytest.mark.slow
def test_the_rows_are_those_of_one_process_though_a_worker_was_lost(tmp_path: Path, cluster: None) -> None:
    died = tmp_path / "died"
    given = load_plan(plan(Mortal(str(died))))
    died.touch()
    whole = table(run_plan(given, store=tmp_path / "whole", progress=False))
    died.unlink()
    with pytest.warns(UserWarning, match="a worker was lost over 2 images; another one does them"):
        run = run_plan(given, store=tmp_path / "ray", executor="ray", progress=False)
    assert died.exists()
    assert_alike(table(run), whole)
    assert_once(tmp_path / "ray", whole)
    assert run.failures().empty
    writers = [file for file in (tmp_path / "ray" / "rows").glob("*.jsonl") if file.stat().st_size]
    assert len(writers) >= 2  # the driver wrote none of them
    assert ray.is_initialized()


@pytest.mark.parametrize("rows", [6, 3, 0])
def test_what_the_store_lacks_of_a_lost_unit_is_done_again(tmp_path: Path, rows: int) -> None:
    model, suite = CountingModel(), load_prompts(PROMPTS)
    job = Job.of(ModelSource(model), model, load_method(SELECTION), Budget(), "per_prompt")
    unit = Generation(job, suite.name, tuple(suite.prompts), (0, 1))
    resources = Resources(tmp_path, "per_prompt", ("truth",), "tiny")
    with Worker(resources) as worker:
        describe(worker.store, resources.evaluator)
        assert len(worker.do(unit)[0]) == 6
    stored = cut(tmp_path, "rows", rows)
    scored = cut(tmp_path, "scores", min(rows, 2))

    with Worker(resources) as worker:
        left = list(remainder(unit, worker.store, resources.evaluator))
        again = [cell.id for part in left if isinstance(part, Generation) for cell in part.cells]
        scoring = [part for part in left if isinstance(part, Scoring)]
        assert sorted(again) == sorted({cell.id for cell in unit.cells} - stored)
        assert {row["id"] for part in scoring if part.metrics for row in part.rows} == stored - scored
        assert {row["id"] for part in scoring if not part.metrics for row in part.rows} == scored
        for part in left:
            worker.do(part)
    assert_once(tmp_path, load_run(tmp_path).frame(), 1)
    assert len(load_run(tmp_path)) == 6


def cut(store: Path, kind: str, lines: int) -> set[str]:
    """Leave so many lines of a kind and the begin of another, as a worker that dies does; the ids that are left."""
    (file,) = (store / kind).glob("*.jsonl")
    whole = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(whole[:lines]) + b"".join(whole[lines:])[:20])
    return {row["id"] for row in Store.read(store).lines(kind)}  # type: ignore[arg-type]


def test_what_ray_cannot_do_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "models": CountingModel(),
        "methods": SELECTION,
        "prompts": load_prompts(PROMPTS),
        "metrics": ["truth"],
    }
    with pytest.raises(NotSupported, match=r"was given as an object, .* give its name or folder"):
        run_plan(load_plan(given), store=tmp_path, executor="ray", progress=False)
    assert Store.read(tmp_path).lines("rows") == []
    assert not ray.is_initialized()
    resources = Resources(tmp_path, "per_prompt", ("truth",), "tiny")
    assert list(load_executor("ray", resources).run([])) == []  # nothing to do starts nothing
    assert not ray.is_initialized()
    with pytest.raises(BadValue, match=r"unknown executor 'rya'.*ray"):
        load_executor("rya", resources)
    with pytest.raises(BadValue, match="takes no address"):
        load_executor("inprocess:auto", resources)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
        with pytest.raises(NotSupported, match=rf"Ray cluster at '{address}' cannot be reached: .*refused"):
            run_plan(
                load_plan(given | {"models": "tiny"}),
                store=tmp_path,
                executor=f"ray:{address}",
                progress=False,
            )
    assert not ray.is_initialized()
    (tmp_path / "other").mkdir()
    check_shared(resources, Store.read(tmp_path).manifest)
    for elsewhere in (replace(resources, store=tmp_path / "other"), resources):
        with pytest.raises(
            NotSupported, match=r"does not see the store .* file system that all machines share"
        ):
            check_shared(elsewhere, Store.read(tmp_path).manifest | {"created": "then"})
    monkeypatch.setattr("noisekit.engine.executors.ray.find_spec", lambda name: None)
    with pytest.raises(NotSupported, match=r"pip install 'noisekit\[ray\]'"):
        load_executor("ray", resources)


def test_a_lost_machine_is_named_once_with_what_goes_on() -> None:
    def nodes(*alive: bool) -> list[dict[str, Any]]:
        return [
            {"NodeID": f"{i}" * 56, "NodeManagerHostname": "host", "Alive": one}
            for i, one in enumerate(alive)
        ]

    def share(i: int) -> dict[str, Any]:
        return {"scheduling_strategy": NodeAffinitySchedulingStrategy(f"{i}" * 56, soft=True), "num_cpus": 1}

    machines = Machines([share(1), share(1), share(2)], nodes(True, True, True))
    assert list(machines.lost(nodes(True, True, True))) == []
    (sentence,) = machines.lost(nodes(True, False, True))
    assert "machine host (11111111) of the Ray cluster is lost, and with it 2 workers; 1 of other" in sentence
    assert list(machines.lost(nodes(True, False, True, True))) == []  # told already, and one that joined
    (sentence,) = machines.lost(nodes(True, False, False, True))
    assert "with it 1 workers; none is left; another machine has 300 s to join" in sentence


# --- longer ones -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_image_that_kills_every_worker_fails_alone(tmp_path: Path, cluster: None) -> None:
    (tmp_path / "died").touch()
    fatal = load_prompts("tiny", 3).texts[1]
    given = plan(Mortal(str(tmp_path / "died"), fatal), limit=3, seeds=1, batch=3)
    with pytest.warns(UserWarning, match="1 images failed"):
        run = run_plan(load_plan(given), store=tmp_path / "ray", executor="ray", progress=False)
    failures = run.failures()
    assert failures["prompt"].tolist() == [fatal]
    assert failures["reason"].tolist() == ["its worker was lost 3 times"]
    assert len(run) == 3 + 2


@pytest.mark.slow
def test_a_machine_that_is_lost_in_mid_run_costs_no_cell(tmp_path: Path) -> None:
    """Two nodes of one core each; one is killed when the first row is there."""
    from ray.cluster_utils import Cluster

    given = load_plan(plan("inversion", batch=1, limit=40))
    whole = table(run_plan(given, store=tmp_path / "whole", progress=False))
    handler = signal.getsignal(signal.SIGTERM)
    several = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        nodes = [several.add_node(num_cpus=1, object_store_memory=100 * 2**20) for _ in range(2)]
        lost: list[float] = []

        def lose_one() -> None:
            until(lambda: begun(tmp_path / "ray"))
            lost.append(time.monotonic())
            several.remove_node(nodes[0], allow_graceful=False)

        killer = threading.Thread(target=lose_one, daemon=True)
        killer.start()
        executor = f"ray:{several.address}"
        told: list[tuple[float, str]] = []
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = lambda message, *_: told.append((time.monotonic(), str(message)))
            run = run_plan(given, store=tmp_path / "ray", executor=executor, progress=False)
        killer.join(60)
        of_machines = [
            (when, text) for when, text in told if re.match(r"machine \S+ \(\w{8}\) of the Ray", text)
        ]
        assert len(of_machines) == 1, (told, lost, time.monotonic())
        ((when, sentence),) = of_machines
        assert "with it 1 workers; 1 of other machines go on" in sentence
        assert when - lost[0] < 30
    finally:
        several.shutdown()
        signal.signal(signal.SIGTERM, handler)
    assert_alike(table(run), whole)
    assert_once(tmp_path / "ray", whole)


@pytest.mark.slow
def test_ray_starts_here_on_demand_and_a_signal_finishes_the_batches_under_way(tmp_path: Path) -> None:
    given, store = plan("inversion", batch=1, limit=30), tmp_path / "run"
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(given))
    script = "import sys; from noisekit.cli import main; sys.exit(main())"
    options = ["run", str(tmp_path / "plan.yaml"), "--store", str(store), "--executor", "ray"]
    said = tmp_path / "said.txt"
    with said.open("w") as file:
        process = subprocess.Popen([sys.executable, "-c", script, *options], stderr=file, stdout=file)
        until(lambda: begun(store) or process.poll() is not None)
        assert process.poll() is None, said.read_text()
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 130
    assert re.search(r"interrupted; \d+ finished images are kept .* goes on from there", said.read_text())
    ids = {row["id"] for row in Store.read(store).lines("rows")}
    assert 0 < len(ids) < 120
    assert {row["id"] for row in Store.read(store).lines("scores")} == ids
    until(lambda: not any(child.is_running() and child.status() != "zombie" for child in children), 30)
    run = run_plan(load_plan(given), store=store, progress=False)
    whole = table(run_plan(load_plan(given), store=tmp_path / "whole", progress=False))
    assert_alike(table(run), whole)
    assert_once(store, whole)
