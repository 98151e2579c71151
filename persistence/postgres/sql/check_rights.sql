-- Findings about the rights of the role and of PUBLIC. $1 are the functions that
-- append, $2 the name of the schema, in which others may have tables and functions, $3
-- all functions of the journal. Catalogues only.
SELECT 'rights', 'warning', format('the role %s may rewrite the history: %s', current_user,
       CASE WHEN r.rolsuper THEN 'it is a superuser' ELSE 'it may change ' || string_agg(c.relname, ', ' ORDER BY c.relname) END), 'log in as the App of postgres.RolesSQL'
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) r
WHERE n.nspname = $2 AND c.relkind = 'r' AND c.relname IN ('event', 'event_key', 'event_tag', 'journal', 'migration', 'partition', 'schema', 'slice', 'snapshot', 'stream') AND has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE') GROUP BY r.rolsuper
UNION ALL
SELECT 'rights', CASE WHEN count(*) = cardinality($1::text[]) THEN 'note' ELSE 'fault' END,
       CASE WHEN count(*) = cardinality($1::text[]) THEN format('the role %s only reads', current_user)
            ELSE format('the role %s may not execute %s', current_user, string_agg(f.name, ', ' ORDER BY f.name)) END, 'run postgres.RolesSQL again, as after each migration'
FROM unnest($1::text[]) f (name)
WHERE NOT EXISTS (SELECT FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = $2 AND p.proname = f.name AND has_function_privilege(p.oid, 'EXECUTE')) HAVING count(*) > 0
UNION ALL
SELECT 'rights', 'fault', 'everybody may execute ' || string_agg(p.proname, ', ' ORDER BY p.proname), 'REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA … FROM PUBLIC'
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = $2 AND p.proname = ANY ($3::text[]) AND (p.proacl IS NULL OR EXISTS (SELECT FROM aclexplode(p.proacl) a WHERE a.grantee = 0)) HAVING count(*) > 0
UNION ALL
SELECT 'rights', 'fault', 'everybody may change ' || string_agg(c.relname, ', ' ORDER BY c.relname), 'REVOKE ALL ON ALL TABLES IN SCHEMA … FROM PUBLIC'
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $2 AND c.relkind = 'r' AND c.relname IN ('event', 'event_key', 'event_tag', 'journal', 'migration', 'partition', 'schema', 'slice', 'snapshot', 'stream') AND EXISTS (SELECT FROM aclexplode(c.relacl) a WHERE a.grantee = 0 AND a.privilege_type <> 'SELECT') HAVING count(*) > 0
