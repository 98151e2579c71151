-- Findings about the server and its configuration: check, severity, text, fix.
-- Catalogues and settings only. $1 are seconds after which a transaction is long, $2
-- the table of events.
SELECT 'server', CASE WHEN current_setting('server_version_num')::int < 140000 OR pg_is_in_recovery() THEN 'fault' ELSE 'fine' END,
       'release ' || current_setting('server_version') || CASE WHEN pg_is_in_recovery() THEN ', a standby, which stores nothing' ELSE '' END,
       'connect to a primary of release 14 or newer'
UNION ALL
SELECT 'durability', CASE WHEN current_setting('fsync') = 'on' AND current_setting('full_page_writes') = 'on' AND current_setting('synchronous_commit') IN ('on', 'remote_apply') THEN 'fine' ELSE 'fault' END,
       format('fsync = %s, full_page_writes = %s, synchronous_commit = %s', current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit')),
       'set all three to on for the role of the program'
UNION ALL
SELECT 'vacuum', CASE WHEN current_setting('autovacuum') = 'on' AND NOT c.reloptions && ARRAY['autovacuum_enabled=false', 'autovacuum_enabled=off']
                       AND c.reloptions @> ARRAY['autovacuum_vacuum_insert_scale_factor=0.02'] AND age(c.relfrozenxid) < 1000000000 THEN 'fine' ELSE 'warning' END,
       format('autovacuum = %s, oldest transaction id %s ago, options of the table event: %s', current_setting('autovacuum'), age(c.relfrozenxid), coalesce(array_to_string(c.reloptions, ', '), 'none')),
       'turn autovacuum on, and give the table event the options that the migrations give it; see postgres.Validate'
FROM (SELECT t.relfrozenxid, coalesce(t.reloptions, '{}') AS reloptions FROM pg_class t WHERE t.oid = to_regclass($2)) c
UNION ALL
SELECT 'compression', CASE WHEN a.method = 'l' THEN 'fine' ELSE 'note' END,
       CASE WHEN a.method = 'l' THEN 'lz4' WHEN a.lz4 THEN 'large payloads are compressed by the server''s default, slower than by lz4' ELSE 'the server was built without lz4' END,
       CASE WHEN a.lz4 THEN 'ALTER TABLE … ALTER payload SET COMPRESSION lz4, which holds for what comes' ELSE '' END
FROM (SELECT p.attcompression::text AS method, EXISTS (SELECT FROM pg_settings s WHERE s.name = 'default_toast_compression' AND 'lz4' = ANY (s.enumvals)) AS lz4
      FROM pg_attribute p WHERE p.attrelid = to_regclass($2) AND p.attname = 'payload') a
UNION ALL
(SELECT 'transactions', 'warning', format('a transaction of process %s is open for %s s: the space of what is emptied is not given back meanwhile', t.pid, t.age), 'end it, and find out who leaves transactions open'
 FROM (SELECT a.pid::text, extract(epoch FROM clock_timestamp() - a.xact_start)::bigint AS age FROM pg_stat_activity a WHERE a.backend_type = 'client backend' AND a.pid <> pg_backend_pid() AND a.backend_xmin IS NOT NULL
       UNION ALL SELECT a.pid::text, extract(epoch FROM clock_timestamp() - a.xact_start)::bigint FROM pg_stat_activity a WHERE a.state LIKE 'idle in transaction%' AND a.backend_xmin IS NULL
       UNION ALL SELECT 'prepared ' || x.gid, extract(epoch FROM clock_timestamp() - x.prepared)::bigint FROM pg_prepared_xacts x) t
 WHERE t.age >= $1::bigint ORDER BY t.age DESC LIMIT 5)
UNION ALL
SELECT 'transactions', 'note', 'the role does not see how old the transactions of others are', 'GRANT pg_read_all_stats to it'
WHERE NOT pg_has_role('pg_read_all_stats', 'USAGE')
UNION ALL
SELECT 'order lock', 'warning', format('process %s holds it for %s s and others wait', h.pid, extract(epoch FROM clock_timestamp() - a.xact_start)::bigint), 'end that transaction: who joins AppendTx must commit at once'
FROM pg_locks h LEFT JOIN pg_stat_activity a ON a.pid = h.pid
WHERE h.locktype = 'advisory' AND h.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()) AND h.classid::bigint = ({lock}::bigint & 4294967295) AND h.objid = 0 AND h.granted
  AND EXISTS (SELECT FROM pg_locks w WHERE w.locktype = 'advisory' AND w.database = h.database AND w.classid = h.classid AND w.objid = h.objid AND NOT w.granted
              AND w.waitstart < clock_timestamp() - $1::bigint * interval '1 second')
UNION ALL
SELECT 'write-ahead log', 'warning', format('replication slot %s keeps %s of it', s.slot_name, pg_size_pretty(s.kept)), 'drop the slot, or let who uses it catch up, before the disk is full'
FROM (SELECT r.slot_name, pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END, r.restart_lsn) AS kept FROM pg_replication_slots r) s
WHERE s.kept > (SELECT 2 * m.setting::bigint * 1048576 FROM pg_settings m WHERE m.name = 'max_wal_size')
