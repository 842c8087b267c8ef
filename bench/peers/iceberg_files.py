"""An Iceberg table of a Hadoop catalog as anybody reads it: the files that its current snapshot names."""

import json
import pathlib
import urllib.parse


def current_snapshot(table):
    """The current snapshot as the newest metadata has it; nothing before the first commit."""
    versions = pathlib.Path(table, "metadata").glob("v*.metadata.json")
    newest = max(versions, key=lambda path: int(path.name.split(".")[0][1:]), default=None)
    said = json.loads(newest.read_text()) if newest else {"snapshots": []}
    return next((one for one in said["snapshots"] if one["snapshot-id"] == said["current-snapshot-id"]), None)


def live_files(table):
    """The data files of the current snapshot, from its manifests alone; none may have deleted rows."""
    files = []
    for manifest in records(current_snapshot(table)["manifest-list"]):
        assert manifest["content"] == 0, "a manifest of deletes"
        live = [entry["data_file"] for entry in records(manifest["manifest_path"]) if entry["status"] != 2]
        files += [local(file["file_path"]) for file in live]
    return files


def records(place):
    import fastavro

    with open(local(place), "rb") as file:
        return list(fastavro.reader(file))


def local(place):
    return urllib.parse.urlparse(place).path
