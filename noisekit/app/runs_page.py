"""The page on which runs are opened, and small comparisons begun."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from noisekit import registry
from noisekit.app import pieces
from noisekit.app.comparing import Comparison, comparison
from noisekit.app.controls import budget, whole
from noisekit.app.desk import Desk, explained, outcome
from noisekit.app.try_page import DEVICE, usual_model
from noisekit.registry import DEFAULT_METRICS

PROMPTS = "a red circle to the left of a blue square\ntwo green triangles\na yellow square above a red circle"


def runs_page(desk: Desk) -> None:
    """Lay out the page."""
    with gr.Row():
        run = gr.Dropdown(desk.offer.stores(), value=None, label="Run", elem_id="run", scale=3)
        again = gr.Button("Look for new runs", elem_id="again", scale=1)
    opened = gr.HTML(elem_id="opened")
    with gr.Accordion("Begin a comparison", open=False, elem_id="comparison"):
        with gr.Row():
            name = gr.Textbox(
                "first", label="Name of the run", info="letters, digits, - and _", elem_id="name", max_lines=1
            )
            model = gr.Dropdown(
                list(desk.offer.models), value=usual_model(desk), label="Model", elem_id="compared-model"
            )
        methods = gr.Textbox(
            "best_of(n=4), reno(steps=5)",
            label="Methods",
            info="with commas between; the standard noise is always beside them",
            elem_id="methods",
            max_lines=1,
        )
        prompts = gr.Textbox(PROMPTS, label="Prompts", info="one a line", lines=4, elem_id="prompts")
        with gr.Row():
            seeds = gr.Number(
                2, label="Seeds", info="images of each prompt and method", precision=0, elem_id="seeds"
            )
            calls = gr.Textbox(
                "",
                label="Calls",
                info="an image, at most; empty: no limit",
                elem_id="compared-calls",
                max_lines=1,
            )
        metrics = gr.Dropdown(
            list(registry.METRICS),
            value=list(DEFAULT_METRICS),
            multiselect=True,
            label="Metrics",
            elem_id="metrics",
        )
        with gr.Row():
            begin = gr.Button("Compare", variant="primary", elem_id="compare")
            stop = gr.Button("Stop", interactive=False, elem_id="compare-stop")
        came = gr.HTML(elem_id="came")

    def compare(
        request: gr.Request,
        called: str,
        on: str,
        by: str,
        lines: str,
        number: Any,
        most: Any,
        judged: list[str],
    ) -> Iterator[tuple[Any, ...]]:
        over = gr.Button(interactive=True), gr.Button(interactive=False)
        busy = gr.Button(interactive=False), gr.Button(interactive=True)
        same = gr.skip(), gr.skip()
        with desk.running(str(request.session_hash)) as ended:
            try:
                asked = Comparison(called, on, by, lines, whole(number), tuple(judged), budget(calls=most))
                yield pieces.said("loading the model and the metrics …"), *same, *busy
                for view in comparison(desk.device, desk.offer, asked, ended):
                    if not view.over:
                        yield pieces.compared(view), *same, *busy
                        continue
                    whole_run = _opened(desk, called) if view.over == "done" else gr.skip()
                    stores = gr.Dropdown(desk.offer.stores(), value=called)
                    yield pieces.compared(view), stores, whole_run, *over
            except Exception as error:
                yield explained(error), *same, *over

    def end(request: gr.Request) -> None:
        desk.stop(str(request.session_hash))

    asked = [name, model, methods, prompts, seeds, calls, metrics]
    private: dict[str, Any] = {"api_visibility": "private"}
    begin.click(
        compare,
        asked,
        [came, run, opened, begin, stop],
        concurrency_id=DEVICE,
        concurrency_limit=1,
        show_progress="hidden",
        **private,
    )
    stop.click(end, None, None, queue=False, **private)
    again.click(lambda: gr.Dropdown(desk.offer.stores()), None, run, **private)
    run.input(lambda chosen: _opened(desk, chosen), run, opened, **private)


def _opened(desk: Desk, run: str | None) -> str:
    """The report of a run within the page, and a link that opens it alone."""
    if not run:
        return ""

    def work() -> str:
        written = desk.reports.page(run).stat().st_mtime_ns
        address = f"report/{run}/?{written}"
        frame = f'<iframe src="{address}" title="{pieces.text(f"The report of {run}")}"></iframe>'
        return f"<p>{pieces.link(address, 'Open it alone')}</p>{frame}"

    return outcome(work)
