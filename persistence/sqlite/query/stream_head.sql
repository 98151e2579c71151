-- A stream and its last version. Served by stream_name and event_version, both
-- of which hold all that is asked for.
SELECT s.stream_id, coalesce((SELECT max(e.version) FROM main.event e WHERE e.stream_id = s.stream_id), 0)
FROM main.stream s WHERE s.name = ?
