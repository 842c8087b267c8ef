"""Fetches what pom.xml names, once per content of jars.lock, and holds every file to its checksum.

    jars.py fetch     into WEIR_CACHE (~/.cache/weir)
    jars.py lock      writes jars.lock anew from what Maven resolves

Maven fetches, with the user's own settings; where there is none, plain HTTP from the repository that
WEIR_MAVEN_REPOSITORY names (Maven Central).
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
LOCK = HERE / "jars.lock"
CACHE = Path(os.environ.get("WEIR_CACHE") or Path.home() / ".cache/weir")
REPOSITORY = os.environ.get("WEIR_MAVEN_REPOSITORY", "https://repo.maven.apache.org/maven2")


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def maven(goal, *options):
    plugin = f"org.apache.maven.plugins:maven-dependency-plugin:3.8.1:{goal}"
    command = ["mvn", "-q", "-B", "-ntp", "-f", HERE / "pom.xml", plugin, "-DincludeScope=runtime", *options]
    subprocess.run(command, check=True, stdout=sys.stderr)


def locked():
    """Per file name: its checksum, and its place in a repository."""
    files = {}
    for line in LOCK.read_text().splitlines():
        checksum, coordinates = line.split()
        group, artifact, kind, *classifier, version = coordinates.split(":")
        name = "-".join([artifact, version, *classifier]) + "." + kind
        files[name] = (checksum, f"{group.replace('.', '/')}/{artifact}/{version}/{name}")
    return files


def folder():
    """Where every file of the lock is, whole and checked, once it was fetched; the registry's archive is unpacked in it."""
    return CACHE / f"parts-{sha256(LOCK)[:12]}"


def fetch():
    """Makes the folder unless it is there."""
    if folder().exists():
        return
    CACHE.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=CACHE, prefix="parts."))
    try:
        if shutil.which("mvn"):
            maven("copy-dependencies", f"-DoutputDirectory={work}")
        for name, (checksum, place) in locked().items():
            if not (work / name).exists():
                urllib.request.urlretrieve(f"{REPOSITORY}/{place}", work / name)
            if sha256(work / name) != checksum:
                sys.exit(f"{name} is not the file that jars.lock names")
            if name.endswith(".tar.gz"):
                shutil.unpack_archive(work / name, work / "registry")
                (work / name).unlink()
        work.rename(folder())  # the last step, so that a folder that is there is whole
    finally:
        shutil.rmtree(work, ignore_errors=True)


def lock():
    with tempfile.TemporaryDirectory() as work:
        maven("copy-dependencies", f"-DoutputDirectory={work}")
        maven("list", f"-DoutputFile={work}/list")
        lines = []
        for line in Path(work, "list").read_text().splitlines():
            words = line.strip().split(":")
            if len(words) < 5:
                continue
            coordinates = ":".join(words[:-1])  # without the scope
            group, artifact, kind, *classifier, version = words[:-1]
            name = "-".join([artifact, version, *classifier]) + "." + kind
            lines.append(f"{sha256(Path(work, name))}  {coordinates}\n")
    LOCK.write_text("".join(sorted(lines, key=lambda line: line.split()[1])))


if __name__ == "__main__":
    if sys.argv[1:] == ["fetch"]:
        fetch()
    elif sys.argv[1:] == ["lock"]:
        lock()
    else:
        sys.exit(__doc__)
