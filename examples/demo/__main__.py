"""`python -m examples.demo`: service, queue tree, four agents, an animation rendered."""

import argparse
import os
import shutil
import signal
import sys
import time
from pathlib import Path

from examples.demo import processes
from examples.demo.processes import Child, DemoFailed
from examples.demo.sample import FARM, Sample, apply_tree, submit_jobs, withdraw_leftovers
from examples.demo.screen import follow
from farmqueue.client import Client
from farmqueue.errors import FarmqueueError
from farmqueue.model import Job

AGENTS = 4
HOST = "127.0.0.1"


def main() -> int:
    """Run the demo; 0 when all is done, 1 when something failed, 130 when interrupted before."""
    wanted = _arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # SIGTERM ends it as Ctrl-C does
    try:
        return _run(wanted.farm, wanted.result.absolute(), once=wanted.once)
    except KeyboardInterrupt:
        print("demo: stopped", file=sys.stderr)
        return 130
    except (DemoFailed, FarmqueueError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


def _run(farm: Path, result: Path, *, once: bool) -> int:
    began = time.monotonic()
    data_dir = Path(os.environ.get("FARMQUEUE_DATA_DIR") or ".farmqueue/demo").absolute()
    port = processes.free_port(HOST, int(os.environ.get("FARMQUEUE_PORT") or 8000))
    sample = Sample.load(farm, result)
    token = processes.admin_token(data_dir)
    print(f"Starting the service and its PostgreSQL (data and logs in {_short(data_dir)}) …")
    with (
        processes.service(data_dir, HOST, port, token) as service,
        Client(f"http://{HOST}:{port}", token=token) as client,
    ):
        processes.wait_until_ready(client, service)
        withdraw_leftovers(client)
        apply_tree(client, sample.queues)
        shutil.rmtree(result / "frames", ignore_errors=True)
        jobs = submit_jobs(client, sample.jobs)
        join = client.create_token("join", "demo")["token"]
        with processes.agents(data_dir, client.url, AGENTS, join) as agents:
            ended = follow(client, jobs, [service, agents])
            _conclude(client, ended, result, time.monotonic() - began)
            if not once:
                _serve_on(client.url, data_dir, [service, agents])
    return 0


def _conclude(client: Client, jobs: list[Job], result: Path, seconds: float) -> None:
    """Say what became of the jobs; DemoFailed when not all of them are done."""
    failed = [_why(client, job) for job in jobs if job["state"] != "done"]
    if failed:
        raise DemoFailed("\n".join(failed))
    print(f"\nAll {len(jobs)} jobs are done, {seconds:.0f} seconds after the start.")
    for picture in sorted(result.glob("*.png")):
        print(f"  the result    {_short(picture)}")
    print("                animated: open it in a browser")


def _why(client: Client, job: Job) -> str:
    if job["state"] != "failed":
        return f"job {job['id']} {job['title']!r} cannot run: a job that it waits for has failed"
    task = next(client.tasks(job["id"], state="failed"))
    return f"job {job['id']} {job['title']!r} failed: frame {task['frame']}: {task['last_error']}"


def _serve_on(url: str, data_dir: Path, children: list[Child]) -> None:
    command = _short(Path(sys.executable).with_name("farmqueue"))
    print(f"  the page      {url}/")
    print(f"                log in with the token in {_short(data_dir / 'admin-token')}")
    print(f"  the API docs  {url}/docs")
    print("The service and its agents go on until Ctrl-C. The tree:")
    print(f"  FARMQUEUE_DATA_DIR={_short(data_dir)} {command} queues --url {url}")
    try:
        while True:
            time.sleep(0.5)
            for child in children:
                child.must_live()
    except KeyboardInterrupt:
        print("\nStopping.")


def _short(path: Path) -> str:
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="end when all jobs are done")
    parser.add_argument("--farm", type=Path, default=FARM, help="the queues and jobs, as JSON")
    parser.add_argument(
        "--result", type=Path, default=Path("demo-result"), help="directory for the pictures"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
