"""The tree as YAML: what is read, what is refused by its line, what is written."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.plan.schemas import TreeFile as Model
from farmqueue.cli import tree_file
from farmqueue.cli.tree_file import BadFile, parsed, written
from tests.client.desk import Json, node

WRONG = [
    ("queues:\n  a: {}\n  a: {}\n", 3, "a is there twice, first in line 2"),
    ("queues:\n  010: {}\n", 2, "write it in quotes, '010'"),
    ("queues:\n  no: {}\n", 2, "write it in quotes, 'no'"),
    ("queues:\n  2026-11-24: {}\n", 2, "write it in quotes, '2026-11-24'"),
    ("queues:\n  a:\n    weight: .nan\n", 3, "neither text nor a number"),
    ("queues:\n  a: [\n", 3, "is no YAML"),
    ("queues:\n  a: !!python/name:os.system\n", 2, "is no YAML"),
    ("queues: &all\n  a: {queues: *all}\n", 1, "recursive"),
    ("- a\n", 1, "must begin with `queues:`"),
    ("", 1, "must begin with `queues:`"),
    ("{" * 5_000, None, "nested too deep"),
]


@pytest.mark.parametrize(("text", "line", "what"), WRONG)
def test_a_text_that_is_no_tree_is_refused_by_its_line(
    text: str, line: int | None, what: str
) -> None:
    with pytest.raises(BadFile) as bad:
        parsed(text)
    assert (bad.value.line, what in bad.value.what) == (line, True), bad.value.what


def test_a_place_of_the_service_is_told_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "tree.yaml"
    path.write_text(
        "root: /films\n"
        "queues:\n"
        "  hero: &defaults\n"
        "    weight: -1\n"
        "  villain:\n"
        "    <<: *defaults\n"
        "    queues:\n"
        "      '010':\n"
    )
    read = tree_file.read(str(path))
    at = {
        "root": 1,
        "/films/hero: weight": 4,
        "/films/villain: weight": 5,  # it came by the anchor
        "/films/villain: queues": 7,
        "/films/villain/010": 8,
    }
    for field, line in at.items():
        place = read.place({"field": field, "message": "is wrong"})
        assert place == f"{path}:{line}: {field}: is wrong"
    assert read.place({"field": "/tv", "message": "is deep"}) == f"{path}: /tv: is deep"
    assert json.loads(json.dumps(read.content))["queues"]["villain"]["weight"] == -1


def test_little_text_that_makes_a_large_tree_is_refused() -> None:
    lines = ["queues:", "  a0: &a0 {}"]
    for number in range(1, 30):
        below = f"{{x: *a{number - 1}, y: *a{number - 1}}}"
        lines.append(f"  a{number}: &a{number} {{queues: {below}}}")
    content = parsed("\n".join(lines))
    with pytest.raises(BadFile, match="more than"):
        dict(tree_file.places(content))


NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1)
QUEUES = st.fixed_dictionaries(
    {
        "priority": st.integers(-3, 3),
        "weight": st.integers(0, 12),
        "minimum_agents": st.none() | st.integers(0, 2),
        "maximum_agents": st.none() | st.integers(2, 4),
        "prefer_running_jobs": st.booleans(),
        "paused": st.booleans(),
    }
)


@st.composite
def nodes(draw: st.DrawFn, depth: int = 3) -> Json:
    names = draw(st.lists(NAMES, unique=True, max_size=3)) if depth else []
    children = []
    for name in names:
        child = draw(nodes(depth - 1)) | {"name": name}
        children.append(child)
    return node("", "/", *children) | draw(QUEUES) | {"id": draw(st.integers(1, 99))}


def said(tree: Json) -> dict[str, Any]:
    return {
        child["name"]: {name: child[name] for name in tree_file.DEFAULTS} | {"below": said(child)}
        for child in tree["children"]
    }


def meant(content: Any) -> dict[str, Any]:
    return {
        name: {**tree_file.DEFAULTS, **{k: v for k, v in (queue or {}).items() if k != "queues"},
               "below": meant(queue or {})}
        for name, queue in (content.get("queues") or {}).items()
    }  # fmt: skip


@given(nodes())
@example(node("", "/", node("\x85", "/\x85"), node("\u2028", "/\u2028")))
def test_what_is_written_is_read_as_the_same_tree(tree: Json) -> None:
    text = written(tree | {"id": None}, ids=False, schema=None)  # type: ignore[arg-type]
    assert meant(parsed(text)) == said(tree)


def test_a_tree_is_written_for_people() -> None:
    hero = node("hero", "/films/hero") | {"id": 2, "maximum_agents": None, "paused": True}
    films = node("films", "/films", hero) | {"id": 1, "maximum_agents": 40}
    tv = node("007", "/007") | {"id": 3, "maximum_agents": None}
    root = node("", "/", films, tv) | {"id": None}
    assert written(root, ids=True, schema="tree.schema.json") == (  # type: ignore[arg-type]
        "# yaml-language-server: $schema=tree.schema.json\n"
        "queues:\n"
        "  '007':\n"
        "    id: 3\n"
        "  films:\n"
        "    id: 1\n"
        "    maximum_agents: 40\n"
        "    queues:\n"
        "      hero:\n"
        "        id: 2\n"
        "        paused: true\n"
    )
    assert written(films, ids=False, schema=None) == (  # type: ignore[arg-type]
        "root: /films\nqueues:\n  hero:\n    paused: true\n"
    )
    assert parsed(written(tv | {"children": [tv]}, ids=False, schema=None)) == {  # type: ignore[arg-type]
        "root": "/007",
        "queues": {"007": None},
    }


def test_the_schema_for_editors_is_what_the_service_takes() -> None:
    kept = json.loads(files("farmqueue").joinpath("tree.schema.json").read_text("utf-8"))
    assert kept == {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Model.model_json_schema(),
        "title": "The queues of a farm",
    }
