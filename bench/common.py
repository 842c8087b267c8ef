"""What the cases share: arguments, building Weir's part, fetching the peers, printing a table, keeping results."""

import argparse
import hashlib
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import time

here = pathlib.Path(__file__).resolve().parent
root = here.parent


def cache():
    return pathlib.Path(os.environ.get("WEIR_CACHE") or pathlib.Path.home() / ".cache/weir")


def asked(arguments, case, about, rows, names, others, no_peers, rounds="rounds of each contestant"):
    """A case's arguments, and which contestants they choose of `names`; `others` are the peers among those."""
    parser = argparse.ArgumentParser(prog=f"bench/run {case}", description=about)
    parser.add_argument("--rows", type=int, default=rows, help="events")
    parser.add_argument("--rounds", type=int, default=3, help=rounds)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-peers", action="store_true", help=no_peers)
    parser.add_argument("--only", help="these contestants, by name, with commas")
    args = parser.parse_args(arguments)
    chosen = [name for name in names if name not in others or not args.no_peers]
    if args.only:
        chosen = [name for name in chosen if name in args.only.split(",")]
    return args, chosen


def build(bench, binary=None):
    """Weir's part of a case, compiled as the workspace is; where it is named, a binary of the product, too."""
    environment = dict(os.environ)
    if "DUCKDB_LIB_DIR" not in environment:
        for line in subprocess.check_output([root / "dev", "env"], text=True).splitlines():
            for word in line.removeprefix("export ").split(" "):
                name, _, value = word.partition("=")
                environment[name] = value.strip("'")
    command = ["cargo", "build", "--manifest-path", root / "Cargo.toml", "--locked", "--release", "--workspace"]
    command += ["--bench", bench] + (["--bin", binary] if binary else [])
    command += ["--message-format", "json-render-diagnostics"]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    made = {}
    for line in done.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable"):
            made[message["target"]["name"]] = message["executable"]
    return (made[bench], made[binary]) if binary else made[bench]


def peers():
    """A Python with the peers, one per list of requirements."""
    wanted = (here / "requirements.txt").read_bytes()
    folder = cache() / f"bench-venv-{hashlib.sha512(wanted).hexdigest()[:12]}"
    if not (folder / "bin/python").exists():
        print("bench: fetching the peers", file=sys.stderr)
        new = folder.with_suffix(".new")
        shutil.rmtree(new, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", new], check=True)
        pip = [new / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", here / "requirements.txt"], check=True)
        new.rename(folder)
    return folder / "bin/python"


def rotated(contestants, rounds, once=()):
    """Round and name of every run: each round begins with the next contestant; the slowest run in the first alone."""
    for number in range(rounds):
        at = number % len(contestants)
        for name in contestants[at:] + contestants[:at]:
            if number == 0 or name not in once:
                yield number, name


def all_runs(contestants, rounds, contest, once=()):
    """Every run of each contestant, by name; `contest` makes one."""
    runs = {name: [] for name in contestants}
    for number, name in rotated(contestants, rounds, once):
        print(f"bench: {number} {name} ..", file=sys.stderr, flush=True)
        run = contest(name)
        print(f"bench: {json.dumps(run)}", file=sys.stderr, flush=True)
        runs[name].append(run)
    return runs


def measured(command, environment):
    """Runs a contestant that measures itself and says so in its last line of output."""
    words = [str(word) for word in command]
    done = subprocess.run(words, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True)
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines:
        return {"ok": False, "failed": f"exit {done.returncode}"}
    return json.loads(lines[-1])


def whole_process(command):
    """Runs a command and measures all of it, from its start to its end."""
    start = time.monotonic()
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, text=True)
    out = process.stdout.read()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    seconds = time.monotonic() - start
    io = dict(line.split(": ") for line in pathlib.Path(f"/proc/{process.pid}/io").read_text().splitlines())
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    run = {
        "seconds": seconds, "cpu_seconds": usage.ru_utime + usage.ru_stime, "peak_rss_mb": usage.ru_maxrss / 1024,
        "bytes_written": int(io["wchar"]), "ok": process.returncode == 0,
    }
    if process.returncode != 0:
        run["failed"] = f"exit {process.returncode}"
    return run, out


def summary(runs, rows, unit):
    """One contestant: the middle of its rounds; right only if every round was."""
    one = {"ok": bool(runs) and all(run["ok"] for run in runs), "unit": unit, "rounds": len(runs)}
    whole = [run for run in runs if "seconds" in run]
    failed = [run["failed"] for run in runs if run.get("failed")]
    if failed:
        one["failed"] = failed[0]
    if whole:
        one["rate"] = statistics.median(rows / run["seconds"] for run in whole)
        for name in ("seconds", "cpu_seconds", "peak_rss_mb", "bytes_written"):
            one[name] = statistics.median(run[name] for run in whole)
        one["rates"] = [rows / run["seconds"] for run in whole]
        one["wrong_rows"] = max(run.get("wrong_rows", 0) for run in whole)
    return one


def show_summaries(contestants, names, rows):
    """The table of a case whose contestants are [`summary`]s."""
    lines = [["", "events/s", "CPU s", "events per CPU s", "peak MB", "MB written"]]
    for name, one in contestants.items():
        if "rate" not in one:
            lines.append([names[name], f"FAIL {one.get('failed', 'no run')}", "", "", "", ""])
            continue
        rate = f"{one['rate']:,.0f}" if one["ok"] else f"FAIL {one['wrong_rows']} rows"
        cpu = one["cpu_seconds"]
        lines.append([
            names[name], rate, f"{cpu:.1f}", f"{rows / cpu:,.0f}" if cpu else "", f"{one['peak_rss_mb']:,.0f}",
            f"{one['bytes_written'] / 1e6:,.0f}",
        ])
    show_table(lines)


def report(case, args, names, runs):
    """Prints and keeps what the runs came to; the exit code."""
    result = {name: summary(of, args.rows, "events/s") for name, of in runs.items()}
    show_summaries(result, names, args.rows)
    write(case, {"seed": args.seed, "rows": args.rows, "contestants": result})
    return 0 if all(one["ok"] for one in result.values()) else 1


def show_table(lines, left=(0,)):
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for line in lines:
        print("  ".join(text.ljust(width) if i in left else text.rjust(width)
                        for i, (text, width) in enumerate(zip(line, widths))).rstrip())
    sys.stdout.flush()


def write(case, found):
    """bench/results/CASE.json: of the machine only what matters to the numbers."""
    versions = {}
    for line in (here / "requirements.txt").read_text().splitlines():
        name, pinned, version = line.partition("==")
        if pinned:
            versions[name] = version
    for line in (here / "peers/jars.lock").read_text().splitlines():
        _, artifact, *_, version = line.split()[1].split(":")
        if artifact == "iceberg-kafka-connect":
            versions[artifact] = version
    commit = subprocess.run(["git", "-C", root, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    versions["weir"] = commit.stdout.strip()
    memory = next((line.split()[1] for line in open("/proc/meminfo") if line.startswith("MemTotal")), "0")
    model = next((line.split(": ")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "")
    machine = {"cores": os.cpu_count(), "cpu": model, "memory_gb": int(memory) // 1_000_000, "os": platform.system()}
    (here / "results").mkdir(exist_ok=True)
    out = {"case": case, "machine": machine, "versions": versions, **found}
    (here / f"results/{case}.json").write_text(json.dumps(out, indent=2) + "\n")
