-- The metadata of a stream. Served by stream_pk.
UPDATE main.stream SET metadata = ?, revision = ? WHERE stream_id = ?
