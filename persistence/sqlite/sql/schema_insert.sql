-- A schema, which gets the next id.
INSERT INTO main.schema (encoding, digest, body) VALUES (?, ?, ?)
