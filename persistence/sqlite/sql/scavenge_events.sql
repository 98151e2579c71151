-- Events become husks, which keep their places and ids. Served by event_version.
UPDATE main.event SET type = '$gone', schema_id = 0, tags = NULL, metadata = NULL, headers = NULL, payload = NULL
WHERE stream_id = ? AND version BETWEEN ? AND ? AND type NOT IN ('$gone', '$deleted')
