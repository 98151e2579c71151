-- New streams, in the transaction of their first events.
-- The row in parentheses is repeated when several are written.
INSERT INTO main.stream (stream_id, name, category)
VALUES (?, ?, ?)
