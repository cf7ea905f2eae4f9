-- +goose Up
-- Who may do more than listen: make bundles, which let recorders in.
ALTER TABLE users ADD COLUMN admin INTEGER NOT NULL DEFAULT 0;

-- The only recorder that may use a token, NULL: any; and who had it made, empty: somebody at the machine.
ALTER TABLE tokens ADD COLUMN only TEXT;
ALTER TABLE tokens ADD COLUMN by TEXT NOT NULL DEFAULT '';
