"""What a public home of the project reads: how to cite it, what runs on a change, what is asked of who reports something."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

import noisekit
from noisekit import registry

ROOT = Path(__file__).resolve().parents[1]


def read(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def citation() -> dict[str, Any]:
    return read("CITATION.cff")


def test_the_citation_has_what_its_format_asks_for(citation: dict[str, Any]) -> None:
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert citation["version"] == noisekit.__version__
    assert f"license_expression = {citation['license']}" in (ROOT / "setup.cfg").read_text(encoding="utf-8")
    for reference in citation["references"]:
        assert {"type", "title", "authors", "year", "url", "identifiers", "notes"} <= reference.keys()
        assert all(author.keys() == {"given-names", "family-names"} for author in reference["authors"])
        (identifier,) = reference["identifiers"]
        arxiv = identifier["value"].removeprefix("arXiv:")
        assert reference["url"] == f"https://arxiv.org/abs/{arxiv}"
        assert int(arxiv[:2]) == reference["year"] % 100


def test_every_method_with_a_paper_is_cited(citation: dict[str, Any]) -> None:
    """The numbers at the head of a method's module are the references that name the method."""
    cited = {reference["url"].rpartition("/")[2]: reference["notes"] for reference in citation["references"]}
    for name, place in registry.OWN_METHODS.items():
        module = ROOT / f"{place.partition(':')[0].replace('.', '/')}.py"
        head = module.read_text(encoding="utf-8").split('"""')[1]
        papers = [number for number in re.findall(r"arXiv\s+(\d{4}\.\d{5})", head) if number in cited]
        assert not papers or any(re.search(rf"\b{name}\b", cited[number]) for number in papers), name
        if re.search(r"\b(Qi|Eyring|Zhou|Ma|Xu),? .*20\d\d", head):
            assert any(re.search(rf"\b{name}\b", notes) for notes in cited.values()), f"{name} is not cited"


def test_the_workflow_calls_make_test() -> None:
    workflow = read(".github/workflows/test.yml")
    assert workflow.keys() == {"name", True, "permissions", "concurrency", "jobs"}  # YAML reads `on` as True
    assert {"push", "pull_request"} == workflow[True].keys()
    (job,) = workflow["jobs"].values()
    assert {"runs-on", "steps", "strategy", "timeout-minutes"} <= job.keys()
    assert all(("uses" in step) != ("run" in step) for step in job["steps"])
    commands = [line for step in job["steps"] for line in step.get("run", "").splitlines()]
    targets = [words[1] for line in commands if (words := shlex.split(line))[:1] == ["make"]]
    assert targets == ["test", "docs"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert all(f"\n{target}:" in makefile for target in targets)
    oldest = re.search(r"python_requires = >=([\d.]+)", (ROOT / "setup.cfg").read_text(encoding="utf-8"))
    assert oldest
    assert oldest[1] in job["strategy"]["matrix"]["python"]


def test_the_hooks_before_a_commit_are_those_of_make_lint() -> None:
    hooks = [hook for repo in read(".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]]
    assert [hook["id"] for hook in hooks] == ["ruff", "ruff-format", "pyrefly"]
    for hook in hooks:
        assert {"id", "name", "entry", "language"} <= hook.keys()
        assert hook["language"] == "system"
    lint = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\nlint:")[2].partition("\n\n")[0]
    for hook in hooks:
        tool = " ".join(word for word in hook["entry"].split()[1:] if not word.startswith("--"))
        assert tool in lint, tool


@pytest.mark.parametrize(
    "path", sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("[!c]*.yml")), ids=lambda path: path.stem
)
def test_a_form_for_issues_has_what_it_needs(path: Path) -> None:
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert {"name", "description", "body"} <= form.keys()
    for field in form["body"]:
        assert field["type"] in {"markdown", "textarea", "input", "dropdown", "checkboxes"}
        assert field["attributes"]["label"]
    assert len({field["id"] for field in form["body"]}) == len(form["body"])
