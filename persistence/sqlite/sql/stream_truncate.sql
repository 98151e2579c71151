-- The first version that can be read. Served by stream_pk.
UPDATE main.stream SET first_version = ? WHERE stream_id = ?
