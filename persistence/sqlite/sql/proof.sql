-- What tells that the tables are still those of the journal: its id, and the id of an
-- event that is known. Served by event_pk.
SELECT j.id, (SELECT e.event_id FROM main.event e WHERE e.position = ?) FROM main.journal j
