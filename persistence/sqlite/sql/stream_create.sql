-- A stream that somebody creates, whose name may be known already.
INSERT INTO main.stream (stream_id, name, category, created, metadata, revision)
VALUES (?, ?, ?, 1, ?, ?)
ON CONFLICT (name) DO UPDATE SET created = 1, metadata = excluded.metadata, revision = stream.revision + excluded.revision
