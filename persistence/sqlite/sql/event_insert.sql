-- New events. The row in parentheses is repeated when several are written at
-- once. event_version refuses a version that another writer has taken.
INSERT INTO main.event (position, stream_id, version, event_id, created_at, schema_id, type, tags, metadata, headers, payload)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
