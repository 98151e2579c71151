-- The lean way to append, and the release of the order lock before the flush.

-- +goose Up
-- +goose StatementBegin

-- append_lean stores the events of many appends that each expect an exact version,
-- all or none. It does not look for the event before each append, as append does,
-- but lets the caller prove what he knows:
--   k is the newest event that his connection has stored, or none: positions have no
--   gap and ids are unique, so when it stands there, all that he saw before stands;
--   c is the last event of the batch sent before this one, when this one builds on
--   it: when it stands there, all of that batch was stored;
--   us, uv are the events before those appends that neither proves.
-- Whatever is wrong, refused says what, and nothing is stored; append settles it
-- then: 1 k, 2 c, 3 an event before is missing, 4 a version is taken.
-- The arrays are per event, but those of columns that no event has, which may be
-- empty; schema is that of all events unless c has one for each.
-- The new base and early mean what they mean in append, but that early tells
-- also when the caller does not release early himself.
CREATE FUNCTION {schema}.append_lean(p_part smallint, p_own boolean, k_position bigint, k_id uuid, c_stream bigint, c_version bigint, c_id uuid,
                                     us bigint[], uv bigint[], p_schema int, s bigint[], v bigint[], i uuid[], t text[], p bytea[], h bytea[], m json[], g text[], c int[],
                                     OUT base bigint, OUT refused smallint, OUT early boolean)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_bitmapscan = off
AS {body} BEGIN
  PERFORM pg_advisory_xact_lock({lock}, p_part);
  SELECT greatest((SELECT e.position FROM {schema}.event e WHERE e.part = p_part ORDER BY e.position DESC LIMIT 1), k.floor), k.early
    INTO STRICT base, early FROM {schema}.partition k WHERE k.part = p_part;
  IF k_position > 0 AND (SELECT e.event_id FROM {schema}.event e WHERE e.part = p_part AND e.position = k_position) IS DISTINCT FROM k_id THEN
    refused := 1;
  ELSIF c_version > 0 AND (SELECT e.event_id FROM {schema}.event e WHERE e.stream_id = c_stream AND e.version = c_version) IS DISTINCT FROM c_id THEN
    refused := 2;
  ELSIF cardinality(us) > 0 AND EXISTS (SELECT 1 FROM unnest(us, uv) u(s, v)
      WHERE (SELECT e.version FROM {schema}.event e WHERE e.stream_id = u.s AND e.version = u.v) IS NULL) THEN
    refused := 3;
  ELSE
    refused := 0;
    IF early AND p_own THEN SET LOCAL synchronous_commit = off; END IF; -- outlives the settings of the function, until the commit
    BEGIN
      INSERT INTO {schema}.event (part, position, stream_id, version, event_id, schema_id, type, payload, headers, metadata, tags)
      SELECT p_part, base + u.o, u.s, u.v, u.i, coalesce(u.c, p_schema), u.t, u.p, coalesce(u.h, ''), u.m, string_to_array(u.g, E'\n')
      FROM unnest(s, v, i, t, p, h, m, g, c) WITH ORDINALITY u(s, v, i, t, p, h, m, g, c, o);
    EXCEPTION WHEN unique_violation THEN refused := 4;
    END;
  END IF;
END {body};

-- release_early says whether the writers of a partition may release the order lock
-- before their commit is flushed. With the lock no append is under way, and the
-- commit flushes all that came before: who sees that it is off sees durable events.
CREATE FUNCTION {schema}.release_early(p_part smallint, p_early boolean) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS {body} BEGIN
  PERFORM pg_advisory_xact_lock({lock}, p_part);
  UPDATE {schema}.partition k SET early = p_early WHERE k.part = p_part AND k.early <> p_early;
END {body};

REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA {schema} FROM PUBLIC;
-- +goose StatementEnd
