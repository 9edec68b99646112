"""Writes the migration that leads from the last one to the tables of the code: `new_migration.py "Keep a column"`.

What it writes is a beginning: read it, and fill new columns of rows that are there already.
"""

import sys

from alembic import command

from headrace.storage.database import Database
from headrace.storage.migrations import config_of, known_revisions


def main() -> None:
    """Migrates an empty database in memory and compares it with the tables of the code."""
    (message,) = sys.argv[1:]
    with Database("sqlite://").transaction() as connection:
        config = config_of(connection)
        known = known_revisions(config)
        command.upgrade(config, "head")
        revision = f"{len(known) + 1:04}"
        config.set_main_option("file_template", "v%%(rev)s_%%(slug)s")
        command.revision(config, message, autogenerate=True, rev_id=revision)
    print(f"Now set REVISION in storage/schema.py to {revision!r}.")


if __name__ == "__main__":
    main()
