-- Events by tag, in the order of the sequence.

-- +goose Up
-- +goose StatementBegin
CREATE TABLE {schema}.event_tag (
  tag      text COLLATE "C" NOT NULL,
  part     smallint         NOT NULL,
  position bigint           NOT NULL,
  CONSTRAINT event_tag_key PRIMARY KEY (tag, part, position)
);
COMMENT ON TABLE {schema}.event_tag IS 'only of events with tags';

INSERT INTO {schema}.event_tag (tag, part, position)
SELECT t.tag, e.part, e.position FROM {schema}.event e CROSS JOIN LATERAL unnest(e.tags) t(tag) WHERE e.tags IS NOT NULL;

-- keep_tags follows what happens to the tags of an event, whichever function has
-- stored or emptied it. It runs as the one who did, which is the owner of those
-- functions, under their settings.
CREATE FUNCTION {schema}.keep_tags() RETURNS trigger LANGUAGE plpgsql
AS {body} BEGIN
  IF TG_OP = 'UPDATE' THEN
    DELETE FROM {schema}.event_tag g WHERE g.tag = ANY (OLD.tags) AND g.part = OLD.part AND g.position = OLD.position;
  END IF;
  INSERT INTO {schema}.event_tag (tag, part, position) SELECT t.tag, NEW.part, NEW.position FROM unnest(NEW.tags) t(tag);
  RETURN NULL;
END {body};
REVOKE EXECUTE ON FUNCTION {schema}.keep_tags() FROM PUBLIC;

-- The conditions are all that events without tags cost.
CREATE TRIGGER event_tag_insert AFTER INSERT ON {schema}.event FOR EACH ROW WHEN (NEW.tags IS NOT NULL) EXECUTE FUNCTION {schema}.keep_tags();
CREATE TRIGGER event_tag_update AFTER UPDATE OF tags ON {schema}.event FOR EACH ROW WHEN (OLD.tags IS DISTINCT FROM NEW.tags) EXECUTE FUNCTION {schema}.keep_tags();
-- +goose StatementEnd
