-- What a program remembers of a journal is proved by whatever it rests on.

-- +goose Up
-- +goose StatementBegin

-- proven says that the tables are those of a journal, and that a stream, if there is
-- one, has an id. Rows of streams are never removed and ids never given twice, so when
-- the stream with the highest id that a program rests on stands, those before it do.
-- Otherwise it raises ST004, of another journal, or ST005, of one that has lost its
-- newest data. Who has called it in a transaction keeps the tables from being emptied
-- or dropped until the end of that.
CREATE FUNCTION {schema}.proven(p_journal uuid, p_stream bigint, p_name text) RETURNS boolean LANGUAGE plpgsql VOLATILE
AS {body} BEGIN
  IF NOT EXISTS (SELECT FROM {schema}.journal j WHERE j.one AND j.id = p_journal) THEN
    RAISE EXCEPTION 'stele: another journal' USING ERRCODE = 'ST004';
  ELSIF p_stream > 0 AND NOT EXISTS (SELECT FROM {schema}.stream s WHERE s.stream_id = p_stream AND s.name = p_name) THEN
    RAISE EXCEPTION 'stele: another stream' USING ERRCODE = 'ST005';
  END IF;
  RETURN true;
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

REVOKE EXECUTE ON FUNCTION {schema}.proven(uuid, bigint, text), {schema}.renew() FROM PUBLIC;
-- +goose StatementEnd
