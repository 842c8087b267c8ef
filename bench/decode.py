"""The case `decode`: frames of change events become columns or values, on one core."""

import argparse
import json
import shutil
import subprocess
import sys

from common import build, cache, here, measured, peers, rotated, show_summaries, summary, write

NAMES = {
    "weir": "Weir, all bounds checked", "arrow-avro": "arrow-avro", "apache-avro": "apache-avro", "fastavro": "fastavro",
}


def main(arguments):
    parser = argparse.ArgumentParser(prog="bench/run decode", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="events")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each contestant")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-peers", action="store_true", help="without fastavro; fetches nothing")
    parser.add_argument("--only", help="these contestants, by name, with commas")
    args = parser.parse_args(arguments)

    contestants = [name for name in NAMES if name != "fastavro" or not args.no_peers]
    if args.only:
        contestants = [name for name in contestants if name in args.only.split(",")]
    bench = build("landing")
    python = peers() if "fastavro" in contestants else None
    folder = cache() / "bench/decode"
    shutil.rmtree(folder, ignore_errors=True)
    command = [bench, "prepare", folder, "--rows", args.rows, "--seed", args.seed]
    subprocess.run([str(word) for word in command], check=True)
    runs = {name: [] for name in contestants}
    for number, name in rotated(contestants, args.rounds):
        print(f"bench: {number} {name} ..", file=sys.stderr, flush=True)
        if name == "fastavro":
            run = measured([python, here / "peers/decode_fastavro.py", folder], {})
        else:
            run = measured([bench, "decode", folder, name], {})
        print(f"bench: {json.dumps(run)}", file=sys.stderr, flush=True)
        runs[name].append(run)
    shutil.rmtree(folder)
    result = {name: summary(runs[name], args.rows, "events/s") for name in contestants}
    show_summaries(result, NAMES, args.rows)
    write("decode", {"seed": args.seed, "rows": args.rows, "contestants": result})
    return 0 if all(one["ok"] for one in result.values()) else 1
