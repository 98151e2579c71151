-- Categories of streams that exist, after one name and from another one on. Served by
-- stream_category, which is skipped through: one probe for each category.
WITH RECURSIVE c AS (
  (SELECT s.category FROM {schema}.stream s WHERE s.category > $1 AND s.category >= $2 AND (s.created OR (SELECT e.version FROM {schema}.event e WHERE e.stream_id = s.stream_id ORDER BY e.version DESC LIMIT 1) >= s.first) ORDER BY s.category LIMIT 1)
  UNION ALL
  SELECT (SELECT s.category FROM {schema}.stream s WHERE s.category > c.category AND (s.created OR (SELECT e.version FROM {schema}.event e WHERE e.stream_id = s.stream_id ORDER BY e.version DESC LIMIT 1) >= s.first) ORDER BY s.category LIMIT 1)
  FROM c WHERE c.category IS NOT NULL
)
SELECT c.category FROM c WHERE c.category IS NOT NULL LIMIT $3
