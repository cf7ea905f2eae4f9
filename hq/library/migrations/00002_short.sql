-- +goose Up
-- Too short to be of interest, as its recorder says. Of the calls that are here already nobody has noted it.
ALTER TABLE calls ADD COLUMN short INTEGER NOT NULL DEFAULT 0;
