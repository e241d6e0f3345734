-- The source tables in one shape. The columns that the ingest writes and those of the
-- older schema have other names, and a table has only some of them: UNION ALL BY NAME
-- with the empty row of all names gives NULL for the others.

-- @name server_samples
-- @type materialized_view
-- @object server_samples
-- @description What servers reported: one row per server and instant.
-- | From server_snapshots, of either schema. Rows from the future are left out.
-- @order server_id, at
-- @filter server_id [=, in]
-- @filter at [>=, <=]
-- @limit 1000 100000
-- @column server_id The server
-- @column at When it reported
-- @column hour_bucket The hour of the time zone
-- @column day_bucket Midnight of the day of the time zone
-- @column online False if it did not answer; NULL if unknown
-- @column player_count Number of players
-- @column map_name The map, or unknown
-- @column mod_name The mod, or unknown
-- @column region Where the server is, or unknown
-- @test not_null(server_id, at, hour_bucket, day_bucket, map_name, mod_name, region)
WITH reported AS (
    SELECT * FROM server_snapshots
    UNION ALL BY NAME
    SELECT
        NULL::VARCHAR AS server_id,
        NULL::TIMESTAMPTZ AS snapshot_time,
        NULL::TIMESTAMPTZ AS "timestamp",
        NULL::VARCHAR AS status,
        NULL::VARCHAR AS player_count,
        NULL::VARCHAR AS map_name,
        NULL::VARCHAR AS map,
        NULL::VARCHAR AS mod_name,
        NULL::VARCHAR AS mod,
        NULL::VARCHAR AS country,
        NULL::VARCHAR AS country_code,
        NULL::VARCHAR AS region,
        NULL::VARCHAR AS geo_country,
        NULL::VARCHAR AS data
    WHERE false
),
named AS (
    SELECT
        server_id,
        coalesce(snapshot_time, "timestamp") AS "at",
        coalesce(lower(status) = 'online', CASE WHEN data IS NOT NULL THEN true END)
            AS online,
        coalesce(
            TRY_CAST(player_count AS BIGINT),
            json_array_length(data, '$.players')::BIGINT
        ) AS player_count,
        coalesce(
            nullif(map_name, ''), nullif(map, ''), nullif(data ->> '$.mapname', ''),
            'unknown'
        ) AS map_name,
        coalesce(nullif(mod_name, ''), nullif(mod, ''), 'unknown') AS mod_name,
        coalesce(
            nullif(country, ''), nullif(country_code, ''), nullif(region, ''),
            nullif(geo_country, ''), 'unknown'
        ) AS region
    FROM reported
)
SELECT
    server_id,
    "at",
    -- Not date_trunc: it would take the hour before the clocks go back for the one after.
    make_timestamptz(epoch_us("at") - microsecond("at") - 60000000 * minute("at"))
        AS hour_bucket,
    date_trunc('day', "at") AS day_bucket,
    online,
    player_count,
    map_name,
    mod_name,
    region
FROM named
WHERE server_id IS NOT NULL AND "at" <= now()
ORDER BY server_id, "at";

-- @name match_rounds
-- @type materialized_view
-- @object match_rounds
-- @description Rounds, with their ends as far as they are known.
-- | A round that was never ended lasts until the next one on its server begins or until
-- | the server was last seen, and at most for a day.
-- @order server_id, started_at, round_id
-- @filter server_id [=]
-- @limit 1000 100000
-- @column round_id The round
-- @column server_id The server
-- @column map_name The map, or unknown
-- @column mod_name The mod, or unknown
-- @column started_at When it began
-- @column lasted_until When it ended, or was last known to go on
-- @column seconds How long it lasted
-- @unit seconds seconds
-- @column winning_team The team that won; NULL if unknown
-- @test not_null(round_id, server_id, started_at, lasted_until, seconds)
-- @test SELECT * FROM match_rounds WHERE seconds < 0
WITH played AS (
    SELECT * FROM rounds
    UNION ALL BY NAME
    SELECT
        NULL::VARCHAR AS id,
        NULL::VARCHAR AS server_id,
        NULL::VARCHAR AS map_name,
        NULL::VARCHAR AS mapname,
        NULL::VARCHAR AS mod_name,
        NULL::TIMESTAMPTZ AS started_at,
        NULL::TIMESTAMPTZ AS start_ts,
        NULL::TIMESTAMPTZ AS ended_at,
        NULL::TIMESTAMPTZ AS end_ts,
        NULL::VARCHAR AS winning_team
    WHERE false
),
named AS (
    SELECT
        id AS round_id,
        server_id,
        coalesce(nullif(map_name, ''), nullif(mapname, ''), 'unknown') AS map_name,
        coalesce(nullif(mod_name, ''), 'unknown') AS mod_name,
        coalesce(started_at, start_ts) AS started_at,
        coalesce(ended_at, end_ts) AS ended_at,
        nullif(winning_team, '') AS winning_team
    FROM played
),
last_seen AS (
    SELECT server_id, max("at") AS "at" FROM server_samples GROUP BY server_id
),
bounded AS (
    SELECT
        named.*,
        greatest(
            started_at,
            coalesce(
                ended_at,
                least(
                    lead(started_at) OVER (
                        PARTITION BY server_id ORDER BY started_at, round_id
                    ),
                    last_seen."at",
                    started_at + INTERVAL 24 HOURS
                )
            )
        ) AS lasted_until
    FROM named LEFT JOIN last_seen USING (server_id)
    WHERE started_at IS NOT NULL AND server_id IS NOT NULL
)
SELECT
    round_id,
    server_id,
    map_name,
    mod_name,
    started_at,
    lasted_until,
    (epoch_us(lasted_until) - epoch_us(started_at)) // 1000000 AS seconds,
    winning_team
FROM bounded
ORDER BY server_id, started_at, round_id;

-- @name play_sessions
-- @type materialized_view
-- @object play_sessions
-- @description Sessions of players, with their lengths as far as they are known.
-- | A session that was never ended lasts until the player's next one or until the server
-- | was last seen, and at most for a day. Each counts for a minute at least. Sessions
-- | without a player are left out.
-- @order player_id, started_at, session_id
-- @filter player_id [=]
-- @filter server_id [=]
-- @limit 1000 100000
-- @column session_id The session
-- @column server_id The server
-- @column player_id The player: id, else GUID, hash or name
-- @column player_name The player's name
-- @column started_at When it began
-- @column ended_at When it ended; NULL while it goes on
-- @column seconds How long it lasted, at least 60
-- @unit seconds seconds
-- @column round_id The round in which it was, if the source says so
-- @column ping Average ping, else the largest
-- @unit ping ms
-- @test not_null(session_id, player_id, seconds)
-- @test SELECT * FROM play_sessions WHERE seconds < 60
WITH written AS (
    SELECT * FROM player_sessions
    UNION ALL BY NAME
    SELECT
        NULL::VARCHAR AS id,
        NULL::VARCHAR AS server_id,
        NULL::VARCHAR AS player_id,
        NULL::VARCHAR AS player_guid,
        NULL::VARCHAR AS player_hash,
        NULL::VARCHAR AS player_name,
        NULL::TIMESTAMPTZ AS session_start,
        NULL::TIMESTAMPTZ AS session_start_at,
        NULL::TIMESTAMPTZ AS session_started_at,
        NULL::TIMESTAMPTZ AS session_begin,
        NULL::TIMESTAMPTZ AS session_begin_at,
        NULL::TIMESTAMPTZ AS start_time,
        NULL::TIMESTAMPTZ AS started_at,
        NULL::TIMESTAMPTZ AS join_ts,
        NULL::TIMESTAMPTZ AS created_at,
        NULL::TIMESTAMPTZ AS session_end,
        NULL::TIMESTAMPTZ AS session_end_at,
        NULL::TIMESTAMPTZ AS session_finished_at,
        NULL::TIMESTAMPTZ AS leave_ts,
        NULL::VARCHAR AS session_duration_seconds,
        NULL::VARCHAR AS duration_seconds,
        NULL::VARCHAR AS seconds_played,
        NULL::VARCHAR AS round_id,
        NULL::VARCHAR AS round_guid,
        NULL::VARCHAR AS round_hash,
        NULL::VARCHAR AS team,
        NULL::VARCHAR AS map_name,
        NULL::VARCHAR AS mod_name,
        NULL::VARCHAR AS kills,
        NULL::VARCHAR AS deaths,
        NULL::VARCHAR AS score,
        NULL::VARCHAR AS average_ping_ms,
        NULL::VARCHAR AS avg_ping_ms,
        NULL::VARCHAR AS max_ping_ms
    WHERE false
),
named AS (
    SELECT
        id AS session_id,
        server_id,
        coalesce(
            nullif(player_id, ''), nullif(player_guid, ''), nullif(player_hash, ''),
            nullif(player_name, '')
        ) AS player_id,
        player_name,
        coalesce(
            session_start, session_start_at, session_started_at, session_begin,
            session_begin_at, start_time, started_at, join_ts, created_at
        ) AS started_at,
        coalesce(session_end, session_end_at, session_finished_at, leave_ts) AS stated_end,
        TRY_CAST(
            coalesce(session_duration_seconds, duration_seconds, seconds_played) AS DOUBLE
        ) AS stated_seconds,
        coalesce(round_id, round_guid, round_hash) AS round_id,
        nullif(map_name, '') AS map_name,
        nullif(mod_name, '') AS mod_name,
        nullif(team, '') AS team,
        TRY_CAST(kills AS BIGINT) AS kills,
        TRY_CAST(deaths AS BIGINT) AS deaths,
        TRY_CAST(score AS BIGINT) AS score,
        coalesce(
            TRY_CAST(average_ping_ms AS DOUBLE),
            TRY_CAST(avg_ping_ms AS DOUBLE),
            TRY_CAST(max_ping_ms AS DOUBLE)
        ) AS ping
    FROM written
),
last_seen AS (
    SELECT server_id, max("at") AS "at" FROM server_samples GROUP BY server_id
),
bounded AS (
    SELECT
        named.* REPLACE (
            -- NUMERIC has NaN, too.
            CASE WHEN isfinite(ping) THEN ping END AS ping,
            CASE WHEN abs(stated_seconds) <= 1000000000 THEN stated_seconds END
                AS stated_seconds
        ),
        coalesce(
            stated_end,
            CASE WHEN abs(stated_seconds) <= 1000000000
                THEN started_at + to_microseconds((stated_seconds * 1000000)::BIGINT)
            END
        ) AS ended_at,
        least(
            lead(started_at) OVER (PARTITION BY player_id ORDER BY started_at, session_id),
            last_seen."at",
            started_at + INTERVAL 24 HOURS
        ) AS open_until
    FROM named LEFT JOIN last_seen USING (server_id)
    WHERE player_id IS NOT NULL
)
SELECT
    session_id,
    server_id,
    player_id,
    player_name,
    started_at,
    ended_at,
    greatest(
        60,
        coalesce(
            floor(stated_seconds)::BIGINT,
            (epoch_us(coalesce(ended_at, open_until)) - epoch_us(started_at)) // 1000000
        )
    ) AS seconds,
    round_id,
    map_name,
    mod_name,
    team,
    kills,
    deaths,
    score,
    ping
FROM bounded
ORDER BY player_id, started_at, session_id;

-- @name player_sightings
-- @type materialized_view
-- @object player_sightings
-- @description Players in what servers reported: one row per player and report.
-- | Only the ingest writes them; empty with the older schema.
-- @order server_id, player_name, at
-- @filter player_name [=]
-- @filter server_id [=]
-- @limit 1000 100000
-- @column score Score so far in the round
-- @column kills Kills so far in the round
-- @column deaths Deaths so far in the round
-- @unit ping ms
-- @test unique(server_id, player_name, at)
WITH reported AS (
    SELECT * FROM server_snapshots
    UNION ALL BY NAME
    SELECT
        NULL::VARCHAR AS server_id,
        NULL::TIMESTAMPTZ AS "timestamp",
        NULL::VARCHAR AS data
    WHERE false
),
players AS (
    SELECT
        server_id,
        "timestamp" AS "at",
        coalesce(nullif(data ->> '$.mapname', ''), 'unknown') AS map_name,
        unnest(
            from_json(
                data -> '$.players',
                '[{"name": "VARCHAR", "team": "VARCHAR", "score": "BIGINT",
                   "kills": "BIGINT", "deaths": "BIGINT", "ping": "DOUBLE"}]'
            )
        ) AS player
    FROM reported
    WHERE "timestamp" <= now() AND data IS NOT NULL
)
SELECT
    server_id,
    player.name AS player_name,
    "at",
    map_name,
    player.team AS team,
    player.score AS score,
    player.kills AS kills,
    player.deaths AS deaths,
    player.ping AS ping
FROM players
WHERE player.name IS NOT NULL
-- A name that is there twice is the player with the higher score.
QUALIFY row_number() OVER (
    PARTITION BY server_id, player.name, "at"
    ORDER BY
        player.score DESC NULLS LAST, player.kills DESC NULLS LAST, player.deaths,
        player.team, player.ping
) = 1
ORDER BY server_id, player_name, "at";

-- @name session_parts
-- @type materialized_view
-- @object session_parts
-- @description Sessions by round: what a player did in each.
-- | With the older schema a session is one part. With the ingest's, kills, deaths and
-- | score are those that the player had when last seen in a round, and the parts divide
-- | the time of the session.
-- @order player_id, session_id, first_at
-- @filter player_id [=]
-- @filter server_id [=]
-- @limit 1000 100000
-- @column first_at When the part began
-- @column pings Number of pings
-- @column ping_sum Their sum
-- @unit ping_sum ms
-- @unit seconds seconds
-- @column won Whether the player's team won; NULL if the winner or the team is unknown
-- @test not_null(session_id, player_id, seconds, map_name, mod_name)
-- @test SELECT * FROM session_parts WHERE seconds < 0
WITH seen AS (
    SELECT session.session_id, session.server_id, sighting.* EXCLUDE (server_id)
    FROM player_sightings AS sighting
    ASOF JOIN play_sessions AS session
        ON sighting.server_id = session.server_id
        AND sighting.player_name = session.player_name
        AND sighting."at" >= session.started_at
    WHERE sighting."at" <= coalesce(session.ended_at, sighting."at")
),
in_round AS (
    SELECT
        seen.*,
        CASE WHEN seen."at" <= matched.lasted_until THEN matched.round_id END AS round_id
    FROM seen
    ASOF LEFT JOIN match_rounds AS matched
        ON seen.server_id = matched.server_id AND seen."at" >= matched.started_at
),
sighted AS (
    SELECT
        session_id,
        round_id,
        CASE WHEN round_id IS NULL THEN map_name END AS other_map,
        min("at") AS first_at,
        arg_max(map_name, "at") AS map_name,
        arg_max(team, "at") AS team,
        arg_max(kills, "at") AS kills,
        arg_max(deaths, "at") AS deaths,
        arg_max(score, "at") AS score,
        count(ping) AS pings,
        sum(ping) AS ping_sum
    FROM in_round
    GROUP BY ALL
),
divided AS (
    SELECT
        sighted.*,
        CASE
            WHEN row_number() OVER parts = 1 THEN 0
            ELSE greatest(0, least(
                session.seconds,
                (epoch_us(first_at) - epoch_us(session.started_at)) // 1000000
            ))
        END AS begins,
        session.seconds AS session_seconds
    FROM sighted JOIN play_sessions AS session USING (session_id)
    WINDOW parts AS (PARTITION BY session_id ORDER BY first_at, sighted.round_id)
),
parts AS (
    SELECT
        session_id,
        round_id,
        first_at,
        map_name,
        team,
        kills,
        deaths,
        score,
        pings,
        ping_sum,
        lead(begins, 1, session_seconds) OVER (
            PARTITION BY session_id ORDER BY first_at, round_id
        ) - begins AS seconds
    FROM divided
    UNION ALL BY NAME
    SELECT
        session_id,
        round_id,
        started_at AS first_at,
        map_name,
        team,
        kills,
        deaths,
        score,
        (ping IS NOT NULL)::BIGINT AS pings,
        ping AS ping_sum,
        seconds
    FROM play_sessions
    WHERE session_id NOT IN (SELECT session_id FROM sighted)
)
SELECT
    session.session_id,
    session.player_id,
    session.server_id,
    parts.round_id,
    parts.first_at,
    coalesce(nullif(matched.map_name, 'unknown'), parts.map_name, 'unknown') AS map_name,
    coalesce(nullif(matched.mod_name, 'unknown'), session.mod_name, 'unknown') AS mod_name,
    parts.team,
    parts.kills,
    parts.deaths,
    parts.score,
    parts.pings,
    parts.ping_sum,
    parts.seconds,
    parts.team = matched.winning_team AS won
FROM parts
JOIN play_sessions AS session USING (session_id)
LEFT JOIN match_rounds AS matched ON parts.round_id = matched.round_id
ORDER BY session.player_id, session.session_id, parts.first_at, parts.round_id;

-- @name session_facts
-- @type materialized_view
-- @object session_facts
-- @description Sessions with all that the player did in them.
-- @order player_id, started_at, session_id
-- @filter player_id [=]
-- @filter server_id [=]
-- @limit 1000 100000
-- @column hour_bucket The hour of the time zone in which it began
-- @column day_bucket Midnight of the day of the time zone on which it began
-- @column ping Average ping
-- @unit ping ms
-- @unit seconds seconds
-- @column won As of the session's last part
-- @test not_null(session_id, player_id, seconds, kills, deaths, score)
WITH done AS (
    SELECT
        session_id,
        coalesce(sum(kills), 0) AS kills,
        coalesce(sum(deaths), 0) AS deaths,
        coalesce(sum(score), 0) AS score,
        sum(ping_sum) / nullif(sum(pings), 0) AS ping,
        arg_max(won, coalesce(first_at, make_timestamptz(0))) AS won
    FROM session_parts
    GROUP BY session_id
)
SELECT
    session.session_id,
    session.server_id,
    session.player_id,
    session.started_at,
    session.ended_at,
    make_timestamptz(
        epoch_us(started_at) - microsecond(started_at) - 60000000 * minute(started_at)
    ) AS hour_bucket,
    date_trunc('day', started_at) AS day_bucket,
    session.seconds,
    done.kills,
    done.deaths,
    done.score,
    done.ping,
    done.won
FROM play_sessions AS session JOIN done USING (session_id)
ORDER BY session.player_id, session.started_at, session.session_id;
