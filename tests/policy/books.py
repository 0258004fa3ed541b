"""The judge's books, with queues and jobs that come and go, and work that is done again."""

from tests.policy.brute_force import JOB, QUEUE, BruteForce, Row, tasks_of


class Books(BruteForce):
    def create_queue(self, number: int, given: Row) -> None:
        self.queues[number] = QUEUE | given | {"kind": "queue", "id": number}

    def create_job(self, number: int, given: Row) -> None:
        job = JOB | given | {"kind": "job", "id": number, "parents": list(given["parents"])}
        self.jobs[number] = job | {"tasks": tasks_of(job)}

    def delete_queue(self, number: int) -> None:
        del self.queues[number]

    def delete_job(self, number: int) -> None:
        del self.jobs[number]
        for job in self.jobs.values():
            job["parents"] = [parent for parent in job["parents"] if parent != number]

    def run_again(self, number: int) -> None:
        for task in self.jobs[number]["tasks"]:
            if task["state"] == "done":
                task["state"] = "waiting"
