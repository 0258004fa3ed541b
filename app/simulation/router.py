"""The route of simulations."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from app.access import Right
from app.caller import GuardedRoute, needs
from app.db.engine import CONFIRM
from app.simulation.answers import Simulation
from app.simulation.schemas import SimulationRequest
from app.simulation.service import Simulations

router = APIRouter(route_class=GuardedRoute, tags=["simulation"])

BODY = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {"$ref": f"#/components/schemas/{SimulationRequest.__name__}"}
        }
    },
}


async def gone(request: Request) -> None:
    """Return once the client has hung up; its body has been read by then."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def the_simulations(request: Request) -> Simulations:
    simulations: Simulations = request.app.state.simulations
    return simulations


AtTheSide = Annotated[Simulations, Depends(the_simulations)]


@router.post(
    "/simulate",
    summary="What if: the farm played forward",
    dependencies=[needs(Right.READ)],
    response_model=None,
    responses={200: {"model": Simulation, "description": "With the changes, and without"}},
    openapi_extra={"requestBody": BODY},
)
async def simulate(request: Request, simulations: AtTheSide) -> Response:
    """Who gets how many agents when, after changes of the tree, of limits, of agents, of work.

    The rules decide it that decide on the farm; it changes nothing. Every agent asks the moment it
    is free, every task succeeds, task times are those measured so far. 422: it names what is not
    there, or takes more time or memory than it may. 503: as many as may be are running already.
    """
    async with request.app.state.engine.begin() as connection:
        await request.scope[CONFIRM](connection)
    # Not read here: it may be large, and agents wait for this process.
    body = await request.body()
    answer = await simulations.simulate(body, lambda: gone(request))
    return Response(answer, media_type="application/json")
