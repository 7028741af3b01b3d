"""Migrate the database that the environment names and write the first rows; a process of its own."""

from __future__ import annotations

from tests.crash.harness.environment import set_up

# What a full disk says, on demand: a real one would end the server at a moment that cannot be chosen.
FULL_DISK = """
CREATE FUNCTION refuse_on_full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (pg_stat_file(current_setting('data_directory') || '/disk_full', true)).size IS NOT NULL THEN
    RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full';
  END IF;
  RETURN NULL;
END $$;
DO $$ DECLARE name text; BEGIN
  FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
    EXECUTE format('CREATE TRIGGER full_disk AFTER INSERT OR UPDATE OR DELETE ON %I '
      'FOR EACH STATEMENT EXECUTE FUNCTION refuse_on_full_disk()', name);
  END LOOP;
END $$;
"""


def main() -> None:
    """Leave the database ready to be copied."""
    set_up()
    from django.core.management import call_command
    from django.db import connection

    from tests.crash.harness.base import seed

    call_command("migrate", verbosity=0, interactive=False)
    seed()
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    else:
        with connection.cursor() as cursor:
            cursor.execute(FULL_DISK)
    connection.close()


if __name__ == "__main__":
    main()
