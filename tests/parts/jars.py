"""Fetches what pom.xml names, once per content of jars.lock, and holds every file to its checksum.

    jars.py fetch [FOLDER]    into WEIR_CACHE (~/.cache/weir)
    jars.py lock [FOLDER]     writes jars.lock anew from what Maven resolves

FOLDER has the two files; where it is not given, it is the one beside this. Maven fetches, with the user's own settings;
where there is none, plain HTTP from the repository that WEIR_MAVEN_REPOSITORY names (Maven Central).
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
CACHE = Path(os.environ.get("WEIR_CACHE") or Path.home() / ".cache/weir")
REPOSITORY = os.environ.get("WEIR_MAVEN_REPOSITORY", "https://repo.maven.apache.org/maven2")


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def maven(of, goal, *options):
    plugin = f"org.apache.maven.plugins:maven-dependency-plugin:3.8.1:{goal}"
    command = ["mvn", "-q", "-B", "-ntp", "-f", of / "pom.xml", plugin, "-DincludeScope=runtime", *options]
    subprocess.run(command, check=True, stdout=sys.stderr)


def locked(of):
    """Per file name: its checksum, and its place in a repository."""
    files = {}
    for line in (of / "jars.lock").read_text().splitlines():
        checksum, coordinates = line.split()
        group, artifact, kind, *classifier, version = coordinates.split(":")
        name = "-".join([artifact, version, *classifier]) + "." + kind
        files[name] = (checksum, f"{group.replace('.', '/')}/{artifact}/{version}/{name}")
    return files


def folder(of=HERE):
    """Where every file of the lock is, whole and checked, once it was fetched; the registry's archive is unpacked in it."""
    return CACHE / f"{of.name}-{sha256(of / 'jars.lock')[:12]}"


def fetch(of):
    """Makes the folder unless it is there."""
    if folder(of).exists():
        return
    CACHE.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=CACHE, prefix=f"{of.name}."))
    try:
        if shutil.which("mvn"):
            maven(of, "copy-dependencies", f"-DoutputDirectory={work}")
        for name, (checksum, place) in locked(of).items():
            if not (work / name).exists():
                urllib.request.urlretrieve(f"{REPOSITORY}/{place}", work / name)
            if sha256(work / name) != checksum:
                sys.exit(f"{name} is not the file that jars.lock names")
            if name.endswith(".tar.gz"):
                shutil.unpack_archive(work / name, work / "registry")
                (work / name).unlink()
        work.rename(folder(of))  # the last step, so that a folder that is there is whole
    finally:
        shutil.rmtree(work, ignore_errors=True)


def lock(of):
    with tempfile.TemporaryDirectory() as work:
        maven(of, "copy-dependencies", f"-DoutputDirectory={work}")
        maven(of, "list", f"-DoutputFile={work}/list")
        lines = []
        for line in Path(work, "list").read_text().splitlines():
            words = line.strip().split(":")
            if len(words) < 5:
                continue
            coordinates = ":".join(words[:-1])  # without the scope
            group, artifact, kind, *classifier, version = words[:-1]
            name = "-".join([artifact, version, *classifier]) + "." + kind
            lines.append(f"{sha256(Path(work, name))}  {coordinates}\n")
    (of / "jars.lock").write_text("".join(sorted(lines, key=lambda line: line.split()[1])))


if __name__ == "__main__":
    verbs = {"fetch": fetch, "lock": lock}
    if len(sys.argv) not in (2, 3) or sys.argv[1] not in verbs:
        sys.exit(__doc__)
    verbs[sys.argv[1]](Path(sys.argv[2]).resolve() if len(sys.argv) == 3 else HERE)
