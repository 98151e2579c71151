-- What a program remembers of a journal is proved by whatever it rests on.

-- +goose Up
-- +goose StatementBegin

-- unproven is called by a statement in whose tables the journal, or the stream with the
-- highest id that the statement rests on, is not what its caller remembers. Rows of
-- streams are never removed and ids never given twice, so when that stream stands, those
-- before it do. It raises ST004 of another journal, and ST005 of one that has lost its
-- newest data. A statement that looks at the tables keeps them from being emptied or
-- dropped until the end of its transaction.
CREATE FUNCTION {schema}.unproven(p_journal uuid) RETURNS boolean LANGUAGE plpgsql VOLATILE
AS {body} BEGIN
  IF EXISTS (SELECT FROM {schema}.journal j WHERE j.one AND j.id = p_journal) THEN
    RAISE EXCEPTION 'stele: another stream' USING ERRCODE = 'ST005';
  END IF;
  RAISE EXCEPTION 'stele: another journal' USING ERRCODE = 'ST004';
END {body};

-- renew makes tables that somebody has emptied those of another journal: positions,
-- versions and ids that others remember mean nothing in them.
CREATE FUNCTION {schema}.renew() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS {body} BEGIN
  UPDATE {schema}.journal SET id = gen_random_uuid();
  RETURN NULL;
END {body};
CREATE TRIGGER event_renew AFTER TRUNCATE ON {schema}.event FOR EACH STATEMENT EXECUTE FUNCTION {schema}.renew();
CREATE TRIGGER stream_renew AFTER TRUNCATE ON {schema}.stream FOR EACH STATEMENT EXECUTE FUNCTION {schema}.renew();
CREATE TRIGGER schema_renew AFTER TRUNCATE ON {schema}.schema FOR EACH STATEMENT EXECUTE FUNCTION {schema}.renew();

REVOKE EXECUTE ON FUNCTION {schema}.unproven(uuid), {schema}.renew() FROM PUBLIC;
-- +goose StatementEnd
