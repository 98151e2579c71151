-- A stream and its last version. Served by stream_name and event_version.
SELECT s.stream_id, s.name, coalesce((SELECT max(e.version) FROM main.event e WHERE e.stream_id = s.stream_id), 0),
  s.first_version, s.begin_version, s.created, s.revision, s.metadata
FROM main.stream s WHERE s.name = ?
