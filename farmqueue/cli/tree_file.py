"""A tree of queues as YAML: read with the line of everything, written for people to read."""

import math
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, cast

import typer
import yaml

from farmqueue.cli.exits import Exit, complain
from farmqueue.errors import FieldError
from farmqueue.model import QueueNode

# What a file leaves out has these; whether a queue is paused stays as it is.
DEFAULTS: Mapping[str, Any] = {
    "priority": 0,
    "weight": 10,
    "minimum_agents": None,
    "maximum_agents": None,
    "prefer_running_jobs": False,
    "paused": False,
}


class Lined(dict[str, Any]):
    """A mapping that knows the line of each of its keys, from 1."""

    lines: dict[str, int]


class BadFile(Exception):
    """It cannot be read as a tree: the line, and what to write."""

    def __init__(self, line: int | None, what: str) -> None:
        super().__init__(what)
        self.line = line
        self.what = what


# More than any service takes.
MOST = 100_000


@dataclass(frozen=True)
class TreeFile:
    """What the file says, as it is sent; and where each place of it is."""

    name: str
    content: Mapping[str, Any]
    lines: Mapping[str, int] = field(repr=False)

    def place(self, error: FieldError) -> str:
        """An error of the service, with the file and the line in front."""
        at = error["field"]
        line = self.lines.get(at) or self.lines.get(at.partition(": ")[0])
        where = self.name if line is None else f"{self.name}:{line}"
        return f"{where}: {at}: {error['message']}"


def read(path: str) -> TreeFile:
    """The file, `-` for what comes through the pipe; ends the command where it is no YAML."""
    name = "standard input" if path == "-" else path
    try:
        text = (
            typer.get_text_stream("stdin").read() if path == "-" else Path(path).read_text("utf-8")
        )
        content = parsed(text)
        return TreeFile(name, content, dict(places(content)))
    except BadFile as bad:
        where = name if bad.line is None else f"{name}:{bad.line}"
        complain(f"{where}: {bad.what}")
    except (OSError, UnicodeDecodeError) as failed:
        complain(f"{name}: {failed}")
    raise typer.Exit(Exit.REFUSED)


def parsed(text: str) -> Lined:
    """Raises `BadFile`."""
    try:
        content = yaml.load(text, _Loader)  # noqa: S506  # nosec B506  # a SafeLoader
    except yaml.MarkedYAMLError as broken:
        mark = broken.problem_mark or broken.context_mark
        what = ", ".join(filter(None, [broken.context, broken.problem]))
        raise BadFile(None if mark is None else mark.line + 1, f"is no YAML: {what}") from broken
    except yaml.YAMLError as broken:
        raise BadFile(None, f"is no YAML: {broken}") from broken
    except RecursionError as deep:
        raise BadFile(None, "is nested too deep: a tree has at most 32 levels") from deep
    if not isinstance(content, Lined):
        raise BadFile(1, "must begin with `queues:`, and the queues by their names below it")
    return content


class _Loader(yaml.SafeLoader):
    """Mappings know their lines; a key comes once, and is text; what is no JSON is refused."""

    def construct_mapping(
        self,
        node: yaml.MappingNode,
        deep: bool = False,  # noqa: ARG002  # always: a line is to be known at once
    ) -> dict[Any, Any]:
        lines: dict[str, int] = {}
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            line = key_node.start_mark.line + 1
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                written = key_node.value if isinstance(key_node, yaml.ScalarNode) else "a name"
                raise BadFile(line, f"{written} is no text: write it in quotes, '{written}'")
            if key in lines:
                raise BadFile(line, f"{key} is there twice, first in line {lines[key]}: keep one")
            lines[key] = line
        found = Lined(cast("dict[str, Any]", super().construct_mapping(node, deep=True)))
        found.lines = lines
        return found

    def construct_yaml_map(self, node: yaml.MappingNode) -> Generator[dict[Any, Any], None, None]:
        yield self.construct_mapping(node)

    def construct_yaml_float(self, node: yaml.ScalarNode) -> float:
        found = super().construct_yaml_float(node)
        return found if math.isfinite(found) else self.refuse(node)

    def refuse(self, node: yaml.Node) -> NoReturn:
        what = node.value if isinstance(node, yaml.ScalarNode) else "this"
        line = node.start_mark.line + 1
        raise BadFile(line, f"{what} is neither text nor a number: write it in quotes, '{what}'")


_OTHERS: Mapping[str, Callable[..., Any]] = {
    "map": _Loader.construct_yaml_map,
    "float": _Loader.construct_yaml_float,
    **dict.fromkeys(("timestamp", "binary", "set", "omap", "pairs"), _Loader.refuse),
}
for kind, construct in _OTHERS.items():
    _Loader.add_constructor(f"tag:yaml.org,2002:{kind}", construct)


def places(content: Lined) -> Iterator[tuple[str, int]]:
    """The places that the service tells of, with their lines."""
    yield from content.lines.items()
    root = str(content.get("root", "/")).rstrip("/")
    rest: list[tuple[str, Any]] = [(root, content)]
    seen = 0
    while rest:
        path, said = rest.pop()
        seen += 1
        if seen > MOST:  # anchors may make much of little
            raise BadFile(None, f"has more than {MOST} queues: describe parts with `root`")
        queues = said.get("queues")
        if not isinstance(queues, Lined):
            continue
        for name, queue in queues.items():
            below = f"{path}/{name}"
            if name in queues.lines:
                yield below, queues.lines[name]
            if isinstance(queue, Lined):
                yield from ((f"{below}: {key}", line) for key, line in queue.lines.items())
                rest.append((below, queue))


def written(tree: QueueNode, *, ids: bool, schema: str | None) -> str:
    """What hangs below a queue, as YAML: the same tree is always the same text."""
    content: dict[str, Any] = {}
    if tree["id"] is not None:
        content["root"] = tree["fullpath"]
    content["queues"] = _queues(tree, ids)
    head = f"# yaml-language-server: $schema={schema}\n" if schema else ""
    return head + yaml.dump(
        content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000
    )


def _queues(tree: QueueNode, ids: bool) -> dict[str, Any]:
    children = sorted(tree["children"], key=lambda child: child["name"])
    return {child["name"]: _queue(child, ids) for child in children}


def _queue(queue: QueueNode, ids: bool) -> dict[str, Any] | None:
    said: dict[str, Any] = {"id": queue["id"]} if ids else {}
    settings: Mapping[str, Any] = queue
    said |= {name: settings[name] for name in DEFAULTS if settings[name] != DEFAULTS[name]}
    if queue["children"]:
        said["queues"] = _queues(queue, ids)
    return said or None


class _Dumper(yaml.SafeDumper):
    """Nothing where there is nothing to say; no anchors."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """Line ends of all kinds are escaped, which they are between double quotes only."""
    style = None if text.isprintable() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(
    type(None), lambda dumper, _: dumper.represent_scalar("tag:yaml.org,2002:null", "")
)
