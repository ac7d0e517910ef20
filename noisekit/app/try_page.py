"""The page on which one prompt is searched for a better noise, and everybody can watch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import fields
from typing import Any

import gradio as gr

from noisekit.app import pieces
from noisekit.app.controls import Control, budget, controls, expression, inside, whole
from noisekit.app.desk import Desk, explained, outcome
from noisekit.app.searching import Asked, Seen, search
from noisekit.handover import NOISE, HandedOver
from noisekit.models.outline import NotLoaded
from noisekit.types import Budget

#: What searches and comparisons wait for in one queue.
DEVICE = "device"
#: What a budget may limit.
LIMITS = tuple(limit.name for limit in fields(Budget))
PROMPT = "a red circle to the left of a blue square"


def try_page(desk: Desk) -> None:
    """Lay out the page."""
    offer = desk.offer
    with gr.Row():
        with gr.Column(scale=2, min_width=320):
            prompt = gr.Textbox(PROMPT, label="Prompt", lines=2, max_lines=4, elem_id="prompt")
            with gr.Row():
                model = gr.Dropdown(
                    list(offer.models), value=usual_model(desk), label="Model", elem_id="model"
                )
                seed = gr.Number(0, label="Seed", elem_id="seed", min_width=80)
            method = gr.Dropdown(
                list(offer.methods),
                value=next((name for name in desk.offer.methods if name == "reno"), desk.offer.methods[0]),
                label="Method",
                elem_id="method",
            )
            limits = _budget()
            with gr.Row():
                begin = gr.Button("Search", variant="primary", elem_id="begin")
                stop = gr.Button("Stop", interactive=False, elem_id="stop")

            @gr.render(inputs=[model, method])
            def chosen_settings(name: str, chosen: str) -> None:
                try:
                    own, wrapped = controls(chosen, offer.source(name).outline().card, offer), inside(chosen)
                except Exception as error:
                    gr.HTML(explained(error))
                    return
                with gr.Accordion("Settings", open=True, elem_id="settings"):
                    brackets = gr.Textbox(
                        wrapped or "",
                        label="methods in its brackets",
                        info="with commas between, as on the command line",
                        visible=wrapped is not None,
                        elem_id="brackets",
                    )
                    shown = [control.component(f"{chosen} on {name}") for control in own]
                costs = gr.HTML(
                    _costs(desk, name, chosen, wrapped or "", [control.value for control in own]),
                    elem_id="costs",
                )
                gr.on(
                    [control.change for control in [brackets, *shown]],
                    lambda words, *values: _costs(desk, name, chosen, words, values),
                    [brackets, *shown],
                    costs,
                    queue=False,
                    show_progress="hidden",
                    api_visibility="private",
                )
                begin.click(
                    _searching(desk, name, chosen, own),
                    [prompt, seed, *limits, brackets, *shown],
                    [status, images, code, file, begin, stop],
                    concurrency_id=DEVICE,
                    concurrency_limit=1,
                    show_progress="hidden",
                    api_visibility="private",
                )

        with gr.Column(scale=3, min_width=320):
            status = gr.HTML(elem_id="status")
            images = gr.HTML(elem_id="images")
            with gr.Accordion("Use this in diffusers", open=False, elem_id="handover"):
                code = gr.Code(
                    language=None, label="Script", interactive=False, wrap_lines=True, elem_id="code"
                )
                file = gr.HTML(elem_id="noise")

    stop.click(_stopped(desk), None, None, queue=False, api_visibility="private")


def _searching(desk: Desk, model: str, method: str, own: Sequence[Control]) -> Any:
    """What a click begins: of a method, on a model, whose controls these are, not of what may be chosen a moment later."""

    def watch(request: gr.Request, prompt: str, seed: Any, *rest: Any) -> Iterator[tuple[Any, ...]]:
        texts, brackets, shown = rest[: len(LIMITS)], rest[len(LIMITS)], rest[len(LIMITS) + 1 :]
        over = gr.Button(interactive=True), gr.Button(interactive=False)
        busy = gr.Button(interactive=False), gr.Button(interactive=True)
        with desk.running(str(request.session_hash)) as ended:
            try:
                chosen = expression(method, brackets or "", own, shown)
                limits = budget(**dict(zip(LIMITS, texts, strict=True)))
                asked = Asked(prompt, model, chosen, whole(seed), limits)
                yield pieces.said("loading the model …"), "", "", "", *busy
                for seen in search(desk.device, desk.offer, asked, ended):
                    views = pieces.searched(seen), pieces.side_by_side(seen, prompt, asked.seed)
                    yield *views, *_handed(desk, seen), *(over if seen.stopped else busy)
            except Exception as error:
                yield explained(error), "", "", "", *over

    return watch


def _stopped(desk: Desk) -> Any:
    def stop(request: gr.Request) -> None:
        desk.stop(str(request.session_hash))

    return stop


def usual_model(desk: Desk) -> str:
    """The model that answers at once, where it is offered."""
    return next((name for name in desk.offer.models if name == "tiny-turbo"), desk.offer.models[0])


def _budget() -> list[gr.Textbox]:
    about = "an image, at most; empty: no limit"
    with gr.Row():
        return [
            gr.Textbox("", label=f"{name.capitalize()}", info=about, elem_id=name, min_width=80, max_lines=1)
            for name in LIMITS
        ]


def _costs(desk: Desk, model: str, method: str, brackets: str, shown: Any) -> str:
    """What the method is called as it stands, and what an image costs by it."""

    def work() -> str:
        outline = desk.offer.source(model).outline()
        own = controls(method, outline.card, desk.offer)
        chosen = desk.offer.method(expression(method, brackets, own, list(shown)))
        resolved = chosen.resolved(outline)
        with suppress(NotLoaded):
            resolved.check(outline)
        try:
            tried = pieces.counted(resolved.horizon, "candidate")
            cost = f"{tried}, {pieces.counted(resolved.cost(outline).calls, 'call')} an image"
        except NotLoaded:
            cost = "what it costs is known when the model is loaded"
        return pieces.said(f"{chosen}: {cost}")

    return outcome(work)


def _handed(desk: Desk, seen: Seen) -> tuple[str, str]:
    """The script, and the link to its noise."""
    if not isinstance(seen.handed, HandedOver):
        return "", pieces.said(seen.handed) if seen.handed else ""
    address = f"handed/{desk.noises.keep(seen.handed)}/{NOISE}"
    return (
        seen.handed.script,
        f'<a href="{address}" download="{NOISE}">{NOISE}</a>, which the script reads beside it',
    )
