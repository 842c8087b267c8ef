"""The case `landing`: a topic of change events in a real Kafka becomes a table in hour folders."""

import json
import shutil
import subprocess
import sys

from common import all_runs, asked, build, cache, here, measured, peers, report, root, whole_process

NAMES = {
    "weir": "Weir", "broken": "Weir, 1 in 1,000 broken", "spark": "Spark Structured Streaming", "python": "Python loop",
    "iceberg": "Iceberg sink, Kafka Connect", "consume": "limit: consume only",
    "decode": "limit: decode only, 1 core", "encode": "limit: write files only",
}
PEERS = ["spark", "python", "iceberg"]


def main(arguments):
    rounds, no_peers = "rounds of each contestant; peers run in the first alone", "Weir and the run's own limits alone"
    args, contestants = asked(arguments, "landing", __doc__, 2_000_000, NAMES, PEERS, no_peers, rounds)
    bench, weir = build("landing", "weir")
    python = peers()
    work = cache() / "bench/landing"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    if "iceberg" in contestants:
        fetch_jars(here / "peers")
    parts = Parts()
    try:
        print(f"bench: sending {args.rows:,} events", file=sys.stderr)
        folder = work / "input"
        for name, more in [("input", []), ("broken", ["--broken-one-in", 1000])]:
            if name == "input" or name in contestants:
                command = [bench, "prepare", work / name, "--rows", args.rows, "--seed", args.seed, *more]
                command += ["--brokers", parts.brokers, "--registry", parts.registry]
                subprocess.run([str(word) for word in command], check=True)

        def fresh(name):
            at = work / "contest"
            shutil.rmtree(at, ignore_errors=True)
            at.mkdir()
            return contest(name, bench, weir, python, parts, work / "broken" if name == "broken" else folder, at)

        runs = all_runs(contestants, args.rounds, fresh, once=PEERS)
    finally:
        parts.stop()
        shutil.rmtree(work, ignore_errors=True)
    return report("landing", args, NAMES, runs)


def fetch_jars(of):
    subprocess.run([sys.executable, root / "tests/parts/jars.py", "fetch", of], check=True)


class Parts:
    """A Kafka and a registry of this run."""

    def __init__(self):
        fetch_jars(root / "tests/parts")
        command = [sys.executable, root / "tests/parts/parts.py", "kafka", "registry"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            sys.exit("bench: Kafka did not start")
        where = json.loads(line)
        self.brokers, self.registry = where["kafka"]["plain"], where["registry"]
        self.apicurio = where["apicurio"]

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


def contest(name, bench, weir, python, parts, folder, at):
    """One run of one contestant in a process and a folder of its own, and whether its table is right."""
    if name == "decode":
        return measured([bench, "decode", folder, "weir"], {})
    if name == "consume":
        return measured([bench, "consume", folder], {})
    if name == "encode":
        return measured([bench, "encode", folder, at / "lake"], {})
    if name in ("weir", "broken"):
        command = [weir, "-p", folder / "project", "-d", at, "stream", "--once"]
        run, _ = whole_process(command)
        table = at / "lake/landing/order_item"
    else:
        environment = {
            "WEIR_BENCH_IVY": str(cache() / "bench/ivy"), "WEIR_BENCH_WORK": str(at),
            "WEIR_BENCH_APICURIO": parts.apicurio,
        }
        table = at / "lake/table"
        run = measured([python, here / "peers" / f"landing_{name}.py", folder, table], environment)
    if run["ok"]:
        letters = [at / "lake/deadletter/order_item"] if name == "broken" else []
        run |= measured([python, here / "peers/landing_check.py", folder, table, *letters], {})
    return run
