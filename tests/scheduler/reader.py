"""Somebody who reads the feed and keeps nothing."""

from dataclasses import dataclass

import asyncpg

from app.scheduler import feed


@dataclass
class Reader:
    connection: asyncpg.Connection
    seen: feed.Seen

    async def news(self) -> tuple[set[int], set[int], set[str]]:
        """Queues, jobs and agents."""
        news = feed.news(await feed.read(self.connection, self.seen), self.seen)
        for ids in (news.queues, news.jobs, news.agents):
            assert len(set(ids)) == len(ids)
        self.seen = news.seen
        return set(news.queues), set(news.jobs), {str(agent) for agent in news.agents}


NOTHING: tuple[set[int], set[int], set[str]] = (set(), set(), set())
