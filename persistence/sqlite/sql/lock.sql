-- Changes nothing, but makes the caller's transaction the one that writes, so
-- that what it reads from here on stays true.
UPDATE main.journal SET one = one WHERE one = 0
