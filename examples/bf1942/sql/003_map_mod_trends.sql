-- @name map_mod_trends
-- @type materialized_view
-- @object mv_map_mod_trends
-- @refresh_sql REFRESH MATERIALIZED VIEW CONCURRENTLY mv_map_mod_trends
-- @indexes (day_bucket, map_name, mod_name)
-- @description Players by day, map and mod.
-- @order day_bucket desc, map_name, mod_name
-- @filter map_name [=]
-- @filter mod_name [=]
-- @filter day_bucket [>=, <]
-- @limit 100 10000
-- @column day_bucket Midnight of the day of the time zone
-- @column samples Number of reports
-- @column average_players Mean number of players in them
-- @column peak_players Largest number of players
-- @test unique(day_bucket, map_name, mod_name)
SELECT
    day_bucket,
    map_name,
    mod_name,
    count(*) AS samples,
    avg(player_count) AS average_players,
    max(player_count) AS peak_players
FROM server_samples
GROUP BY ALL
ORDER BY day_bucket DESC, map_name, mod_name;
