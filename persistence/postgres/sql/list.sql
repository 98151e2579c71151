-- Streams that exist, and if asked for those that were deleted, after one name and from
-- another one on. Served by stream_name; existence is one probe of event_version for each.
SELECT s.stream_id, coalesce((SELECT e.version FROM {schema}.event e WHERE e.stream_id = s.stream_id ORDER BY e.version DESC LIMIT 1), 0),
       s.first, s.begins, s.created, s.revision, s.metadata, s.name
FROM {schema}.stream s WHERE s.name > $1 AND s.name >= $2 AND (s.created OR (SELECT e.version FROM {schema}.event e WHERE e.stream_id = s.stream_id ORDER BY e.version DESC LIMIT 1) >= s.first OR $4::boolean AND s.begins > 1) AND (SELECT {proof}) ORDER BY s.name LIMIT $3
