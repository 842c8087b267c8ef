"""The case `scd`: a dimension with type 1 and type 2 columns, brought up to date batch by batch."""

import argparse
import json
import shutil
import statistics
import subprocess
import sys

from common import build, cache, here, measured, peers, rotated, show_table, write

PEERS = {"duckdb": "DuckDB, own file", "delta-rs": "delta-rs MERGE", "spark": "Spark, Delta MERGE"}


def main(arguments):
    parser = argparse.ArgumentParser(prog="bench/run scd", description=__doc__)
    parser.add_argument("--rows", type=int, help="current rows; none: 1 and 5 million, scattered and clustered")
    parser.add_argument("--clustered", action="store_true", help="with --rows: neighbouring keys change")
    parser.add_argument("--changes", type=int, default=100_000, help="changes in a batch")
    parser.add_argument("--batches", type=int, default=10)
    parser.add_argument("--buckets", type=int, default=16, help="Weir's curated.buckets")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each contestant; Spark runs in the first alone")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-peers", action="store_true", help="Weir alone")
    parser.add_argument("--only", help="these contestants, by name, with commas")
    parser.add_argument("--resume", action="store_true", help="go on with the runs that an earlier call has finished")
    args = parser.parse_args(arguments)

    contestants = ["weir"] + ([] if args.no_peers else list(PEERS))
    if args.only:
        contestants = [name for name in contestants if name in args.only.split(",")]
    if args.rows:
        settings = [(args.rows, args.clustered)]
    else:
        settings = [(1_000_000, False), (5_000_000, False), (1_000_000, True), (5_000_000, True)]
    binary = build("scd")
    python = peers() if set(contestants) - {"weir"} else None
    work = cache() / "bench"
    work.mkdir(parents=True, exist_ok=True)
    kept = Kept(work / "scd-unfinished.json", {**vars(args), "resume": None}, args.resume)

    results = []
    for rows, clustered in settings:
        folder = prepare(binary, work, args, rows, clustered)
        for number, name in rotated(contestants, args.rounds, once=["spark"]):
            kept.once(f"{rows} {clustered} {number} {name}", lambda: contest(name, binary, python, folder, work))
        results.append(summary(rows, clustered, folder, contestants, args, kept))
        show(results[-1])
        shutil.rmtree(folder)
    write("scd", {"seed": args.seed, "settings": results})
    kept.path.unlink(missing_ok=True)
    return 0 if all(one["ok"] for result in results for one in result["contestants"].values()) else 1


class Kept:
    """Finished runs, on disk after each, so that a call that was stopped can be gone on with."""

    def __init__(self, path, key, resume):
        self.path = path
        self.key = json.dumps(key, sort_keys=True)
        self.runs = {}
        if resume and path.exists():
            before = json.loads(path.read_text())
            self.runs = before["runs"] if before["key"] == self.key else {}

    def once(self, name, run):
        if name not in self.runs:
            print(f"bench: {name} ..", file=sys.stderr, flush=True)
            self.runs[name] = run()
            self.path.write_text(json.dumps({"key": self.key, "runs": self.runs}))


def prepare(binary, work, args, rows, clustered):
    folder = work / f"scd-{rows}-{args.changes}-{args.batches}-{args.seed}-{args.buckets}{'-clustered' * clustered}"
    if not (folder / "input.json").exists():
        shutil.rmtree(folder, ignore_errors=True)
        print(f"bench: making {rows} rows and {args.batches} batches of {args.changes} changes", file=sys.stderr)
        command = [binary, "prepare", folder, "--rows", rows, "--changes", args.changes, "--batches", args.batches]
        command += ["--seed", args.seed, "--buckets", args.buckets] + ["--clustered"] * clustered
        subprocess.run([str(word) for word in command], check=True)
    return folder


def contest(name, binary, python, folder, work):
    """One run of one contestant in a process and a folder of its own."""
    at = work / "contest"
    shutil.rmtree(at, ignore_errors=True)
    at.mkdir(parents=True)
    if name == "weir":
        command = [binary, "run", folder, at]
    else:
        command = [python, here / "peers" / f"scd_{name.replace('-', '_')}.py", folder, at]
    run = measured(command, {"WEIR_BENCH_IVY": str(work / "ivy")})
    shutil.rmtree(at, ignore_errors=True)
    return run


def summary(rows, clustered, folder, contestants, args, kept):
    given = json.loads((folder / "input.json").read_text())
    result = {
        "rows": rows, "clustered": clustered, "changes": args.changes, "batches": args.batches, "late": given["late"],
        "bytes_changed": sum(given["change_bytes"]), "contestants": {},
    }
    for name in contestants:
        names = [f"{rows} {clustered} {number} {name}" for number in range(args.rounds)]
        runs = [kept.runs[name] for name in names if name in kept.runs]
        whole = [run for run in runs if "batches" in run]
        one = {"ok": bool(runs) and all(run["ok"] for run in runs), "unit": "changes/s", "rounds": len(runs)}
        result["contestants"][name] = one
        if not whole:
            one["failed"] = runs[0].get("failed", "no run") if runs else "no run"
            continue

        def middle(of):
            return statistics.median(of(run) for run in whole)

        def total(key):
            return middle(lambda run: sum(batch[key] for batch in run["batches"]))

        one |= {
            "rate": args.changes * args.batches / total("seconds"),
            "seconds_of_batches": [middle(lambda run: run["batches"][i]["seconds"]) for i in range(args.batches)],
            "last_to_first": middle(lambda run: run["batches"][-1]["seconds"] / run["batches"][0]["seconds"]),
            "cpu_seconds": total("cpu_seconds"),
            "peak_rss_mb": middle(lambda run: run["peak_rss_mb"]),
            "bytes_written": total("bytes_written"),
            "written_per_changed": total("bytes_written") / result["bytes_changed"],
            "first_load_seconds": middle(lambda run: run["load"]["seconds"]),
            "overlaps": max(run["overlaps"] for run in whole),
            "late": whole[0]["late"],
            "wrong_rows": max(abs(run["found"]["versions"] - run["expected"]["versions"]) for run in whole),
        }
    return result


def show(result):
    kind = "clustered" if result["clustered"] else "scattered"
    print(f"\n{result['rows']:,} current rows, {result['batches']} batches of {result['changes']:,} {kind} changes, "
          f"{result['late']:,} of them late")
    head = ["", "changes/s", "written/changed", "last/first", "CPU s", "peak MB", "overlaps", "late changes"]
    lines = [head]
    for name, one in result["contestants"].items():
        if "rate" not in one:
            lines.append([PEERS.get(name, "Weir"), f"FAIL {one['failed']}"] + [""] * 6)
            continue
        rate = f"{one['rate']:,.0f}" if one["ok"] else f"FAIL {one['wrong_rows']} rows"
        lines.append([
            PEERS.get(name, "Weir"), rate, f"{one['written_per_changed']:.1f}", f"{one['last_to_first']:.2f}",
            f"{one['cpu_seconds']:.1f}", f"{one['peak_rss_mb']:,.0f}", str(one["overlaps"]), one["late"],
        ])
    show_table(lines, left=(0, 7))
