-- The last position. Served by event_pk, from its end.
SELECT coalesce(max(position), 0) FROM main.event
