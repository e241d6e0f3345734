-- The tables that the original's views look for.
CREATE TABLE server_snapshots (
    server_id text NOT NULL,
    snapshot_time timestamptz NOT NULL,
    status text,
    player_count integer,
    map_name text,
    mod_name text,
    country_code text,
    ip inet
);
CREATE TABLE player_sessions (
    id bigserial PRIMARY KEY,
    server_id text,
    player_id text,
    player_guid text,
    player_hash text,
    player_name text,
    session_start timestamptz,
    session_end timestamptz,
    duration_seconds numeric,
    round_id bigint,
    team text,
    map_name text,
    mod_name text,
    kills integer,
    deaths integer,
    score integer,
    average_ping_ms numeric(8, 2),
    max_ping_ms integer
);
CREATE TABLE rounds (
    id bigserial PRIMARY KEY,
    server_id text,
    map_name text,
    mod_name text,
    started_at timestamptz,
    ended_at timestamptz,
    winning_team text
);
