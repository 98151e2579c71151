-- The end of a stream: its next life begins behind the tombstone. Served by
-- stream_pk.
UPDATE main.stream SET first_version = ?2, begin_version = ?2, created = 0, metadata = NULL, revision = revision + 1 WHERE stream_id = ?1
