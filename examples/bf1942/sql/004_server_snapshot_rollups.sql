-- @name server_snapshot_rollups
-- @type incremental_insert
-- @object server_snapshot_rollups
-- @refresh_sql INSERT INTO server_snapshot_rollups … ON CONFLICT (bucket_start, server_id) DO UPDATE
-- @indexes primary key (bucket_start, server_id)
-- @description Hours of servers: players, maps and mods, as one JSON object each.
-- | Computed whole, so that reports which arrive late are in it.
-- @order bucket_start desc, server_id
-- @filter server_id [=]
-- @filter bucket_start [>=, <]
-- @limit 168 10000
-- @unit payload json
-- @column bucket_start The hour of the time zone
-- @column bucket_end Its end
-- @column payload samples, average_players, peak_players, map_samples and mod_samples
-- @column updated_at The newest report in it
-- @test unique(bucket_start, server_id)
WITH maps AS (
    SELECT server_id, hour_bucket, map_name, count(*) AS samples
    FROM server_samples
    GROUP BY ALL
),
map_objects AS (
    SELECT
        server_id,
        hour_bucket,
        ('{' || string_agg(to_json(map_name) || ':' || samples, ',' ORDER BY map_name) || '}')
            ::JSON AS map_samples
    FROM maps
    GROUP BY server_id, hour_bucket
),
mods AS (
    SELECT server_id, hour_bucket, mod_name, count(*) AS samples
    FROM server_samples
    GROUP BY ALL
),
mod_objects AS (
    SELECT
        server_id,
        hour_bucket,
        ('{' || string_agg(to_json(mod_name) || ':' || samples, ',' ORDER BY mod_name) || '}')
            ::JSON AS mod_samples
    FROM mods
    GROUP BY server_id, hour_bucket
),
hours AS (
    SELECT
        server_id,
        hour_bucket,
        count(*) AS samples,
        avg(player_count) AS average_players,
        max(player_count) AS peak_players,
        max("at") AS updated_at
    FROM server_samples
    GROUP BY server_id, hour_bucket
)
SELECT
    hour_bucket AS bucket_start,
    hour_bucket + INTERVAL 1 HOUR AS bucket_end,
    server_id,
    json_object(
        'samples', samples,
        'average_players', average_players,
        'peak_players', peak_players,
        'map_samples', map_samples,
        'mod_samples', mod_samples
    ) AS payload,
    updated_at
FROM hours
JOIN map_objects USING (server_id, hour_bucket)
JOIN mod_objects USING (server_id, hour_bucket)
ORDER BY bucket_start DESC, server_id;
