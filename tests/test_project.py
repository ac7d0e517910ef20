"""The promises of the project as a whole: its style, its architecture, what it carries and how fast it answers."""

from __future__ import annotations

import ast
import configparser
import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "noisekit"

#: Rooms from top to bottom: each imports only from those before it. `init` stands for the public names in __init__.py.
ROOMS = (
    *(
        "errors",
        "shown",
        "paths",
        "files",
        "output",
        "hashing",
        "pickles",
        "pictures",
        "inline",
        "card",
        "image_prompts",
        "types",
        "noise",
        "cost",
        "flops",
        "threads",
        "registry",
        "world",
        "solvers",
        "models",
        "rewards",
        "npnet",
        "hypernoise",
        "methods",
        "handover",
    ),
    *("prompts", "metrics", "evaluation", "report", "plan", "store", "golden_seeds", "web"),
    *("vote", "results", "runs", "engine", "comparison", "scoring"),
    *("papers", "experiment", "app", "tiny", "testing", "init", "cli"),
)

#: What is in order by the list above and still must not meet.
STRANGERS = {("rewards", "models"), ("solvers", "world"), ("models", "world"), ("rewards", "world")}

HEAVY = {"torch", "torchvision", "diffusers", "transformers", "open_clip", "pandas", "matplotlib", "scipy"}
MEGABYTE = 2**20


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    """The files that git carries and that are still here."""
    listing = run("git", "ls-files", "-z")
    if listing.returncode:
        pytest.skip("this is not a git checkout")
    return [path for name in listing.stdout.split("\0") if name and (path := ROOT / name).is_file()]


@pytest.mark.parametrize("arguments", ["ruff check .", "ruff format --check .", "pyrefly check"])
def test_style_and_types(arguments: str) -> None:
    done = run(sys.executable, "-m", *arguments.split())
    assert done.returncode == 0, done.stdout + done.stderr


# --- architecture ----------------------------------------------------------------------------------------------------


def room_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return "init" if parts == ("__init__",) else parts[0]


def imports(node: ast.AST, package: list[str]) -> Iterator[tuple[int, str]]:
    """Line and dotted name of every import under a node, in functions too, types for annotations only left out."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            for other in child.orelse:
                yield from imports(ast.Module([other], []), package)
        elif isinstance(child, ast.Import):
            yield from ((child.lineno, alias.name) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            base = package[: len(package) - child.level + 1] if child.level else []
            start = ".".join([*base, *([child.module] if child.module else [])])
            yield from ((child.lineno, f"{start}.{alias.name}") for alias in child.names)
        else:
            yield from imports(child, package)


def test_rooms_import_only_from_rooms_above() -> None:
    """The order of the design: `report` and `results` do not know each other, `runs` knows both.

    The report is handed a run and reads its frame and files. Imports inside functions count; those under TYPE_CHECKING
    do not. The package's own version may be read anywhere.
    """
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        room = room_of(path)
        if room not in ROOMS:
            wrong.append(f"{path.relative_to(ROOT)}: give the room {room!r} its place in ROOMS")
            continue
        package = list(path.relative_to(ROOT).parent.parts)
        for line, name in dict.fromkeys(imports(ast.parse(path.read_text(encoding="utf-8")), package)):
            top, _, rest = name.partition(".")
            if room == "world" and top in HEAVY - {"scipy"}:
                wrong.append(
                    f"{path.relative_to(ROOT)}:{line}: the world knows no network, and imports {name}"
                )
            if top != "noisekit" or rest == "__version__":
                continue
            other = rest.split(".")[0]
            is_room = other in ROOMS or (PACKAGE / other).is_dir() or (PACKAGE / f"{other}.py").is_file()
            other = other if is_room and other else "init"
            above = other in ROOMS and ROOMS.index(other) <= ROOMS.index(room)
            if not above or (room, other) in STRANGERS:
                wrong.append(f"{path.relative_to(ROOT)}:{line}: {room} imports {other}")
    assert not wrong, "\n".join(wrong)


def test_no_module_imports_itself_by_way_of_others() -> None:
    """Imports inside functions count: what has to be imported late to work stands in the wrong place."""
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in sorted(PACKAGE.rglob("*.py"))
    }
    graph: dict[str, set[str]] = {}
    for module, path in modules.items():
        package = list(path.relative_to(ROOT).parent.parts)
        names = {name for _, name in imports(ast.parse(path.read_text(encoding="utf-8")), package)}
        found = {name if name in modules else name.rpartition(".")[0] for name in names}
        graph[module] = {name for name in found if name in modules and name not in (module, "noisekit")}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as circle:
        pytest.fail(" → ".join(reversed(circle.args[1])))


#: Folders of tests that are no room: what tests are made of.
MATERIAL = {"data", "layouts", "oracle", "pipelines"}


def test_tests_mirror_the_rooms() -> None:
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and path.name[0] not in "._"}
    assert folders <= {*ROOMS, *MATERIAL}


PLAIN_LOADERS = {"yaml.SafeLoader"}  # it makes nothing but lists, mappings and plain values


def test_nothing_unpickles_code() -> None:
    """A weight file from anywhere may be loaded, so none may run code."""
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
        plain = PLAIN_LOADERS | {
            node.name for node in classes if [ast.unparse(base) for base in node.bases] == ["yaml.SafeLoader"]
        }
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            function = ast.unparse(node.func)
            keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            unsafe = (
                (function == "torch.load" and keywords.get("weights_only") != "True")
                or (
                    function in {"np.load", "numpy.load"} and keywords.get("allow_pickle", "False") != "False"
                )
                or function in {"pickle.load", "pickle.loads", "pd.read_pickle", "joblib.load"}
                or (function == "yaml.load" and ast.unparse(node.args[-1]) not in plain)
            )
            if unsafe:
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}")
    assert not wrong, "\n".join(wrong)


# --- what the repository carries -------------------------------------------------------------------------------------


def test_no_path_of_somebodys_machine(tracked: list[Path]) -> None:
    machine = re.compile(rb"(?<![\w.~-])/(?:work|root|home|Users)/\w")
    wrong = []
    for path in tracked:
        content = path.read_bytes()
        if b"\0" not in content:
            wrong += [
                f"{path.relative_to(ROOT)}:{number}: {line.decode(errors='replace').strip()[:120]}"
                for number, line in enumerate(content.splitlines(), 1)
                if machine.search(line)
            ]
    assert not wrong, "\n".join(wrong)


def test_the_repository_stays_small(tracked: list[Path]) -> None:
    """Bundled weights take at most 40 MB together; no other file takes more than 5 MB."""
    weights = {path: path.stat().st_size for path in tracked if path.suffix == ".safetensors"}
    assert sum(weights.values()) <= 40 * MEGABYTE, weights
    others = {str(path): path.stat().st_size for path in tracked if path not in weights}
    assert not {path: size for path, size in others.items() if size > 5 * MEGABYTE}


def configuration() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def test_an_installation_holds_every_data_file(tracked: list[Path]) -> None:
    patterns = configuration()["options.package_data"]["noisekit"].split()
    packaged = {path for pattern in patterns for path in PACKAGE.glob(pattern)}
    missing = [
        path for path in tracked if PACKAGE in path.parents and path.suffix != ".py" and path not in packaged
    ]
    assert not missing, f"package_data in setup.cfg leaves out {missing}"
    folders = {path.parent for path in tracked if PACKAGE in path.parents and path.suffix == ".py"}
    bare = [folder for folder in folders if not (folder / "__init__.py").is_file()]
    assert not bare, f"without an __init__.py, an installation leaves out {bare}"


def test_constraints_lie_within_the_ranges() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    exact = dict(line.lower().split("==") for line in lines if line and not line.startswith("#"))
    setup = configuration()
    extras = setup["options.extras_require"]
    ranges = setup["options"]["install_requires"] + extras["test"] + extras["docs"]
    for line in ranges.splitlines():
        if line.strip() and not line.startswith(("#", "noisekit[")):
            wanted = Requirement(line)
            version = exact[re.sub(r"[-_.]+", "-", wanted.name).lower()]
            assert wanted.specifier.contains(version), f"{wanted} does not allow {version} of constraints.txt"


# --- the first impression --------------------------------------------------------------------------------------------


def test_help_is_instant_and_needs_no_torch() -> None:
    """Under half a second of processor time from the shell, the best of five."""
    if not importlib.util.find_spec("noisekit.cli"):
        pytest.skip("there is no command line yet")
    script = "import sys; from noisekit.cli import main; sys.exit(main(['--help']))"
    seconds = []
    for _ in range(5):
        before = os.times()
        done = run(sys.executable, "-c", script)
        after = os.times()
        seconds.append(
            after.children_user + after.children_system - before.children_user - before.children_system
        )
        assert done.returncode == 0, done.stderr
    assert "compare" in done.stdout
    assert min(seconds) < 0.5, [round(value, 2) for value in seconds]

    listing = (
        "import sys, atexit; atexit.register(lambda: print(*sys.modules, file=sys.stderr)); " + script[12:]
    )
    loaded = set(run(sys.executable, "-c", listing).stderr.split())
    assert "noisekit.cli" in loaded
    assert not loaded & HEAVY
