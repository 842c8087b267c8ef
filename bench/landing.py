"""The case `landing`: a topic of change events in a real Kafka becomes a Delta table in hour folders."""

import argparse
import json
import pathlib
import shutil
import subprocess
import sys

from common import build, cache, here, measured, peers, root, rotated, show_summaries, summary, whole_process, write

NAMES = {
    "weir": "Weir", "broken": "Weir, 1 in 1,000 broken", "spark": "Spark Structured Streaming", "python": "Python loop",
    "consume": "limit: consume only", "decode": "limit: decode only, 1 core", "encode": "limit: write files only",
}
PEERS = ["spark", "python"]
LIMITS = ["consume", "decode", "encode"]


def main(arguments):
    parser = argparse.ArgumentParser(prog="bench/run landing", description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000, help="events")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each contestant; peers run in the first alone")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-peers", action="store_true", help="Weir and the run's own limits alone")
    parser.add_argument("--only", help="these contestants, by name, with commas")
    args = parser.parse_args(arguments)

    contestants = ["weir", "broken"] + ([] if args.no_peers else PEERS) + LIMITS
    if args.only:
        contestants = [name for name in contestants if name in args.only.split(",")]
    bench, weir = build("landing", "weir")
    python = peers()
    work = cache() / "bench/landing"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    parts = Parts()
    try:
        print(f"bench: sending {args.rows:,} events", file=sys.stderr)
        folder = work / "input"
        for name, more in [("input", []), ("broken", ["--broken-one-in", 1000])]:
            if name == "input" or name in contestants:
                command = [bench, "prepare", work / name, "--rows", args.rows, "--seed", args.seed, *more]
                command += ["--brokers", parts.brokers, "--registry", parts.registry]
                subprocess.run([str(word) for word in command], check=True)
        runs = {name: [] for name in contestants}
        for number, name in rotated(contestants, args.rounds, once=PEERS):
            print(f"bench: {number} {name} ..", file=sys.stderr, flush=True)
            at = work / "contest"
            shutil.rmtree(at, ignore_errors=True)
            at.mkdir()
            run = contest(name, bench, weir, python, work / "broken" if name == "broken" else folder, at)
            print(f"bench: {json.dumps(run)}", file=sys.stderr, flush=True)
            runs[name].append(run)
    finally:
        parts.stop()
        shutil.rmtree(work, ignore_errors=True)
    result = {name: summary(runs[name], args.rows, "events/s") for name in contestants}
    show_summaries(result, NAMES, args.rows)
    write("landing", {"seed": args.seed, "rows": args.rows, "contestants": result})
    return 0 if all(one["ok"] for one in result.values()) else 1


class Parts:
    """A Kafka and a registry of this run."""

    def __init__(self):
        subprocess.run([sys.executable, root / "tests/parts/jars.py", "fetch"], check=True)
        command = [sys.executable, root / "tests/parts/parts.py", "kafka", "registry"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            sys.exit("bench: Kafka did not start")
        where = json.loads(line)
        self.brokers, self.registry = where["kafka"]["plain"], where["registry"]

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


def contest(name, bench, weir, python, folder, at):
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
        environment = {"WEIR_BENCH_IVY": str(cache() / "bench/ivy"), "WEIR_BENCH_WORK": str(at)}
        table = at / "table"
        run = measured([python, here / "peers" / f"landing_{name}.py", folder, table], environment)
    if run["ok"]:
        letters = [at / "lake/deadletter/order_item"] if name == "broken" else []
        run |= measured([python, here / "peers/landing_check.py", folder, table, *letters], {})
    return run
