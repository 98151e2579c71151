-- A tag of an event that is emptied. Served by event_tag_pk.
DELETE FROM main.event_tag WHERE tag = ? AND position = ?
