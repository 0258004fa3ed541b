"""The page of the codes names each of them."""

import re
from pathlib import Path

from app.explain.schemas import Code

PAGE = Path(__file__).parents[2] / "docs" / "why.md"


def test_the_page_has_every_code_and_no_other() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    named = {code for row in rows for code in re.findall(r"`([a-z_]+)`", row.split("|")[1])}
    assert named == {code.value for code in Code}
