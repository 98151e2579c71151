-- Whether a category has a stream that exists. Served by stream_category and
-- event_version, up to the first one.
SELECT 1 FROM main.stream s
WHERE s.category = ?
  AND (s.created OR coalesce((SELECT max(e.version) FROM main.event e WHERE e.stream_id = s.stream_id), 0) >= s.first_version)
LIMIT 1
