-- Findings about the size of the write-ahead log, which not every role may see.
SELECT 'write-ahead log', CASE WHEN w.size > 2 * m.setting::bigint * 1048576 + 1073741824 THEN 'warning' ELSE 'fine' END,
       format('%s in all, max_wal_size = %s MB', pg_size_pretty(w.size), m.setting), 'look at replication slots, archive_command and wal_keep_size before the disk is full'
FROM (SELECT sum(l.size) AS size FROM pg_ls_waldir() l) w, pg_settings m WHERE m.name = 'max_wal_size'
