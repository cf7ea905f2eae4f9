-- +goose Up
-- Where a correction stands, by which the later of two equals is told. Of those that are here already nobody has noted it:
-- they go before any that comes.
ALTER TABLE corrections ADD COLUMN boot_time INTEGER NOT NULL DEFAULT 0; -- nanoseconds
ALTER TABLE corrections ADD COLUMN number    INTEGER NOT NULL DEFAULT 0; -- of the entry
