"""Asking why over HTTP: what tests of explanations share."""

from typing import Any

from tests.farm import Farm, Json


async def why(farm: Farm, path: str, **params: Any) -> Json:
    response = await farm.client.get(f"{path}/explain", params=params)
    assert response.status_code == 200, response.text
    found: Json = response.json()
    return found


async def of_job(farm: Farm, title: str, **params: Any) -> Json:
    return await why(farm, f"/jobs/{farm.jobs[title]}", **params)


def codes(found: Json) -> list[str]:
    return [reason["code"] for reason in found["reasons"]]


async def act_on(farm: Farm, found: Json) -> None:
    """Make the change that is named, just as it stands there."""
    change = found["change"]
    response = await farm.client.request(change["method"], change["path"], json=change["body"])
    assert response.status_code == 200, response.text
