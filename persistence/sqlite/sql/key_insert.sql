-- The ids of named events. The row in parentheses is repeated when several are
-- written at once.
INSERT INTO main.event_key (stream_id, event_id, version)
VALUES (?, ?, ?)
