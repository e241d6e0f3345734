-- @name global_activity_rollups
-- @type materialized_view
-- @object mv_global_activity_rollups
-- @refresh_sql REFRESH MATERIALIZED VIEW CONCURRENTLY mv_global_activity_rollups
-- @indexes unique ((true))
-- @description What is going on now, on servers that reported in the last hour.
-- @every_sync
-- @route /analytics/global/activity
-- @one
-- @missing Global activity rollup unavailable
-- @unit live_map_leaderboard json
-- @unit live_mod_leaderboard json
-- @unit regional_player_counts json
-- @column live_players Players in the newest reports
-- @column average_players_per_server Their mean per server
-- @column peak_server_players Their number on the fullest server
-- @column live_map_leaderboard Maps by players: map, players, rank
-- @column live_mod_leaderboard Mods by players: mod, players, rank
-- @column regional_player_counts Players by region
-- @test SELECT 1 WHERE (SELECT count(*) FROM mv_global_activity_rollups) > 1
WITH newest AS (
    SELECT DISTINCT ON (server_id) *
    FROM server_samples
    ORDER BY server_id, "at" DESC, online, player_count
),
live AS (
    SELECT *, coalesce(player_count, 0) AS players FROM newest
    WHERE "at" > now() - INTERVAL 1 HOUR AND online IS DISTINCT FROM false
),
maps AS (
    SELECT
        map_name AS map,
        sum(players)::BIGINT AS players,
        rank() OVER (ORDER BY sum(players) DESC) AS rank
    FROM live
    GROUP BY map_name
),
mods AS (
    SELECT
        mod_name AS mod,
        sum(players)::BIGINT AS players,
        rank() OVER (ORDER BY sum(players) DESC) AS rank
    FROM live
    GROUP BY mod_name
),
regions AS (
    SELECT region, sum(players)::BIGINT AS players FROM live GROUP BY region
)
SELECT
    coalesce(sum(players), 0) AS live_players,
    coalesce(avg(players), 0) AS average_players_per_server,
    coalesce(max(players), 0) AS peak_server_players,
    (
        SELECT coalesce(to_json(list(maps ORDER BY rank, map)), '[]'::JSON) FROM maps
    ) AS live_map_leaderboard,
    (
        SELECT coalesce(to_json(list(mods ORDER BY rank, mod)), '[]'::JSON) FROM mods
    ) AS live_mod_leaderboard,
    (
        SELECT
            (
                '{' || coalesce(
                    string_agg(to_json(region) || ':' || players, ',' ORDER BY region), ''
                ) || '}'
            )::JSON
        FROM regions
    ) AS regional_player_counts
FROM live
HAVING (SELECT count(*) FROM newest) > 0;

-- @name global_daily_trends
-- @type materialized_view
-- @object mv_global_daily_trends
-- @refresh_sql REFRESH MATERIALIZED VIEW CONCURRENTLY mv_global_daily_trends
-- @indexes (day_bucket)
-- @description Days: players on all servers, and the maps and mods that they played.
-- @route /analytics/global/daily
-- @filter day_bucket [>=] as since
-- @limit 30 365
-- @order day_bucket desc
-- @unit map_leaderboard json
-- @unit mod_leaderboard json
-- @column day_bucket Midnight of the day of the time zone
-- @column total_players Sum of players over all reports
-- @column average_players Mean number of players in a report
-- @column peak_players Largest number of players on one server
-- @column seven_day_players Sum of total_players of this day and the six before
-- @column rolling_average_players Mean of average_players of the same days
-- @column map_leaderboard Maps by players over all reports: map, player_minutes, rank
-- @column mod_leaderboard Mods by players over all reports: mod, player_minutes, rank
-- @test unique(day_bucket)
WITH days AS (
    SELECT
        day_bucket,
        coalesce(sum(player_count), 0) AS total_players,
        avg(player_count) AS average_players,
        max(player_count) AS peak_players
    FROM server_samples
    GROUP BY day_bucket
),
maps AS (
    SELECT
        day_bucket,
        map_name AS map,
        coalesce(sum(player_count), 0)::BIGINT AS player_minutes,
        rank() OVER (
            PARTITION BY day_bucket ORDER BY coalesce(sum(player_count), 0) DESC
        ) AS rank
    FROM server_samples
    GROUP BY day_bucket, map_name
),
map_lists AS (
    SELECT
        day_bucket,
        to_json(
            list(
                {'map': map, 'player_minutes': player_minutes, 'rank': rank}
                ORDER BY rank, map
            )
        ) AS map_leaderboard
    FROM maps
    GROUP BY day_bucket
),
mods AS (
    SELECT
        day_bucket,
        mod_name AS mod,
        coalesce(sum(player_count), 0)::BIGINT AS player_minutes,
        rank() OVER (
            PARTITION BY day_bucket ORDER BY coalesce(sum(player_count), 0) DESC
        ) AS rank
    FROM server_samples
    GROUP BY day_bucket, mod_name
),
mod_lists AS (
    SELECT
        day_bucket,
        to_json(
            list(
                {'mod': mod, 'player_minutes': player_minutes, 'rank': rank}
                ORDER BY rank, mod
            )
        ) AS mod_leaderboard
    FROM mods
    GROUP BY day_bucket
)
SELECT
    day_bucket,
    total_players,
    average_players,
    peak_players,
    sum(total_players) OVER week AS seven_day_players,
    avg(average_players) OVER week AS rolling_average_players,
    map_leaderboard,
    mod_leaderboard
FROM days JOIN map_lists USING (day_bucket) JOIN mod_lists USING (day_bucket)
WINDOW week AS (ORDER BY day_bucket ROWS 6 PRECEDING)
ORDER BY day_bucket DESC;

-- @name global_region_activity
-- @type materialized_view
-- @object mv_global_region_activity
-- @refresh_sql REFRESH MATERIALIZED VIEW CONCURRENTLY mv_global_region_activity
-- @indexes (region, day_bucket)
-- @description Days by region of the servers.
-- @route /analytics/global/regions
-- @filter region [=]
-- @filter day_bucket [>=] as since
-- @limit 90 1000
-- @order day_bucket desc, region
-- @column day_bucket Midnight of the day of the time zone
-- @column region Where the servers are, or unknown
-- @column total_players Sum of players over all reports
-- @column rolling_weekly_players Sum of this day and the six before of the region
-- @test unique(day_bucket, region)
WITH days AS (
    SELECT
        day_bucket,
        region,
        coalesce(sum(player_count), 0) AS total_players,
        avg(player_count) AS average_players,
        max(player_count) AS peak_players
    FROM server_samples
    GROUP BY day_bucket, region
)
SELECT
    *,
    sum(total_players) OVER (
        PARTITION BY region ORDER BY day_bucket ROWS 6 PRECEDING
    ) AS rolling_weekly_players
FROM days
ORDER BY day_bucket DESC, region;
