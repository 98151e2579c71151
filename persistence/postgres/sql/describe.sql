-- The objects of a schema, as the server describes them, and the table or function that
-- each belongs to. The descriptions do not name the schema: the search path, which must
-- be the system's and the schema, finds names that stand alone, and functions write the
-- schema quoted.
-- Catalogues only.
SELECT o.name, o.of, o.definition FROM (
SELECT 1, 'table ' || c.relname, c.relname, format(E'TABLE %s (\n%s\n)%s', c.relname, string_agg(format('  %s %s', a.attname, concat_ws(' ',
    format_type(a.atttypid, a.atttypmod), CASE WHEN a.attcollation <> t.typcollation THEN 'COLLATE ' || l.collname END,
    CASE WHEN a.attnotnull THEN 'NOT NULL' END,
    CASE a.attgenerated WHEN 's' THEN 'GENERATED ' || pg_get_expr(d.adbin, d.adrelid) ELSE 'DEFAULT ' || pg_get_expr(d.adbin, d.adrelid) END,
    CASE a.attidentity WHEN 'a' THEN 'IDENTITY ALWAYS' WHEN 'd' THEN 'IDENTITY' END)), E',\n' ORDER BY a.attnum),
    coalesce(' WITH ' || c.reloptions::text, ''))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum LEFT JOIN pg_collation l ON l.oid = a.attcollation
WHERE n.nspname = $1 AND c.relkind = 'r' AND c.relname <> 'migration' GROUP BY c.oid, c.relname, c.reloptions
UNION ALL
SELECT 2, 'constraint ' || o.conname || ' on ' || c.relname, c.relname, format('CONSTRAINT %s ON %s %s', o.conname, c.relname, pg_get_constraintdef(o.oid))
FROM pg_constraint o JOIN pg_namespace n ON n.oid = o.connamespace JOIN pg_class c ON c.oid = o.conrelid WHERE n.nspname = $1 AND o.contype NOT IN ('n', 't') AND c.relname <> 'migration'
UNION ALL
SELECT 3, 'index ' || i.relname, c.relname, pg_get_indexdef(i.oid, 0, true)
FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class c ON c.oid = x.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relkind = 'r' AND c.relname <> 'migration'
UNION ALL
SELECT 4, 'function ' || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')', p.proname,
       'CREATE FUNCTION ' || replace(substr(pg_get_functiondef(p.oid), length(format('CREATE OR REPLACE FUNCTION %I.', n.nspname)) + 1), format('"%s".', replace(n.nspname, '"', '""')), '')
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = $1 AND p.prokind = 'f'
UNION ALL
SELECT 5, 'trigger ' || g.tgname || ' on ' || c.relname, c.relname, pg_get_triggerdef(g.oid, true)
FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND NOT g.tgisinternal
) o (kind, name, of, definition) ORDER BY o.kind, o.name COLLATE "C"
