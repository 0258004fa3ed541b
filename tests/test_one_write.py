"""What is ready at once goes out in one write, and nothing is kept back for longer than that."""

import asyncio
from typing import cast

from app.one_write import OneWrite

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"


class Transport:
    """Notes what is written to it."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def close(self) -> None:
        self.written.append(b"closed")

    def is_closing(self) -> bool:
        return self.written[-1:] == [b"closed"]


def around() -> tuple[OneWrite, list[bytes]]:
    transport = Transport()
    loop = asyncio.get_running_loop()
    return OneWrite(cast("asyncio.Transport", transport), loop), transport.written


async def test_the_head_of_an_answer_and_what_follows_at_once_go_in_one_write() -> None:
    transport, written = around()
    transport.write(HEAD)
    transport.write(b"{}")
    assert written == [HEAD + b"{}"]
    await asyncio.sleep(0)
    assert written == [HEAD + b"{}"]


async def test_an_answer_without_a_body_goes_at_once() -> None:
    transport, written = around()
    transport.write(HEAD)
    transport.write(b"")
    assert written == [HEAD]


async def test_a_head_that_nothing_follows_goes_when_the_loop_comes_round() -> None:
    transport, written = around()
    transport.write(HEAD)
    await asyncio.sleep(0)
    assert written == [HEAD]
    transport.write(b"data: {}\n\n")
    assert written == [HEAD, b"data: {}\n\n"]


async def test_what_is_held_goes_before_the_connection_is_closed() -> None:
    transport, written = around()
    transport.write(HEAD)
    transport.close()
    assert written == [HEAD, b"closed"]
    assert transport.is_closing()
    await asyncio.sleep(0)
    assert written == [HEAD, b"closed"]


async def test_whatever_else_is_written_goes_at_once() -> None:
    transport, written = around()
    for data in (b"HTTP/1.1 100 Continue\r\n\r\n", b"{}"):
        transport.write(data)
    transport.write(b"more")
    assert b"".join(written).endswith(b"{}more")
