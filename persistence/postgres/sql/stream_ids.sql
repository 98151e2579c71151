-- Ids of streams by name, made when missing. Served by stream_name. Their rows need not
-- be flushed before the events that follow them are, which are behind them in the log.
SELECT o, stream_id FROM set_config('synchronous_commit', 'off', true) lazily, {schema}.stream_ids($1, $2)
