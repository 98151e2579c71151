-- An event that was set aside is told from that of another history at its position.
-- The zero id is that of one that was set aside before.
ALTER TABLE {prefix}projection_parked ADD COLUMN event_id text NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000';
