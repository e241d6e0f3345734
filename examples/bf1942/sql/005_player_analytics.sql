-- @name player_advanced_metrics
-- @type materialized_view
-- @object mv_player_advanced_metrics
-- @refresh_sql REFRESH MATERIALIZED VIEW CONCURRENTLY mv_player_advanced_metrics
-- @indexes unique (player_id)
-- @description Players: pace, results, form of the last five sessions, teams.
-- @route /analytics/players/metrics
-- @one player_id
-- @missing Player not found
-- @filter player_id [=]
-- @limit 100 1000
-- @order total_score desc nulls last, player_id
-- @unit total_seconds_played seconds
-- @unit team_distribution json
-- @unit win_rate share
-- @unit recent_win_rate share
-- @unit team_loyalty_ratio share
-- @column kill_death_ratio Kills per death; NULL without a death
-- @column kills_per_minute Kills per minute of all time played
-- @column win_rate Sessions that the player's team won; an unknown winner is no win
-- @column recent_kd_ratio Mean of the last five sessions, without those without a death
-- @column recent_win_rate Of those of the last five sessions whose winner is known
-- @column recent_kpm Mean kills per minute of the last five sessions
-- @column recent_spm Mean score per minute of the last five sessions
-- @column last_session_end NULL while the last session goes on
-- @column preferred_team The team with the most time; the first by name of equals
-- @column team_loyalty_ratio Its share of the time in teams
-- @column team_distribution Share of the time by team
-- @column aggressiveness_score 50, and 15 per standard deviation of kills per minute
-- | over all sessions, from 0 to 100
-- @test unique(player_id)
-- @test SELECT * FROM mv_player_advanced_metrics WHERE win_rate NOT BETWEEN 0 AND 1
-- @test SELECT * FROM mv_player_advanced_metrics
-- | WHERE aggressiveness_score NOT BETWEEN 0 AND 100
WITH sessions AS (
    SELECT
        *,
        kills::DOUBLE / nullif(deaths, 0) AS kd,
        kills / (seconds / 60) AS kpm,
        score / (seconds / 60) AS spm,
        row_number() OVER (
            PARTITION BY player_id ORDER BY started_at DESC NULLS LAST, session_id DESC
        ) AS recency
    FROM session_facts
),
spread AS (
    SELECT avg(kpm) AS mean, coalesce(nullif(stddev_pop(kpm), 0), 1) AS deviation
    FROM sessions
),
totals AS (
    SELECT
        player_id,
        count(*) AS sessions_played,
        sum(seconds) AS total_seconds_played,
        sum(kills) AS total_kills,
        sum(deaths) AS total_deaths,
        sum(score) AS total_score,
        count(*) FILTER (won) / count(*) AS win_rate,
        avg(kd) FILTER (recency <= 5) AS recent_kd_ratio,
        avg(won::INTEGER) FILTER (recency <= 5) AS recent_win_rate,
        avg(kpm) FILTER (recency <= 5) AS recent_kpm,
        avg(spm) FILTER (recency <= 5) AS recent_spm,
        max(started_at) AS last_session_start,
        max(ended_at) FILTER (recency = 1) AS last_session_end,
        max(coalesce(ended_at, started_at)) AS last_seen_at
    FROM sessions
    GROUP BY player_id
),
teams AS (
    SELECT player_id, team, sum(seconds) AS seconds
    FROM session_parts
    WHERE team IS NOT NULL
    GROUP BY player_id, team
),
shares AS (
    SELECT
        player_id,
        team,
        seconds / sum(seconds) OVER (PARTITION BY player_id) AS share,
        row_number() OVER (PARTITION BY player_id ORDER BY seconds DESC, team) AS place
    FROM teams
),
team_objects AS (
    SELECT
        player_id,
        max(team) FILTER (place = 1) AS preferred_team,
        max(share) FILTER (place = 1) AS team_loyalty_ratio,
        ('{' || string_agg(to_json(team) || ':' || to_json(share), ',' ORDER BY team) || '}')
            ::JSON AS team_distribution
    FROM shares
    GROUP BY player_id
)
SELECT
    player_id,
    sessions_played,
    total_seconds_played,
    total_kills,
    total_deaths,
    total_score,
    total_kills::DOUBLE / nullif(total_deaths, 0) AS kill_death_ratio,
    total_kills / (total_seconds_played / 60) AS kills_per_minute,
    total_score / (total_seconds_played / 60) AS score_per_minute,
    win_rate,
    recent_kd_ratio,
    recent_win_rate,
    recent_kpm,
    recent_spm,
    last_session_start,
    last_session_end,
    last_seen_at,
    preferred_team,
    team_loyalty_ratio,
    coalesce(team_distribution, '{}'::JSON) AS team_distribution,
    greatest(0, least(100, round(
        50 + 15 * (total_kills / (total_seconds_played / 60) - mean) / deviation
    )))::INTEGER AS aggressiveness_score
FROM totals CROSS JOIN spread LEFT JOIN team_objects USING (player_id)
ORDER BY total_score DESC, player_id;

-- @name player_map_mod_breakdowns
-- @type materialized_view
-- @object mv_player_map_mod_breakdowns
-- @refresh_sql REFRESH MATERIALIZED VIEW CONCURRENTLY mv_player_map_mod_breakdowns
-- @indexes (player_id, map_name, mod_name)
-- @description Players by map and mod.
-- @route /analytics/players/{player_id}/maps
-- @missing Player map splits not found
-- @filter player_id [=]
-- @limit 50 500
-- @order sessions_played desc, player_id, map_name, mod_name
-- @unit total_seconds_played seconds
-- @unit win_rate share
-- @column map_name The map of the round, else of the session, or unknown
-- @column win_rate Rounds that the player's team won; an unknown winner is no win
-- @test unique(player_id, map_name, mod_name)
SELECT
    player_id,
    map_name,
    mod_name,
    count(DISTINCT session_id) AS sessions_played,
    sum(seconds) AS total_seconds_played,
    coalesce(sum(kills), 0) AS total_kills,
    coalesce(sum(deaths), 0) AS total_deaths,
    coalesce(sum(score), 0) AS total_score,
    coalesce(sum(kills), 0) / (nullif(sum(seconds), 0) / 60) AS kills_per_minute,
    coalesce(sum(score), 0) / (nullif(sum(seconds), 0) / 60) AS score_per_minute,
    count(*) FILTER (won) / count(*) AS win_rate
FROM session_parts
GROUP BY player_id, map_name, mod_name
ORDER BY sessions_played DESC, player_id, map_name, mod_name;

-- @name player_session_heatmaps
-- @type incremental_insert
-- @object player_session_heatmaps
-- @refresh_sql INSERT INTO player_session_heatmaps … ON CONFLICT (player_id, hour_bucket) DO UPDATE
-- @indexes primary key (player_id, hour_bucket)
-- @description Players by the hour in which their sessions began.
-- @route /analytics/players/{player_id}/heatmap
-- @missing Player heatmap not found
-- @filter player_id [=]
-- @limit 200 1000
-- @order hour_bucket desc, player_id
-- @unit seconds_played seconds
-- @column hour_bucket The hour of the time zone
-- @column sessions_started Sessions that began in it
-- @column seconds_played How long these lasted
-- @column updated_at The newest start or end of them
-- @test unique(player_id, hour_bucket)
SELECT
    player_id,
    hour_bucket,
    count(*) AS sessions_started,
    sum(seconds) AS seconds_played,
    max(coalesce(ended_at, started_at)) AS updated_at
FROM session_facts
WHERE started_at IS NOT NULL
GROUP BY player_id, hour_bucket
ORDER BY hour_bucket DESC, player_id;
