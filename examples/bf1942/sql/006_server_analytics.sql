-- @name server_population_trends
-- @type materialized_view
-- @object mv_server_population_trends
-- @refresh_sql REFRESH MATERIALIZED VIEW CONCURRENTLY mv_server_population_trends
-- @indexes (server_id, hour_bucket)
-- @description Hours of servers: players, uptime, and means of a day and a week.
-- @route /analytics/servers/population
-- @filter server_id [=]
-- @filter hour_bucket [>=] as since
-- @limit 168 2000
-- @order hour_bucket desc, server_id
-- @unit hour_uptime_ratio share
-- @unit daily_uptime_ratio share
-- @column hour_bucket The hour of the time zone
-- @column hour_uptime_ratio Reports in which the server was online, of all of the hour
-- @column rolling_24h_avg Mean of this hour and the 23 before that have reports
-- @column rolling_7d_avg Mean of this hour and the 167 before that have reports
-- @column population_trend Their difference
-- @column daily_uptime_ratio Reports in which the server was online, of those of the day
-- | that say so
-- @test unique(server_id, hour_bucket)
WITH hours AS (
    SELECT
        server_id,
        hour_bucket,
        day_bucket,
        avg(player_count) AS average_players,
        max(player_count) AS peak_players,
        min(player_count) AS minimum_players,
        count(*) FILTER (online) AS online_samples,
        count(*) AS total_samples
    FROM server_samples
    GROUP BY ALL
),
days AS (
    SELECT
        server_id,
        date_trunc('day', hour_bucket) AS day_bucket,
        sum(online_samples) / nullif(sum(online_samples + offline_samples), 0) AS ratio
    FROM mv_server_uptime
    GROUP BY ALL
),
rolling AS (
    SELECT
        *,
        avg(average_players) OVER (w ROWS 23 PRECEDING) AS rolling_24h_avg,
        avg(average_players) OVER (w ROWS 167 PRECEDING) AS rolling_7d_avg
    FROM hours
    WINDOW w AS (PARTITION BY server_id ORDER BY hour_bucket)
)
SELECT
    server_id,
    hour_bucket,
    average_players,
    peak_players,
    minimum_players,
    online_samples,
    total_samples,
    online_samples / total_samples AS hour_uptime_ratio,
    rolling_24h_avg,
    rolling_7d_avg,
    rolling_24h_avg - rolling_7d_avg AS population_trend,
    days.ratio AS daily_uptime_ratio
FROM rolling LEFT JOIN days USING (server_id, day_bucket)
ORDER BY hour_bucket DESC, server_id;

-- @name server_rotation_statistics
-- @type materialized_view
-- @object mv_server_rotation_statistics
-- @refresh_sql REFRESH MATERIALIZED VIEW CONCURRENTLY mv_server_rotation_statistics
-- @indexes (server_id, map_name, mod_name)
-- @description Maps of servers: rounds, their lengths, and how often a map comes and goes.
-- @route /analytics/servers/rotation
-- @filter server_id [=]
-- @limit 200 1000
-- @order rounds_played desc, server_id, map_name, mod_name
-- @unit average_round_minutes minutes
-- @unit median_round_seconds seconds
-- @column average_round_minutes Mean length of a round
-- @column map_entry_count Rounds before which the server had another map, or none
-- @column map_exit_count Rounds after which it had another map, or none
-- @column rounds_recorded The oldest of its rounds, counted back from the server's newest
-- @test unique(server_id, map_name, mod_name)
WITH ordered AS (
    SELECT
        *,
        lag(map_name) OVER w AS map_before,
        lead(map_name) OVER w AS map_after,
        row_number() OVER (
            PARTITION BY server_id ORDER BY started_at DESC, round_id DESC
        ) AS recency
    FROM match_rounds
    WINDOW w AS (PARTITION BY server_id ORDER BY started_at, round_id)
)
SELECT
    server_id,
    map_name,
    mod_name,
    count(*) AS rounds_played,
    avg(seconds) / 60 AS average_round_minutes,
    median(seconds) AS median_round_seconds,
    count(*) FILTER (map_before IS DISTINCT FROM map_name) AS map_entry_count,
    count(*) FILTER (map_after IS DISTINCT FROM map_name) AS map_exit_count,
    max(recency) AS rounds_recorded
FROM ordered
GROUP BY server_id, map_name, mod_name
ORDER BY rounds_played DESC, server_id, map_name, mod_name;

-- @name server_ping_distributions
-- @type materialized_view
-- @object mv_server_ping_distributions
-- @refresh_sql REFRESH MATERIALIZED VIEW CONCURRENTLY mv_server_ping_distributions
-- @indexes (server_id, day_bucket)
-- @description Pings of sessions by server and day of their beginning.
-- @route /analytics/servers/pings
-- @filter server_id [=]
-- @filter day_bucket [>=] as since
-- @limit 90 1000
-- @order day_bucket desc, server_id
-- @unit average_ping_ms ms
-- @unit ping_percentiles ms
-- @column day_bucket Midnight of the day of the time zone
-- @column samples Sessions with a ping
-- @column ping_percentiles p10, p25, p50, p75 and p90, interpolated
-- @test unique(server_id, day_bucket)
SELECT
    server_id,
    day_bucket,
    count(*) AS samples,
    quantile_cont(ping, [0.1, 0.25, 0.5, 0.75, 0.9]) AS ping_percentiles,
    avg(ping) AS average_ping_ms
FROM session_facts
WHERE ping IS NOT NULL AND server_id IS NOT NULL AND day_bucket IS NOT NULL
GROUP BY server_id, day_bucket
ORDER BY day_bucket DESC, server_id;

-- @name server_leaderboards
-- @type materialized_view
-- @object mv_server_leaderboards
-- @refresh_sql REFRESH MATERIALIZED VIEW CONCURRENTLY mv_server_leaderboards
-- @indexes (server_id, score_rank, kill_rank)
-- @description Players of servers with their ranks.
-- @route /analytics/servers/{server_id}/leaderboard
-- @missing Server leaderboard not found
-- @filter server_id [=]
-- @limit 50 500
-- @order score_rank, server_id, player_id
-- @unit win_rate share
-- @column score_rank Place by score; equal ones share it
-- @column kill_rank Place by kills
-- @column win_rate_rank Place by the share of sessions that were won
-- @test unique(server_id, player_id)
WITH players AS (
    SELECT
        server_id,
        player_id,
        sum(kills) AS total_kills,
        sum(deaths) AS total_deaths,
        sum(score) AS total_score,
        count(*) FILTER (won) / count(*) AS win_rate,
        max(coalesce(ended_at, started_at)) AS last_seen_at
    FROM session_facts
    WHERE server_id IS NOT NULL
    GROUP BY server_id, player_id
)
SELECT
    *,
    rank() OVER (PARTITION BY server_id ORDER BY total_score DESC) AS score_rank,
    rank() OVER (PARTITION BY server_id ORDER BY total_kills DESC) AS kill_rank,
    rank() OVER (PARTITION BY server_id ORDER BY win_rate DESC) AS win_rate_rank
FROM players
ORDER BY score_rank, server_id, player_id;
