-- The tags of events. The row in parentheses is repeated when several are written
-- at once.
INSERT INTO main.event_tag (tag, position)
VALUES (?, ?)
