"""The page on which a run is put to the vote, and what people have said so far is shown."""

from __future__ import annotations

from typing import Any

import gradio as gr

from noisekit.app import pieces
from noisekit.app.desk import Desk, outcome
from noisekit.runs import load_run
from noisekit.vote.questions import CRITERIA

#: What is shown of a win rate.
COLUMNS = ["model", "question", "method", "other", "votes", "voters", "rate", "low", "high"]


def vote_page(desk: Desk) -> None:
    """Lay out the page."""
    with gr.Row():
        run = gr.Dropdown(desk.offer.stores(), value=None, label="Run", elem_id="voted-run")
        methods = gr.Textbox(
            label="Methods", info="two or more; empty: all of the run", elem_id="voted-methods", max_lines=1
        )
    questions = gr.CheckboxGroup(
        [(f"{name}: {asked}", name) for name, asked in CRITERIA.items()],
        value=["overall"],
        label="Questions",
        elem_id="questions",
    )
    with gr.Row():
        serve = gr.Button("Serve the voting page", variant="primary", elem_id="serve")
        close = gr.Button("Close it", elem_id="close")
    served = gr.HTML(elem_id="served")
    said = gr.HTML(elem_id="rates")

    def open_page(request: gr.Request, chosen: str | None, by: str, asked: list[str]) -> tuple[str, str]:
        def work() -> str:
            link, pairs = desk.voting.serve(desk.offer.folder(chosen or ""), by, asked)
            host = str(request.headers.get("host", "")).rpartition(":")[0]
            reached = link.replace("0.0.0.0", host or "0.0.0.0")
            words = "vote; each voter takes a code, and nobody sees which method made which picture"
            return f"<p>{pairs} pairs: {pieces.link(reached, reached)}: {pieces.text(words)}</p>"

        return outcome(work), outcome(lambda: _rates(desk, chosen))

    def close_page() -> str:
        desk.voting.close()
        return pieces.said("the voting page is closed; votes are kept in the run")

    private: dict[str, Any] = {"api_visibility": "private"}
    serve.click(open_page, [run, methods, questions], [served, said], **private)
    close.click(close_page, None, served, **private)
    run.input(lambda chosen: outcome(lambda: _rates(desk, chosen)), run, said, **private)
    run.focus(lambda: gr.Dropdown(desk.offer.stores()), None, run, queue=False, **private)


def _rates(desk: Desk, run: str | None) -> str:
    """How often which method was preferred so far."""
    if not run:
        return ""
    votes = load_run(desk.offer.folder(run)).votes()
    if not len(votes):
        return pieces.said("nobody has voted on this run yet")
    return pieces.table(votes.rates()[COLUMNS])
