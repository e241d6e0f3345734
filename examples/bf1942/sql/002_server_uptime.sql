-- @name server_uptime
-- @type materialized_view
-- @object mv_server_uptime
-- @refresh_sql REFRESH MATERIALIZED VIEW CONCURRENTLY mv_server_uptime
-- @indexes (server_id, hour_bucket)
-- @description Hours of servers: reports, and time online.
-- | Time between two reports counts if the server was online at both and they are an hour
-- | apart at most; it counts for the hours in which it lies.
-- @order server_id, hour_bucket
-- @filter server_id [=, in]
-- @filter hour_bucket [>=, <]
-- @limit 168 10000
-- @column hour_bucket The hour of the time zone
-- @column online_samples Reports of a server that was online
-- @column offline_samples Reports of one that was not
-- @column online_seconds Time online, at most 3600
-- @unit online_seconds seconds
-- @test unique(server_id, hour_bucket)
-- @test SELECT * FROM mv_server_uptime WHERE online_seconds NOT BETWEEN 0 AND 3600
WITH steps AS (
    SELECT
        server_id,
        "at",
        hour_bucket,
        online,
        lag("at") OVER w AS since,
        lag(hour_bucket) OVER w AS hour_since,
        lag(online) OVER w AS was_online
    FROM server_samples
    WINDOW w AS (PARTITION BY server_id ORDER BY "at", online)
),
spans AS (
    SELECT * FROM steps
    WHERE online AND was_online AND epoch_us("at") - epoch_us(since) <= 3600000000
),
pieces AS (
    SELECT
        server_id,
        hour_since AS hour_bucket,
        least(epoch_us("at"), epoch_us(hour_since) + 3600000000) - epoch_us(since)
            AS microseconds
    FROM spans
    UNION ALL
    SELECT server_id, hour_bucket, epoch_us("at") - epoch_us(hour_bucket)
    FROM spans
    WHERE hour_bucket > hour_since
),
online_time AS (
    SELECT server_id, hour_bucket, sum(microseconds) // 1000000 AS online_seconds
    FROM pieces
    GROUP BY server_id, hour_bucket
),
counted AS (
    SELECT
        server_id,
        hour_bucket,
        count(*) FILTER (online) AS online_samples,
        count(*) FILTER (NOT online) AS offline_samples
    FROM server_samples
    GROUP BY server_id, hour_bucket
)
SELECT
    server_id,
    hour_bucket,
    online_samples,
    offline_samples,
    coalesce(online_seconds, 0)::BIGINT AS online_seconds
FROM counted LEFT JOIN online_time USING (server_id, hour_bucket)
ORDER BY server_id, hour_bucket;
