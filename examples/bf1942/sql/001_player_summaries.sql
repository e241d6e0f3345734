-- @name player_summaries
-- @type materialized_view
-- @object mv_player_summaries
-- @refresh_sql REFRESH MATERIALIZED VIEW CONCURRENTLY mv_player_summaries
-- @indexes unique (player_id)
-- @description Players: sessions, time, kills, deaths and score of all time.
-- @order total_score desc nulls last, player_id
-- @filter player_id [=, in]
-- @limit 100 10000
-- @column player_id The player
-- @column sessions_played Number of sessions
-- @column seconds_played Time played
-- @unit seconds_played seconds
-- @column kill_death_ratio Kills per death; NULL without a death
-- @column last_seen_at The newest end of a session, or start of one that goes on
-- @test unique(player_id)
-- @test not_null(player_id, sessions_played, seconds_played)
SELECT
    player_id,
    count(*) AS sessions_played,
    sum(seconds) AS seconds_played,
    sum(kills) AS total_kills,
    sum(deaths) AS total_deaths,
    sum(score) AS total_score,
    sum(kills)::DOUBLE / nullif(sum(deaths), 0) AS kill_death_ratio,
    max(coalesce(ended_at, started_at)) AS last_seen_at
FROM session_facts
GROUP BY player_id
ORDER BY total_score DESC, player_id;
