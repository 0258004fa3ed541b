"""A file as it was sent: each place that is wrong is told, however the queues are nested."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from app.errors import FieldError, Invalid
from app.fields import Fullpath, Name
from app.plan.schemas import MOST_QUEUES, QueueSettings
from app.policy.matching import Wanted
from app.ranges import MAX_DEPTH

_NAME: TypeAdapter[str] = TypeAdapter(Name)
_FULLPATH: TypeAdapter[str] = TypeAdapter(Fullpath)


@dataclass(frozen=True, slots=True)
class Described:
    """What a file says: below the path `root` ("": the whole tree), each queue after its parent."""

    root: str
    wanted: list[Wanted]


def read(body: bytes) -> Described:
    """Raises `Invalid` with each place."""
    said = _json(body)
    if not isinstance(said, dict):
        raise wrong([("body", "must be an object with `queues`")])
    reading = _Reading()
    unknown = said.keys() - {"root", "queues"}
    reading.wrong += [
        (_shown(name), "is no field of a file: root, queues") for name in sorted(unknown)
    ]
    root = said.get("root", "/")
    try:
        root = _FULLPATH.validate_python(root, strict=True).rstrip("/")
    except ValidationError as refused:
        reading.wrong.append(("root", _first(refused)))
        root = ""
    wanted = list(reading.queues(root, said.get("queues")))
    if reading.wrong:
        raise wrong(reading.wrong)
    return Described(root, wanted)


def wrong(places: list[tuple[str, str]]) -> Invalid:
    """The refusal that lists them."""
    return Invalid.of([FieldError(field=place, message=message) for place, message in places])


class _Reading:
    """What is wrong so far, and how many queues there are."""

    def __init__(self) -> None:
        self.wrong: list[tuple[str, str]] = []
        self.count = 0

    def queues(self, root: str, said: Any) -> Iterator[Wanted]:
        """Without recursion: the nesting is the caller's."""
        rest: list[tuple[str, int, Any]] = list(self._below(root, 1, said))
        while rest:
            path, level, queue = rest.pop()
            if not isinstance(queue, dict):
                self.wrong.append((path, "must be a queue: fields with their values"))
                continue
            if level > MAX_DEPTH:
                self.wrong.append((path, f"is too deep: a tree has at most {MAX_DEPTH} levels"))
                continue
            found = self._queue(path, {name: queue[name] for name in queue if name != "queues"})
            if found is not None:
                yield found
            rest += self._below(path, level + 1, queue.get("queues"))

    def _below(self, path: str, level: int, said: Any) -> list[tuple[str, int, Any]]:
        """The last first: they are taken from the end."""
        if said is None:
            return []
        if not isinstance(said, dict):
            place = f"{path}: queues" if path else "queues"
            self.wrong.append((place, "must be queues by their names"))
            return []
        self.count += len(said)
        if self.count > MOST_QUEUES:
            too_many = f"there are more than {MOST_QUEUES} queues: describe parts with `root`"
            raise wrong([*self.wrong, ("queues", too_many)])
        named = [(name, queue) for name, queue in said.items() if self._is_name(path, name)]
        return [(f"{path}/{name}", level, queue or {}) for name, queue in reversed(named)]

    def _is_name(self, path: str, name: str) -> bool:
        try:
            _NAME.validate_python(name, strict=True)
        except ValidationError as refused:
            self.wrong.append(
                (f"{path}/{_shown(name)}", f"is no name of a queue: {_first(refused)}")
            )
            return False
        return True

    def _queue(self, path: str, said: dict[str, Any]) -> Wanted | None:
        try:
            queue = QueueSettings.model_validate(said)
        except ValidationError as refused:
            for error in refused.errors():
                field = _shown(str(error["loc"][0])) if error["loc"] else "queue"
                self.wrong.append((f"{path}: {field}", _message(error["msg"])))
            return None
        return Wanted(path, queue.settings(), queue.id, queue.moved_from)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body, object_pairs_hook=_once)
    except RecursionError as deep:
        raise wrong([("body", "is nested too deep")]) from deep
    except ValueError as broken:
        raise wrong([("body", f"is not JSON: {broken}")]) from broken


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; of two entries with one name the first would be lost unheard."""
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"{twice[:255]!r} is there twice")
    return found


def _shown(name: str) -> str:
    """A name that the validation had not seen yet, as an answer can have it."""
    return name[:255].encode(errors="replace").decode()


def _first(refused: ValidationError) -> str:
    return _message(refused.errors()[0]["msg"])


def _message(told: str) -> str:
    return told.removeprefix("Value error, ")
