"""Opens a Delta table with the Python `deltalake` and prints what it sees as JSON.

usage: delta.py FOLDER [VERSION]
"""

import json
import sys

from deltalake import DeltaTable


def main() -> None:
    folder = sys.argv[1]
    version = int(sys.argv[2]) if len(sys.argv) > 2 else None
    table = DeltaTable(folder, version=version)
    protocol = table.protocol()
    print(
        json.dumps(
            {
                "version": table.version(),
                "rows": table.count(),
                "files": len(table.file_uris()),
                "columns": [field.name for field in table.schema().fields],
                "partition_columns": table.metadata().partition_columns,
                "reader_version": protocol.min_reader_version,
                "writer_version": protocol.min_writer_version,
                "reader_features": protocol.reader_features or [],
            }
        )
    )


main()
