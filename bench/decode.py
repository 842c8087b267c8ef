"""The case `decode`: frames of change events become columns or values, on one core."""

import shutil
import subprocess

from common import all_runs, asked, build, cache, here, measured, peers, report

NAMES = {
    "weir": "Weir, all bounds checked", "arrow-avro": "arrow-avro", "apache-avro": "apache-avro", "fastavro": "fastavro",
}


def main(arguments):
    no_peers = "without fastavro; fetches nothing"
    args, contestants = asked(arguments, "decode", __doc__, 1_000_000, NAMES, ["fastavro"], no_peers)
    bench = build("landing")
    python = peers() if "fastavro" in contestants else None
    folder = cache() / "bench/decode"
    shutil.rmtree(folder, ignore_errors=True)
    command = [bench, "prepare", folder, "--rows", args.rows, "--seed", args.seed]
    subprocess.run([str(word) for word in command], check=True)

    def contest(name):
        if name == "fastavro":
            return measured([python, here / "peers/decode_fastavro.py", folder], {})
        return measured([bench, "decode", folder, name], {})

    runs = all_runs(contestants, args.rounds, contest)
    shutil.rmtree(folder)
    return report("decode", args, NAMES, runs)
