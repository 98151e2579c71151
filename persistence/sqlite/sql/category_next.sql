-- The first category from one on, of which a stream may or may not exist. Served
-- by stream_category, from its beginning.
SELECT min(s.category) FROM main.stream s WHERE s.category >= ?
