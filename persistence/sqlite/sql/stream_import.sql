-- What another journal knows of a stream. Served by stream_pk.
UPDATE main.stream SET first_version = ?, created = ?, metadata = ?, revision = ? WHERE stream_id = ?
