-- New streams, in the transaction of their first events, so that every stream
-- has an event. The row in parentheses is repeated when several are written.
INSERT INTO main.stream (stream_id, name, category)
VALUES (?, ?, ?)
