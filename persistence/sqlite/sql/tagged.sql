-- The positions of events with a tag. Served by event_tag_pk.
SELECT position FROM main.event_tag WHERE tag = ? AND position BETWEEN ? AND ?
