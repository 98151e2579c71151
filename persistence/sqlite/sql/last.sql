-- Where the global sequence and the numbers of streams end, and the id of the last
-- event. Served by the two primary keys, from their ends.
SELECT coalesce((SELECT max(position) FROM main.event), 0), coalesce((SELECT max(stream_id) FROM main.stream), 0),
  (SELECT e.event_id FROM main.event e WHERE e.position = (SELECT max(position) FROM main.event))
