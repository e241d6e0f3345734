-- The tables that bf1942-ingest writes.
CREATE TYPE server_status AS ENUM ('online', 'offline');
CREATE TABLE servers (
    id serial PRIMARY KEY,
    ip inet NOT NULL,
    port integer NOT NULL,
    hostname text,
    status server_status NOT NULL,
    last_seen timestamptz,
    first_seen timestamptz NOT NULL,
    consecutive_failures integer NOT NULL DEFAULT 0,
    active_mod text,
    gametype text,
    info jsonb
);
CREATE TABLE server_snapshots (
    id bigserial PRIMARY KEY,
    server_id integer NOT NULL REFERENCES servers,
    "timestamp" timestamptz NOT NULL,
    data jsonb NOT NULL,
    raw jsonb
);
CREATE TABLE player_sessions (
    id bigserial PRIMARY KEY,
    server_id integer NOT NULL REFERENCES servers,
    player_name text,
    player_name_norm text,
    keyhash text,
    join_ts timestamptz NOT NULL,
    leave_ts timestamptz
);
CREATE TABLE rounds (
    id bigserial PRIMARY KEY,
    server_id integer NOT NULL REFERENCES servers,
    mapname text,
    start_ts timestamptz NOT NULL,
    end_ts timestamptz,
    duration_seconds integer,
    start_snapshot_id bigint,
    end_snapshot_id bigint,
    final_scoreboard jsonb
);
CREATE TABLE unique_maps (id serial PRIMARY KEY, mapname text UNIQUE);
CREATE TABLE exclusions (id serial PRIMARY KEY, type text, value text);
