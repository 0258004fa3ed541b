"""What a process no longer needs it gives back."""

import weakref

import pytest
from fastapi import FastAPI

from app.scheduler import feed, session
from tests.farm import Farm


@pytest.mark.parametrize("why", ["a cycle fails", "the feed cannot tell"])
async def test_a_farm_that_is_thrown_away_is_freed_when_it_is_read_anew(
    farm: Farm, app: FastAPI, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    await farm.queue("/films")
    await farm.job("shot", tasks=9, queue="/films")
    await farm.agent("a0")
    assert await farm.gets("a0") == "shot"
    former = weakref.ref(app.state.desk._cycles.kept)

    async def fails(*_: object) -> None:
        raise OSError("the database went away")

    def cannot_tell(*_: object) -> None:
        monkeypatch.undo()
        raise feed.Outdated

    if why == "a cycle fails":
        with monkeypatch.context() as broken:
            broken.setattr(session, "write_unless_news", fails)
            assert (await farm.ask("a0")).status_code == 503
    else:
        monkeypatch.setattr(feed, "news", cannot_tell)
    assert await farm.gets("a0") == "shot"
    assert app.state.desk._cycles.kept is not former()
    assert former() is None


async def test_a_parent_job_that_is_over_leaves_nothing_behind(farm: Farm, app: FastAPI) -> None:
    parent = (await farm.job("parent"))["id"]
    await farm.job("child", parents=[parent])
    await farm.agent("a0")
    assert await farm.gets("a0") == "parent"
    assert parent in app.state.desk._cycles.kept.children
    await farm.client.delete(f"/jobs/{farm.jobs['child']}")
    await farm.finish("a0")
    assert await farm.gets("a0") is None
    assert app.state.desk._cycles.kept.children == {}
