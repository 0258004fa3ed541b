"""A headless Chromium that a test tells what to do, over a pipe: no port, no driver."""

import fcntl
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import IO, Any

# Where the browser reads commands, and where it answers.
READS, WRITES = 3, 4
ABOVE = 10  # so that no end of a pipe is one of those

# In the page: what the selector finds, as soon as it is there.
FOUND = """
new Promise((found) => {
  const look = () => {
    const one = document.querySelector(%s);
    if (one) found(one); else setTimeout(look, 50);
  };
  look();
})
"""


class Refused(Exception):
    """The browser did not do what it was told."""


@dataclass
class Page:
    commands: IO[bytes]
    answers: IO[bytes]
    session: str = ""
    numbers: Iterator[int] = field(default_factory=count)

    def tell(self, method: str, **params: Any) -> dict[str, Any]:
        """A command of the DevTools protocol, and its result."""
        number = next(self.numbers)
        command = {"id": number, "method": method, "params": params}
        if self.session:
            command["sessionId"] = self.session
        self.commands.write(json.dumps(command).encode() + b"\0")
        self.commands.flush()
        while (answer := json.loads(self._heard())).get("id") != number:
            pass  # an event
        if "error" in answer:
            raise Refused(answer["error"]["message"])
        result: dict[str, Any] = answer["result"]
        return result

    def _heard(self) -> bytes:
        heard = bytearray()
        while (byte := self.answers.read(1)) != b"\0":
            assert byte, "the browser ended"
            heard += byte
        return bytes(heard)

    def run(self, script: str) -> Any:
        """The value of a promise in the page."""
        while True:
            try:
                told = self.tell(
                    "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
                )
                break
            except Refused as refused:  # the page is still on its way
                if "context" not in str(refused):
                    raise
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    def click(self, selector: str) -> None:
        self.run(f"{FOUND % json.dumps(selector)}.then((one) => one.click())")

    def paste(self, selector: str, text: str) -> None:
        self.run(f"{FOUND % json.dumps(selector)}.then((one) => one.focus())")
        self.tell("Input.insertText", text=text)

    def text(self, selector: str) -> str:
        told: str = self.run(f"{FOUND % json.dumps(selector)}.then((one) => one.innerText)")
        return told.strip()


@contextmanager
def opened(browser: str, options: tuple[str, ...], profile: Path, url: str) -> Iterator[Page]:
    """The page at `url`, in a browser of its own."""
    reads, commands = os.pipe()
    answers, writes = os.pipe()
    far = [fcntl.fcntl(end, fcntl.F_DUPFD, ABOVE) for end in (reads, writes)]

    def as_the_browser_has_them() -> None:
        os.dup2(far[0], READS)
        os.dup2(far[1], WRITES)

    process = subprocess.Popen(
        [browser, *options, "--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank"],
        preexec_fn=as_the_browser_has_them,  # noqa: PLW1509  # it calls the system alone
        pass_fds=(READS, WRITES),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for end in (reads, writes, *far):
        os.close(end)
    try:
        with os.fdopen(commands, "wb") as told, os.fdopen(answers, "rb") as heard:
            page = Page(told, heard)
            target = page.tell("Target.createTarget", url=url)["targetId"]
            attached = page.tell("Target.attachToTarget", targetId=target, flatten=True)
            page.session = attached["sessionId"]
            yield page
    finally:
        process.kill()
        process.wait()
