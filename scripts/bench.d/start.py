"""From the start of each server to its first answer, and the memory of its workers once all have started."""
import proc
from tables import Columns

PART = "start"
WORKERS = 8


def measure(run):
    for number, name in run.rounds(PART, run.options.only, run.options.starts):
        with run.server(PART, name, WORKERS) as server:
            run.add(f"{PART}.ms", name, number, server.first_answer_ms())
            if number < run.options.spreads:
                server.await_workers()
                pss = proc.memory_bytes(server.children())["Pss"]
                run.add(f"{PART}.pss", name, number, pss / WORKERS / 1024)


def chapter(run):
    columns = Columns(run)
    return "\n\n".join([
        "## Starting",
        f"{WORKERS} workers. Memory is that of the workers, idle once each has answered, ÷ {WORKERS}: PSS counts a page that "
        "n processes share as 1/n in each. HAProxy's are threads of one process.",
        columns.table({"first answer after exec, ms": columns.median(f"{PART}.ms", 1),
                       "to nginx": columns.ratio(f"{PART}.ms", "nginx"),
                       "lowest–highest": columns.range(f"{PART}.ms", 1),
                       "PSS of a worker, KiB": columns.median(f"{PART}.pss", 0),
                       "to nginx ": columns.ratio(f"{PART}.pss", "nginx")})])
