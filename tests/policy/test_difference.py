"""What is to be done so that the tree is as described: pure, and no queue is lost on the way."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.policy.difference import Changed, Difference, Made, applied, difference
from app.policy.matching import Part, Stored, Wanted, Wrong, paths

PLAIN = {"weight": 10, "paused": False}


def stored(*queues: tuple[int, int | None, str], **settings: Any) -> Part:
    return Part([Stored(*queue, PLAIN | settings) for queue in queues], 32)


def wanted(path: str, id: int | None = None, moved_from: str | None = None, **settings: Any) -> Wanted:  # noqa: A002, E501  # fmt: skip
    return Wanted(path, {"weight": 10} | settings, id, moved_from)


def told(found: Difference) -> list[str]:
    """In words: + a new queue, ~ one that changes, - one that goes."""
    words = [f"+ {edit.path}" if isinstance(edit, Made) else _word(edit) for edit in found.edits]
    return [*words, *(f"- {one.path}" for one in found.deleted)]


def _word(edit: Changed) -> str:
    return f"{edit.was} > {edit.path}" if edit.moves else f"~ {edit.path} {edit.settings}"


FARM = stored((1, None, "films"), (2, 1, "hero"), (3, 1, "villain"), (4, None, "tv"))


def test_a_description_of_what_is_there_is_no_difference() -> None:
    found = difference(
        FARM, [wanted(p) for p in ("/films", "/films/hero", "/films/villain", "/tv")]
    )
    assert (told(found), bool(found), found.unlisted) == ([], False, [])


def test_a_queue_that_is_not_there_is_made_after_the_one_above_it() -> None:
    found = difference(FARM, [wanted("/ads"), wanted("/ads/spot"), wanted("/films", weight=9)])
    assert told(found) == ["+ /ads", "+ /ads/spot", "~ /films {'weight': (10, 9)}"]
    assert [edit.queue.parent for edit in found.edits if isinstance(edit, Made)] == [None, -1]


def test_a_setting_that_is_not_named_stays_and_a_new_queue_is_not_paused() -> None:
    farm = stored((1, None, "films"), paused=True)
    assert told(difference(farm, [wanted("/films")])) == []
    [made] = difference(farm, [wanted("/films"), wanted("/tv")]).edits
    assert isinstance(made, Made)
    assert made.queue.settings["paused"] is False


def test_what_is_not_described_stays_unless_it_is_to_go() -> None:
    assert difference(FARM, [wanted("/tv")]).unlisted == ["/films", "/films/hero", "/films/villain"]
    found = difference(FARM, [wanted("/tv")], delete=True)
    assert told(found) == ["- /films/villain", "- /films/hero", "- /films"]
    assert found.unlisted == []


@pytest.mark.parametrize("how", [{"id": 2}, {"moved_from": "/films/hero"}])
def test_a_queue_moves_and_is_never_deleted_and_made(how: dict[str, Any]) -> None:
    described = [wanted("/films"), wanted("/tv"), wanted("/tv/star", **how)]
    found = difference(FARM, described, delete=True)
    assert told(found) == ["/films/hero > /tv/star", "- /films/villain"]
    after = replace(FARM, stored=applied(FARM.stored, found))
    assert not difference(after, described, delete=True)


def test_what_hangs_below_moves_along_though_no_line_says_so() -> None:
    found = difference(FARM, [wanted("/movies", id=1), wanted("/movies/hero", weight=3)])
    assert told(found) == ["/films > /movies", "~ /movies/hero {'weight': (10, 3)}"]
    assert paths(FARM, applied(FARM.stored, found))[3] == "/movies/villain"


def test_two_queues_change_places() -> None:
    found = difference(FARM, [wanted("/tv", id=1), wanted("/films", id=4)])
    assert told(found) == ["/films > /tv", "/tv > /films"]


def wanted_by_places(**was: str | None) -> list[Wanted]:
    """Queues below the root, and where each was."""
    return [wanted(f"/{name}", moved_from=place) for name, place in was.items()]


AB = stored((1, None, "a"), (2, None, "b"))


@pytest.mark.parametrize(
    ("was", "edits"),
    [
        ({"b": "/a", "c": "/b"}, ["/a > /b", "/b > /c"]),
        ({"c": "/b", "b": "/a"}, ["/b > /c", "/a > /b"]),
        ({"a": None, "b": "/a", "c": "/b"}, ["+ /a", "/a > /b", "/b > /c"]),
        ({"b": "/a/"}, ["/a > /b"]),
    ],
)
def test_where_queues_were_is_where_they_are_now(was: dict[str, str], edits: list[str]) -> None:
    part = AB if "c" in was else stored((1, None, "a"))
    described = wanted_by_places(**was)
    found = difference(part, described, delete=True)
    assert told(found) == edits
    after = replace(part, stored=applied(part.stored, found))
    assert not difference(after, described, delete=True)


def test_a_place_that_somebody_has_who_is_not_said_to_leave_is_refused() -> None:
    for delete in (False, True):
        places = refused(*wanted_by_places(b="/a"), part=AB, delete=delete)
        assert "/a is still there, and another queue (id 2) is here" in places["/b"]


def test_the_way_is_free_where_who_is_there_leaves_by_its_id() -> None:
    described = [wanted("/b", moved_from="/a"), wanted("/z", id=2)]
    assert told(difference(AB, described)) == ["/a > /b", "/b > /z"]


def test_two_lines_that_say_that_they_were_one_queue_are_refused() -> None:
    places = refused(*wanted_by_places(x="/a", y="/a"), part=AB)
    assert "is queue 1 (/a), as is /x" in places["/y"]


@pytest.mark.parametrize("names", ["ab", "abc"])
def test_a_circle_is_refused_since_it_cannot_be_told_from_what_it_makes(names: str) -> None:
    part = stored(*((number, None, name) for number, name in enumerate(names, 1)))
    was = {name: f"/{names[number - 1]}" for number, name in enumerate(names)}
    places = refused(*wanted_by_places(**was), part=part)
    assert places.keys() == {f"/{name}" for name in names}
    assert all("give their ids" in what for what in places.values())


def test_a_queue_comes_below_one_that_was_below_it() -> None:
    found = difference(FARM, [wanted("/hero", id=2), wanted("/hero/films", id=1)])
    assert told(found) == ["/films/hero > /hero", "/films > /hero/films"]
    assert paths(FARM, applied(FARM.stored, found))[3] == "/hero/films/villain"


def test_a_new_queue_takes_the_name_of_one_that_comes_below_it() -> None:
    described = [wanted("/tv"), wanted("/tv/old", moved_from="/tv"), wanted("/films")]
    found = difference(FARM, described)
    assert told(found) == ["+ /tv", "/tv > /tv/old"]
    assert not difference(replace(FARM, stored=applied(FARM.stored, found)), described)


def refused(*described: Wanted, part: Part = FARM, delete: bool = False) -> dict[str, str]:
    with pytest.raises(Wrong) as wrong:
        difference(part, described, delete=delete)
    return dict(wrong.value.places)


def test_every_place_that_is_wrong_is_told() -> None:
    places = refused(
        wanted("/a", id=99),
        wanted("/b", moved_from="/nowhere"),
        wanted("/c", id=1),
        wanted("/d", id=1),
        wanted("/e", id=4, moved_from="/tv"),
    )
    assert places.keys() == {"/a", "/b", "/d", "/e"}
    assert "no queue with id 99" in places["/a"]
    assert "no queue /nowhere" in places["/b"]
    assert "queue 1 (/films), as is /c" in places["/d"]


def test_a_name_that_a_queue_keeps_which_is_not_described_is_refused() -> None:
    places = refused(wanted("/films"), wanted("/films/villain", id=2))
    assert "queue 3 has this name" in places["/films/villain"]
    found = difference(FARM, [wanted("/films"), wanted("/films/villain", id=2)], delete=True)
    assert told(found) == ["/films/hero > /films/villain", "- /tv", "- /films/villain"]


def test_a_tree_that_gets_too_deep_by_a_move_is_refused() -> None:
    shallow = replace(FARM, levels=2)
    assert refused(wanted("/tv"), wanted("/tv/films", id=1), part=shallow).keys() == {
        "/tv/films/hero",
        "/tv/films/villain",
    }


def test_a_part_knows_only_what_is_below_its_root() -> None:
    part = Part([Stored(2, 1, "hero", PLAIN), Stored(3, 1, "villain", PLAIN)], 31, 1, "/films")
    assert told(difference(part, [wanted("/films/hero", weight=1)])) == [
        "~ /films/hero {'weight': (10, 1)}"
    ]
    assert "below /films" in refused(wanted("/films/x", id=4), part=part)["/films/x"]
    assert "below /films" in refused(wanted("/films/x", moved_from="/tv"), part=part)["/films/x"]


# --- any two trees ---


@st.composite
def trees(draw: st.DrawFn, ids: Sequence[int]) -> Part:
    """Queues of these ids, some left out, in any shape."""
    chosen = draw(st.permutations(ids).map(lambda all_: all_[: draw(st.integers(0, len(ids)))]))
    queues: list[Stored] = []
    taken: set[tuple[int | None, str]] = set()
    for queue_id in chosen:
        parent = draw(st.sampled_from([None, *(one.id for one in queues)]))
        name = draw(st.sampled_from("abc"))
        if (parent, name) in taken:
            continue
        taken.add((parent, name))
        settings = {"weight": draw(st.integers(0, 3)), "paused": draw(st.booleans())}
        queues.append(Stored(queue_id, parent, name, settings))
    return Part(queues, 32)


def described(part: Part, known: set[int], was: Mapping[int, str] | None = None) -> list[Wanted]:
    """The tree as a file says it, with the ids of those that are known already, or their places."""
    places = paths(part, part.stored)
    every = [
        Wanted(places[one.id], one.settings, one.id if one.id in known else None,
               (was or {}).get(one.id))
        for one in part.stored
    ]  # fmt: skip
    return sorted(every, key=lambda one: one.path.count("/"))


def looks(stored: Sequence[Stored]) -> dict[str, Any]:
    places = paths(Part(stored, 32), stored)
    return {places[one.id]: one.settings for one in stored}


@given(trees(range(1, 9)), trees(range(1, 9)))
def test_what_is_different_done_to_one_tree_makes_the_other(before: Part, after: Part) -> None:
    known = {one.id for one in before.stored}
    found = difference(before, described(after, known), delete=True)
    done = applied(before.stored, found)
    assert looks(done) == looks(after.stored)
    kept = {one.id for one in after.stored} & known
    assert kept <= {one.id for one in done}
    assert not difference(replace(before, stored=done), described(after, known), delete=True)


@given(trees(range(1, 9)), trees(range(1, 9)))
def test_at_every_step_each_queue_hangs_in_the_tree(before: Part, after: Part) -> None:
    """Edits and deletions are told one after the other, and none of them makes a circle."""
    known = {one.id for one in before.stored}
    found = difference(before, described(after, known), delete=True)
    parents = {one.id: one.parent for one in before.stored}
    for edit in found.edits:
        queue = edit.queue if isinstance(edit, Made) else edit.after
        parents[queue.id] = queue.parent
        at, steps = queue.parent, 0
        while at is not None:
            at, steps = parents[at], steps + 1
            assert at != queue.id
            assert steps <= len(parents)
    for deleted in found.deleted:
        del parents[deleted.queue.id]
        assert deleted.queue.id not in parents.values()


@given(trees(range(1, 9)))
def test_a_tree_described_as_it_is_differs_in_nothing(part: Part) -> None:
    known = {one.id for one in part.stored}
    assert not difference(part, described(part, known), delete=True)
    assert not difference(part, described(part, set()), delete=True)


@given(trees(range(1, 9)), trees(range(1, 9)), st.sets(st.integers(1, 8)))
def test_who_is_named_by_its_place_is_kept_or_all_is_refused(
    before: Part, after: Part, by_place: set[int]
) -> None:
    places = paths(before, before.stored)
    was = {queue_id: place for queue_id, place in places.items() if queue_id in by_place}
    file = described(after, {*places} - by_place, was)
    try:
        found = difference(before, file, delete=True)
    except Wrong:
        return
    done = applied(before.stored, found)
    assert looks(done) == looks(after.stored)
    assert {one.id for one in after.stored} & {*places} <= {one.id for one in done}
    assert not difference(replace(before, stored=done), file, delete=True)
